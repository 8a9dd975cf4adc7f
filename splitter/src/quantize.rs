//! Writes a smaller model: int8 weights with dynamic activations, int8 throughout (QDQ, calibrated), or fp16.
//!
//! Owns: the rewriting of the graph, the ranges that calibration observes, the arithmetic of scales and zero points.
//! Must not know: which engine runs the calibration data; the caller runs [`Static::observed_model`] where it likes and
//! feeds [`Ranges`].
//! Start at [`dynamic`], [`Static`] and [`half`]; each takes a decoded model with its weights inside.

mod choice;
mod consts;
mod dynamic;
mod edit;
mod fold;
mod half;
mod integer;
mod layer;
mod limits;
mod opset;
mod plan;
mod qdq;
mod ranges;

pub use dynamic::{Dynamic, dynamic};
pub use half::half;
pub use integer::Integer;
pub use plan::{Observed, Static, StaticOptions};
pub use ranges::{Range, Ranges};

/// What became of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// The new model.
    pub model: crate::onnx::proto::ModelProto,
    /// Nodes that now run on integers (or, for fp16, on half floats).
    pub nodes_converted: usize,
    /// Nodes that could have been, with the reason why they stay as they were.
    pub kept: Vec<Kept>,
}

/// A node that stays in floating point though its operator can be quantized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The node's name, or its first output where it has none.
    pub node: String,
    /// Why.
    pub why: &'static str,
}

/// Why a model cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The model has no graph, or a tensor in it is not what it says.
    #[error("model refused: {0}")]
    Model(String),
    /// A constant's bytes do not match its shape.
    #[error("initialiser {name}: expected {expected} elements, got {got}")]
    Elements {
        /// Its name.
        name: String,
        /// What its shape asks for.
        expected: usize,
        /// What is there.
        got: usize,
    },
    /// The weights lie in another file and were not loaded.
    #[error("initialiser {0} lies in an external file that was not loaded")]
    External(String),
    /// The model's operator set is too old and a node has no known newer form.
    #[error("needs opset {needed}, the model has {got}, and node {node} ({op}) cannot be raised: {why}")]
    Opset {
        /// The operator set that the result needs.
        needed: i64,
        /// The model's.
        got: i64,
        /// The first node that cannot be raised.
        node: String,
        /// Its operator.
        op: String,
        /// What is in the way.
        why: &'static str,
    },
    /// Calibration did not see a value.
    #[error("calibration saw no finite number in value {0}: give calibration data that reaches it")]
    Unseen(String),
    /// Nothing in the model can be converted.
    #[error("nothing to quantize: no node has a float weight of a kind that {0}")]
    Nothing(&'static str),
    /// A number that came from outside is not usable.
    #[error("{what}: expected {expected}, got {got}")]
    Option {
        /// The option.
        what: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What came.
        got: String,
    },
}
