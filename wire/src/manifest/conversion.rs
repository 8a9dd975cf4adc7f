//! What became of a part when it was converted for a backend: how its tensors stand for the part's, how far it is off.

use serde::{Deserialize, Serialize};

use super::check::{ManifestError, inconsistent, not_negative};
use super::{Artifact, Part};
use crate::limits::MAX_RANK;

/// How an artifact was made from the part, where it is not the part as it was cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// What converted it, with versions, e.g. `onnx2tf 1.29.24, tensorflow 2.19.0`.
    pub tool: String,
    /// What it calculates in.
    pub precision: Precision,
    /// Largest max|a−b| / max|b| that passes the self-test on this artifact; the bundle's where none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// What its inputs stand for, in its own order; empty where they are the part's, in the part's order and layout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Binding>,
    /// What its outputs stand for, as `inputs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Binding>,
    /// What a comparison with the part as it was cut found; none where nothing that converts can also run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// What an artifact calculates in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the definition")]
pub enum Precision {
    F32,
    F16,
    Int8,
}

impl Precision {
    /// The name in manifests and on command lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

/// One tensor of an artifact and the value that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The part's value.
    pub value: String,
    /// Axis `k` of the artifact's tensor is axis `order[k]` of the value: `[0, 2, 3, 1]` where the value is
    /// `[N, C, H, W]` and the tensor `[N, H, W, C]`. Empty where they are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<u8>,
}

/// How far a converted artifact is from the part as it was cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// What ran the part as it was cut, e.g. `onnxruntime 1.23.2`.
    pub against: String,
    /// How many inputs were compared.
    pub inputs: u32,
    /// Largest |a−b| over all outputs.
    pub difference_max: f64,
    /// Largest max|a−b| / max|b| over the outputs of one input.
    pub difference_relative: f64,
    /// Rows whose argmax agrees, of all; 1 where no output has rows.
    pub argmax_agreement: f64,
    /// √(Σ(a−b)² / Σb²) over every element of all outputs and inputs: 0.1 is a signal-to-noise ratio of 20 dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference_rms: Option<f64>,
    /// What becomes of the answers when this artifact stands in for its part; none in manifests of before it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
}

/// How far the answers of the whole chain are from the model's own, with one part replaced by a converted artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// √(Σ(a−b)² / Σb²) over every element of all the model's outputs and inputs.
    pub difference_rms: f64,
    /// Rows of classes among the model's outputs: floats of one or two axes, the last longer than 1.
    pub of: u32,
    /// Those of them that name the same class.
    pub agree: u32,
    /// Rows of which the model is sure: its class leads the next by 0.1 in probability.
    pub sure_of: u32,
    /// Those of them that name the same class.
    pub sure_agree: u32,
}

pub(super) fn check(part: &Part, artifact: &Artifact) -> Result<(), ManifestError> {
    let Some(conversion) = &artifact.conversion else {
        return Ok(());
    };
    if let Some(tolerance) = conversion.tolerance {
        not_negative("an artifact's tolerance", tolerance)?;
    }
    check_bindings(artifact, &conversion.inputs, &part.inputs)?;
    check_bindings(artifact, &conversion.outputs, &part.outputs)
}

fn check_bindings(artifact: &Artifact, bindings: &[Binding], values: &[String]) -> Result<(), ManifestError> {
    if bindings.is_empty() {
        return Ok(());
    }
    let file = &artifact.file;
    let mut named: Vec<&str> = bindings.iter().map(|b| b.value.as_str()).collect();
    let mut wanted: Vec<&str> = values.iter().map(String::as_str).collect();
    named.sort_unstable();
    wanted.sort_unstable();
    if named != wanted {
        return inconsistent(format!("{file}: its tensors stand for {named:?}, expected {wanted:?}"));
    }
    for binding in bindings {
        let mut axes = binding.order.clone();
        axes.sort_unstable();
        let each_once = axes.iter().enumerate().all(|(k, axis)| usize::from(*axis) == k);
        if !each_once || axes.len() > MAX_RANK {
            return inconsistent(format!("{file}: {:?} is no order of axes", binding.order));
        }
    }
    Ok(())
}
