//! Predictions: what a model takes on a machine where it was never run.
//!
//! Owns: features of a node, the regression, its intervals, the file that a team shares. Must not know: how anything was
//! measured, plans. Start at [`Predictor`]; `kerf calibrate` makes one, `kerf predict` turns it into a profile.
//!
//! Two steps. Each kind of node takes `fixed + a · MACs + b · bytes + c · nodes inside`, none of them negative, fitted to the relative
//! error: that goes on beyond what was measured. Gradient-boosted trees then correct its logarithm by the node's shape: what
//! is not linear, like caches and vector widths. Intervals come from models that were left out while fitting, so they
//! hold for a model that was never seen.

pub mod features;
mod fit;
pub mod generate;
pub mod held_out;
mod linear;

pub use features::{Observation, observe};
pub use fit::{FitError, Fitted, Predicted};
pub use held_out::{HeldOut, hold_out};

use std::collections::BTreeMap;

use kerf_wire::profile::Machine;
use serde::{Deserialize, Serialize};

/// How the names of made-up networks begin: they teach, and are not judged.
pub const GENERATED: &str = "generated";
/// The predictor format that this program writes and reads.
pub const FORMAT: u32 = 3;
/// Longest predictor, bytes.
pub const MAX_PREDICTOR_BYTES: usize = 64 * 1024 * 1024;
/// Most observations of one predictor.
pub const MAX_OBSERVATIONS: usize = 200_000;

/// What was observed on one machine; fitting it again is quick, and new observations can be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predictor {
    /// Format of this document, [`FORMAT`].
    pub format: u32,
    /// What wrote it.
    pub tool: String,
    /// The machine.
    pub machine: Machine,
    /// Nodes that were measured, with the model that they were of.
    pub observations: Vec<Observation>,
    /// How far models that were left out were off.
    pub errors: Errors,
}

/// ln(measured ÷ predicted) of what was left out while fitting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// Ends of the interval that holds 90 % of nodes, by their class; the empty name for all others.
    pub node: BTreeMap<String, [f64; 2]>,
    /// Smallest and largest of whole models.
    pub model: [f64; 2],
}

/// Why a predictor was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictorError {
    /// Over a bound.
    #[error("the predictor is over the limit: {0}")]
    OverLimit(String),
    /// Not JSON of this shape.
    #[error("the predictor is not what this program reads: {0}")]
    Json(#[source] serde_json::Error),
    /// Another format, or a number that no measurement gives.
    #[error("the predictor is not valid: {0}")]
    Invalid(String),
}

impl Predictor {
    /// Reads and checks a predictor.
    ///
    /// # Errors
    /// When it is none, or over a bound.
    pub fn parse(bytes: &[u8]) -> Result<Self, PredictorError> {
        if bytes.len() > MAX_PREDICTOR_BYTES {
            return Err(PredictorError::OverLimit(format!(
                "{} bytes, at most {MAX_PREDICTOR_BYTES}",
                bytes.len()
            )));
        }
        let predictor: Self = serde_json::from_slice(bytes).map_err(PredictorError::Json)?;
        if predictor.format != FORMAT {
            return Err(PredictorError::Invalid(format!(
                "format {}, expected {FORMAT}",
                predictor.format
            )));
        }
        if predictor.observations.len() > MAX_OBSERVATIONS {
            let got = predictor.observations.len();
            return Err(PredictorError::OverLimit(format!(
                "{got} observations, at most {MAX_OBSERVATIONS}"
            )));
        }
        let wrong = predictor.observations.iter().find(|o| !o.is_valid());
        match wrong {
            Some(wrong) => Err(PredictorError::Invalid(format!(
                "observation {} of {}",
                wrong.kind, wrong.model
            ))),
            None => Ok(predictor),
        }
    }

    /// The document as it is written: JSON with a final newline.
    ///
    /// # Errors
    /// When a number in it is not finite.
    pub fn to_json(&self) -> Result<String, PredictorError> {
        let mut text = serde_json::to_string(self).map_err(PredictorError::Json)?;
        text.push('\n');
        Ok(text)
    }
}
