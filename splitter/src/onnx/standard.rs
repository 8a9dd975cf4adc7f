//! The operators of ONNX itself: their domain, which has two names, and the version of them that a model imports.

use super::proto::OperatorSetIdProto;

/// True for the domain of ONNX itself.
pub(crate) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// The version of ONNX's own operators among a model's imports; 1 where it names none (IR versions before 3).
pub(crate) fn opset(imports: &[OperatorSetIdProto]) -> i64 {
    let own = imports.iter().find(|import| is_standard(import.domain()));
    own.map_or(1, OperatorSetIdProto::version)
}
