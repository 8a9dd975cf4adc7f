//! What a bare model file is: by its ending, and where that is not enough by what is in it.

use std::path::Path;

use kerf_wire::manifest::Format;

/// The custom operator into which `edgetpu_compiler` puts what the Edge TPU runs.
const EDGETPU_OPERATOR: &[u8] = b"edgetpu-custom-op";

/// The format of a file; ONNX where the ending says nothing else.
pub(super) fn of_file(path: &Path, contents: &[u8]) -> Format {
    match path.extension().and_then(|e| e.to_str()) {
        Some("tflite") if has_edgetpu_operator(contents) => Format::EdgetpuTflite,
        Some("tflite") => Format::Tflite,
        Some("xml") => Format::OpenvinoIr,
        Some("blob") => Format::MyriadBlob,
        Some("tar" | "nnef") => Format::TractNnef,
        _ => Format::Onnx,
    }
}

/// True for a TFLite file that `edgetpu_compiler` wrote: it names the operator that only libedgetpu runs.
pub fn has_edgetpu_operator(tflite: &[u8]) -> bool {
    tflite
        .windows(EDGETPU_OPERATOR.len())
        .any(|window| window == EDGETPU_OPERATOR)
}
