//! The result that a reader gets: JSON, so that any MQTT or HTTP client can use it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The answer to one frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InferenceResult {
    /// The frame's id as text, `device/boot/sequence`: the key under which a reader drops repeats.
    pub frame: String,
    /// SHA-256 of the whole model's file.
    pub model: Digest,
    /// The best classes, best first; empty where the manifest names no labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Label>,
    /// The model's outputs, as far as they are small.
    pub outputs: Vec<Output>,
    /// The early exit that answered, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// One entry a stage passed, in order.
    pub hops: Vec<HopTimes>,
    /// What a person should know about this answer, e.g. a backend that stepped down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Set instead of outputs when the frame could not be answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Index on the output's last axis.
    pub index: usize,
    /// The manifest's name for it.
    pub label: String,
    /// Probability: the output itself where it is a distribution, else its softmax.
    pub score: f32,
}

/// One of the model's outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The value's name.
    pub name: String,
    /// Element type.
    pub dtype: crate::tensor::DType,
    /// Shape, outermost first.
    pub shape: Vec<u32>,
    /// The elements in row-major order; missing where there are more than the configured number. NaN and ±∞ are strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// Where one stage's time went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HopTimes {
    /// The part that ran.
    pub part: u8,
    /// The backend that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Read, decode and preprocess.
    pub decode_ms: f64,
    /// In the engine; of the whole batch where frames ran together.
    pub run_ms: f64,
    /// Encode and seal.
    pub encode_ms: f64,
    /// Frames that ran together, this one included; missing where it ran alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<u32>,
}
