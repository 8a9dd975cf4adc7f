//! Names and types as tract has them, and back.

#[allow(clippy::wildcard_imports, reason = "tract's own prelude")]
use tract_onnx::tract_hir::internal::*;

use crate::onnx::ElementType;

pub(super) fn is_identifier(name: &str) -> bool {
    name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn identifier(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("d_{}", text.chars().map(plain).collect::<String>())
}

pub(super) fn datum_type(element: ElementType) -> Option<DatumType> {
    use kerf_wire::DType;
    Some(match element {
        ElementType::Wire(dtype) => match dtype {
            DType::F32 => DatumType::F32,
            DType::F16 => DatumType::F16,
            DType::F64 => DatumType::F64,
            DType::I8 => DatumType::I8,
            DType::U8 => DatumType::U8,
            DType::I16 => DatumType::I16,
            DType::U16 => DatumType::U16,
            DType::I32 => DatumType::I32,
            DType::U32 => DatumType::U32,
            DType::I64 => DatumType::I64,
            DType::U64 => DatumType::U64,
            DType::Bool => DatumType::Bool,
            DType::Bf16 => return None,
        },
        ElementType::String => DatumType::String,
        _ => return None,
    })
}

/// tract's symbolic integers are ONNX's i64; its quantised types are what they are stored as.
pub(super) fn element_type(datum: DatumType) -> Option<ElementType> {
    use kerf_wire::DType;
    Some(ElementType::Wire(match datum.unquantized() {
        DatumType::F32 => DType::F32,
        DatumType::F16 => DType::F16,
        DatumType::F64 => DType::F64,
        DatumType::I8 => DType::I8,
        DatumType::U8 => DType::U8,
        DatumType::I16 => DType::I16,
        DatumType::U16 => DType::U16,
        DatumType::I32 => DType::I32,
        DatumType::U32 => DType::U32,
        DatumType::I64 | DatumType::TDim => DType::I64,
        DatumType::U64 => DType::U64,
        DatumType::Bool => DType::Bool,
        DatumType::String => return Some(ElementType::String),
        _ => return None,
    }))
}
