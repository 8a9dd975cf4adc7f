//! `plan.json`: which cut is the best, what it comes to, and beside what. Written by `kerf plan`, read by `kerf split --plan`.

use std::collections::BTreeMap;

use kerf_wire::Digest;
use serde::{Deserialize, Serialize};

use super::baseline::Baseline;
use super::goal::Goal;
use super::outcome::Outcome;

/// The plan format that this program writes and reads.
pub const FORMAT: u32 = 1;
/// Longest plan, bytes.
pub const MAX_PLAN_BYTES: usize = 16 * 1024 * 1024;

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format of this document, [`FORMAT`].
    pub format: u32,
    /// What wrote it, e.g. `kerf 0.1.0`.
    pub tool: String,
    /// The model it is for; none where it was made from tables alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PlannedModel>,
    /// What was to be best.
    pub goal: Goal,
    /// The answer in one sentence.
    pub verdict: String,
    /// Where the network goes.
    pub placement: Placement,
    /// False where a search was stopped by its bound: the plan is good, but not proven to be the best.
    pub proven: bool,
    /// What crosses each link that is used, the device's first; empty on edge only.
    pub cuts: Vec<PlannedCut>,
    /// What it comes to.
    pub predicted: Outcome,
    /// Against the best way not to cut, in the goal's unit; none where nothing is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
    /// The best cut that was not taken; none where the plan cuts, or no cut is legal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_cut: Option<Alternative>,
    /// The simple ways, for comparison.
    pub baselines: Vec<Alternative>,
    /// Which cut is the best at which speed of the first link, all else equal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uplink_kbit_s_ranges: Vec<Range>,
    /// Which cut is the best at which RTT of the first link, all else equal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rtt_ms_ranges: Vec<Range>,
    /// Trade-offs between the goal and a second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<Front>,
    /// Every cut at one value, and those of several that are the best somewhere: what a report's sliders choose among.
    /// Of two machines only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// What was taken for granted.
    pub assumptions: Assumptions,
}

/// One way, with what does not depend on the link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Where the network goes.
    pub placement: Placement,
    /// What crosses.
    pub values: Vec<String>,
    /// Their codecs by name; raw where not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub codecs: BTreeMap<String, String>,
    /// On the device, encoding included.
    pub device_ms: f64,
    /// In the cloud, decoding included.
    pub cloud_ms: f64,
    /// Over the link.
    pub payload_bytes: u64,
}

impl Candidate {
    /// What a person calls it.
    pub fn label(&self) -> String {
        match self.placement {
            Placement::EdgeOnly => "device only".into(),
            Placement::CloudRaw => "cloud only, the input sent".into(),
            Placement::CloudPhoto => "cloud only, the photo sent".into(),
            Placement::Split => self.values.join(" + "),
        }
    }
}

/// The model that a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedModel {
    /// File name without folder and extension.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
}

/// Where the network goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// All on the device.
    EdgeOnly,
    /// All on one other machine, which gets the model's input as a tensor.
    CloudRaw,
    /// All on one other machine, which gets the photo as it came.
    CloudPhoto,
    /// Cut.
    Split,
}

/// What crosses one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedCut {
    /// Names of the values, in the network's order.
    pub values: Vec<String>,
    /// Their codecs by name; raw where not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub codecs: BTreeMap<String, String>,
    /// What codecs need that are fitted to a value, by the value's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, serde_json::Value>,
    /// Encoded bytes a frame.
    pub payload_bytes: u64,
}

/// How much better one way is than another, in the goal's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// Than which.
    pub over: Baseline,
    /// By how much.
    pub amount: f64,
    /// 95 % interval.
    pub interval: [f64; 2],
}

/// A way that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// Which baseline, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What crosses each link.
    pub cuts: Vec<PlannedCut>,
    /// What it comes to.
    pub outcome: Outcome,
}

/// The best way within a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Where the network goes.
    pub placement: Placement,
    /// What crosses each link.
    pub cuts: Vec<PlannedCut>,
    /// The goal's figure where it begins.
    pub at_from: f64,
    /// The goal's figure where it ends.
    pub at_to: f64,
}

/// Trade-offs between two goals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// The second goal.
    pub against: Goal,
    /// No other cut is better under both.
    pub points: Vec<Alternative>,
}

/// What was taken for granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// The machines, the device first.
    pub tiers: Vec<String>,
    /// Speed of each link.
    pub uplink_kbit_s: Vec<f64>,
    /// RTT of each link.
    pub rtt_ms: Vec<f64>,
    /// Other fixed time a frame on each link.
    pub frame_ms: Vec<f64>,
    /// Start of a job or pod behind each link, paid every frame.
    pub start_ms: Vec<f64>,
    /// What a reader should know about the figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Why a plan was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanReadError {
    /// Over [`MAX_PLAN_BYTES`].
    #[error("the plan has {got} bytes, expected at most {MAX_PLAN_BYTES}")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// Not JSON of this shape.
    #[error("the plan is not what this program reads: {0}")]
    Json(#[source] serde_json::Error),
    /// Another format.
    #[error("the plan has format {got}, expected {FORMAT}; it was written by {tool:?}")]
    Format {
        /// Its format.
        got: u32,
        /// What wrote it.
        tool: String,
    },
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// When it is no plan of this format.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlanReadError> {
        if bytes.len() > MAX_PLAN_BYTES {
            return Err(PlanReadError::TooLong { got: bytes.len() });
        }
        let probe: Probe = serde_json::from_slice(bytes).map_err(PlanReadError::Json)?;
        if probe.format != FORMAT {
            return Err(PlanReadError::Format {
                got: probe.format,
                tool: probe.tool,
            });
        }
        serde_json::from_slice(bytes).map_err(PlanReadError::Json)
    }

    /// The document as it is written: pretty JSON with a final newline.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, PlanReadError> {
        let mut text = serde_json::to_string_pretty(self).map_err(PlanReadError::Json)?;
        text.push('\n');
        Ok(text)
    }
}

/// Read first, so that another format gives an answer that names it.
#[derive(Deserialize)]
struct Probe {
    format: u32,
    #[serde(default)]
    tool: String,
}
