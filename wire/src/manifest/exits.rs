//! Early exits: graph outputs at which a stage may answer by itself.

use serde::{Deserialize, Serialize};

/// A graph output at which a stage may answer by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    /// The graph output.
    pub output: String,
    /// The part that makes it.
    pub part: u8,
    /// When the stage answers here; never, where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ExitPolicy>,
}

/// When an exit answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitPolicy {
    /// What is compared with the threshold.
    pub measure: ExitMeasure,
    /// Answers when max-prob or margin is at least this, or entropy (nat) at most this.
    pub threshold: f64,
}

/// How sure an exit is, from the softmax of its logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitMeasure {
    /// The largest probability.
    MaxProb,
    /// Entropy in nat.
    Entropy,
    /// The largest probability less the second.
    Margin,
}
