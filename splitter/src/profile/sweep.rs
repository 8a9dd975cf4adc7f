//! Sweeps: every split run for real, as tables. Ours are JSON; the reference tool's CSV files are read and written too.
//!
//! Owns: what a row is, what it adds up to, what the table says is best. Must not know: how a plan is computed.
//! Start at [`Sweep`]; a plan answers the same question from one profile, a sweep is the proof.

use serde::{Deserialize, Serialize};

use crate::oscar::timeline::Timeline;

mod elsewhere;
mod records;
pub mod reference_csv;
mod run;
mod verdict;

pub use elsewhere::{Cloud, CloudCall};
pub use run::{SweepError, SweepJob, sweep};
pub use verdict::{SweepVerdict, verdict};

/// The sweep format that this program writes and reads.
pub const FORMAT: u32 = 1;
/// Longest table, bytes.
pub const MAX_SWEEP_BYTES: usize = 64 * 1024 * 1024;
/// Most rows of a table.
pub const MAX_ROWS: usize = 1_000_000;

/// Splits that were run, with the whole model beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Format of this document, [`FORMAT`].
    pub format: u32,
    /// What wrote it.
    pub tool: String,
    /// The model's name, or the file that the table came from.
    pub model: String,
    /// SHA-256 of the model; none for tables of the reference tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<kerf_wire::Digest>,
    /// How the figures came about, e.g. the link that was assumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// One row a way and repetition.
    pub rows: Vec<Row>,
}

/// Where a row ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The whole model on the device.
    Edge,
    /// The whole model in the cloud.
    Cloud,
    /// Cut at one value.
    Split,
}

/// One way, run once; milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Where it ran.
    pub way: Way,
    /// The value that it was cut at; empty where it was not cut.
    pub value: String,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// The head's run.
    pub head_ms: f64,
    /// The tail's run.
    pub tail_ms: f64,
    /// From tensors to what is sent.
    pub save_ms: f64,
    /// From what came to tensors.
    pub load_ms: f64,
    /// On the network.
    pub network_ms: f64,
    /// A job that the cloud started for this call, by its log's first and last line, the tail's run within it; 0 where none.
    #[serde(default)]
    pub job_ms: f64,
    /// That job's pod, from asking for it to its end, to the second; 0 where none.
    #[serde(default)]
    pub pod_ms: f64,
    /// Elements that crossed.
    pub elements: u64,
    /// Bytes that crossed; none where the table does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_bytes: Option<u64>,
    /// The node before the value run alone on the device; none where not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_ms: Option<f64>,
    /// Its operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<u64>,
    /// Where a call to the cloud took its time, section by section; none where the tail ran here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Timeline>,
}

impl Row {
    /// A row of which only the way is known.
    pub fn new(way: Way, value: &str, repetition: u32) -> Self {
        Self {
            way,
            value: value.to_owned(),
            repetition,
            head_ms: 0.0,
            tail_ms: 0.0,
            save_ms: 0.0,
            load_ms: 0.0,
            network_ms: 0.0,
            job_ms: 0.0,
            pod_ms: 0.0,
            elements: 0,
            payload_bytes: None,
            layer_ms: None,
            op: None,
            params: None,
            cloud: None,
        }
    }

    /// From input to answer with a tail that stays up.
    pub fn total_ms(&self) -> f64 {
        match self.way {
            Way::Edge => self.head_ms,
            Way::Cloud | Way::Split => self.head_ms + self.save_ms + self.network_ms + self.load_ms + self.tail_ms,
        }
    }

    /// From input to answer where each call starts a job: the tail's run is within it.
    pub fn total_with_job_ms(&self) -> f64 {
        match self.way {
            Way::Edge => self.head_ms,
            Way::Cloud | Way::Split => match &self.cloud {
                // Measured from end to end; a log's first line is not yet the job's start.
                Some(call) => self.head_ms + self.save_ms + call.total_ms,
                None => self.head_ms + self.save_ms + self.network_ms + self.job_ms,
            },
        }
    }
}

/// Why a table was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Over [`MAX_SWEEP_BYTES`] or [`MAX_ROWS`].
    #[error("the table is over the limit: {0}")]
    OverLimit(String),
    /// Not JSON of this shape.
    #[error("the table is not what this program reads: {0}")]
    Json(#[source] serde_json::Error),
    /// A column or a number is missing or wrong.
    #[error("line {line}: {what}")]
    Line {
        /// Line of the file, from 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// No row at all.
    #[error("the table has no row")]
    Empty,
}

impl Sweep {
    /// Reads a table, JSON or one of the reference tool's CSV files.
    ///
    /// # Errors
    /// When it is neither, or over a bound.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, TableError> {
        if bytes.len() > MAX_SWEEP_BYTES {
            return Err(TableError::OverLimit(format!(
                "{} bytes, at most {MAX_SWEEP_BYTES}",
                bytes.len()
            )));
        }
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let sweep = if first == Some(&b'{') {
            let sweep: Self = serde_json::from_slice(bytes).map_err(TableError::Json)?;
            if sweep.format != FORMAT {
                return Err(TableError::OverLimit(format!(
                    "format {}, expected {FORMAT}",
                    sweep.format
                )));
            }
            sweep
        } else {
            reference_csv::read(bytes, name)?
        };
        if sweep.rows.is_empty() {
            return Err(TableError::Empty);
        }
        Ok(sweep)
    }

    /// The document as it is written: pretty JSON with a final newline.
    ///
    /// # Errors
    /// When a number in it is not finite.
    pub fn to_json(&self) -> Result<String, TableError> {
        let mut text = serde_json::to_string_pretty(self).map_err(TableError::Json)?;
        text.push('\n');
        Ok(text)
    }
}
