//! What kinds of file an artifact can be.

use serde::{Deserialize, Serialize};

/// The file formats that backends load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the definition")]
pub enum Format {
    Onnx,
    TractNnef,
    OpenvinoIr,
    MyriadBlob,
    Tflite,
    /// TFLite with the operator that only the Edge TPU's delegate runs.
    EdgetpuTflite,
    TensorrtEngine,
}

impl std::fmt::Display for Format {
    /// As the manifest spells it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Onnx => "onnx",
            Self::TractNnef => "tract-nnef",
            Self::OpenvinoIr => "openvino-ir",
            Self::MyriadBlob => "myriad-blob",
            Self::Tflite => "tflite",
            Self::EdgetpuTflite => "edgetpu-tflite",
            Self::TensorrtEngine => "tensorrt-engine",
        })
    }
}
