//! `manifest.json`: all that a stage needs to know about a bundle. Written by `kerf`, read by `kerf-stage`.
//!
//! Everything read from it is hostile until [`Manifest::parse`] has checked it: versions, counts, file names, indices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::CutId;
use crate::limits::MAX_TENSORS;
use crate::tensor::DType;

mod check;
mod conversion;
mod exits;
mod format;
mod preprocess;
pub mod set;

pub use check::ManifestError;
pub use conversion::{Answers, Binding, Comparison, Conversion, Precision};
pub use exits::{Exit, ExitMeasure, ExitPolicy};
pub use format::Format;
pub use preprocess::{Colour, Crop, Layout, Preprocess, Resize};

/// The manifest format that this program writes and reads.
pub const FORMAT: u32 = 1;
/// Longest manifest, bytes.
pub const MAX_MANIFEST_BYTES: usize = 16 * 1024 * 1024;
/// Most parts of a bundle: a frame passes at most [`crate::limits::MAX_HOPS`] stages.
pub const MAX_PARTS: usize = crate::limits::MAX_HOPS;
/// Most values that a manifest describes.
pub const MAX_VALUES: usize = 4096;
/// Widest and highest model input that preprocessing makes, pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Most tensors that cross one cut.
pub const MAX_CROSSING: usize = MAX_TENSORS;

/// A bundle: one partition of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this document, [`FORMAT`].
    pub format: u32,
    /// What wrote it, e.g. `kerf 0.1.0`.
    pub tool: String,
    /// Grows with each release of the same model; a board refuses to go back.
    #[serde(default)]
    pub release: u64,
    /// The whole model that was cut.
    pub model: Model,
    /// Part 0 is the head, the last the tail; one part is edge only.
    pub parts: Vec<Part>,
    /// `cuts[k]` lies between part k and part k + 1.
    pub cuts: Vec<Cut>,
    /// Every value that enters or leaves a part, by name.
    pub values: BTreeMap<String, Value>,
    /// How an image becomes the model's input; none where the input is a tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<Preprocess>,
    /// Class names in the order of the first output's last axis; empty where the model is no classifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// One input with the whole model's output, which a backend must reproduce after loading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
    /// Graph outputs at which a stage may answer by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<Exit>,
    /// What `kerf verify` found: parts against the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
    /// What the planner said of this cut, as it printed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<serde_json::Value>,
}

/// The whole model's identity and its own inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// File name without folder and extension.
    pub name: String,
    /// SHA-256 of the model's file.
    pub sha256: Digest,
    /// Length of the model's file.
    pub bytes: u64,
    /// Graph inputs that are not initialisers, in order.
    pub inputs: Vec<String>,
    /// Graph outputs, in order.
    pub outputs: Vec<String>,
}

/// What one stage runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Values it needs, in the order of its artifact's inputs.
    pub inputs: Vec<String>,
    /// Values it makes, in the order of its artifact's outputs.
    pub outputs: Vec<String>,
    /// The same part in the formats that its backends load. A part without an artifact passes tensors through
    /// (a cloud-only head).
    pub artifacts: Vec<Artifact>,
    /// Backends in the order to try; empty means the stage's own default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<String>,
}

/// A file that a backend loads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// File name beside the manifest: no folder, no `..`.
    pub file: String,
    /// What the file is.
    pub format: Format,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
    /// Files beside it that it reads (external weights, an IR's `.bin`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<Companion>,
    /// Where it was compiled, for formats that belong to one machine or library version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiled_for: Option<String>,
    /// How it was converted; none where it is the part as it was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Conversion>,
}

/// A file that an artifact reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Companion {
    /// File name beside the manifest.
    pub file: String,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
}

/// The values that cross between two parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// [`crate::CutId`] of `values`, 32 hexadecimal digits.
    pub id: String,
    /// All that travels in a frame here, in the frame's order: what later parts need, and outputs already made.
    pub values: Vec<String>,
    /// How each of `values` is encoded, by name; raw where it is not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub codecs: BTreeMap<String, Codec>,
}

/// How one crossing value is encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// The codec's name, e.g. `f16`.
    pub name: String,
    /// Tables fitted offline, in the codec's own form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<serde_json::Value>,
    /// What the first stage may send instead while its link is behind; the frame says what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarser: Option<Coarser>,
}

/// A codec of fewer bytes and more loss than the one that it stands beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coarser {
    /// The same table with all steps 2^(this/4) times as large; for `dct`.
    Coarseness(i8),
    /// Another codec, one without a table.
    Codec(String),
}

/// One dimension: a number, or the name of a symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Axis {
    /// Always this many.
    Fixed(u32),
    /// Known when the model runs; `?` where it has no name.
    Symbol(String),
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Vec<Axis>,
}

/// One input and its expected output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// An `.npz` beside the manifest: a tensor a value name, for each part's inputs and outputs.
    pub file: String,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
    /// Largest max|a−b| / max|b| that passes.
    pub tolerance: f64,
}

/// One comparison of the parts with the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What ran the whole, e.g. `tract 0.23.9`.
    pub whole: String,
    /// What ran the parts.
    pub parts: String,
    /// Seed of the random inputs, or the SHA-256 of a given file.
    pub input: String,
    /// SHA-256 over the parts' digests, in order: the proof is of these files.
    pub files: Digest,
    /// Largest |a−b| over all outputs.
    pub difference_max: f64,
    /// Largest max|a−b| / max|b| over the outputs.
    pub difference_relative: f64,
    /// Inputs whose argmax agrees, of all.
    pub argmax_agreement: f64,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// When it is no manifest of this format, or says what cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLong { got: bytes.len() });
        }
        let probe: Probe = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if probe.format != FORMAT {
            return Err(ManifestError::Format {
                got: probe.format,
                tool: probe.tool,
            });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        check::check(&manifest)?;
        Ok(manifest)
    }

    /// The document as it is written: pretty JSON with a final newline. The bundle's id is the SHA-256 of these bytes.
    ///
    /// # Errors
    /// When it says what [`Manifest::parse`] would refuse.
    pub fn to_json(&self) -> Result<String, ManifestError> {
        check::check(self)?;
        let mut text = serde_json::to_string_pretty(self).map_err(ManifestError::Json)?;
        text.push('\n');
        Ok(text)
    }
}

impl Cut {
    /// The cut's id as it travels in frames.
    ///
    /// # Errors
    /// When the text is not 32 hexadecimal digits.
    pub fn cut_id(&self) -> Result<CutId, ManifestError> {
        let mut id = [0_u8; 16];
        hex::decode_to_slice(&self.id, &mut id).map_err(|_| ManifestError::BadCutId(self.id.clone()))?;
        Ok(CutId(id))
    }
}

/// Read first, so that another format gives an answer that names it.
#[derive(Deserialize)]
struct Probe {
    format: u32,
    #[serde(default)]
    tool: String,
}
