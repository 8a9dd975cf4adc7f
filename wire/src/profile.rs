//! `profile.json`: what one model costs on one machine, as measured. Written by `kerf profile` and `kerf-stage bench`, read by the planner.
//!
//! Owns: the document and the statistics in it. Must not know: graphs (which node a kernel belongs to is the splitter's business), engines.
//! Everything read from it is hostile until [`Profile::parse`] has checked it. Times are milliseconds of wall clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

mod codec;
mod link;
mod sample;

pub use codec::{CodecCost, MAX_CODEC_VALUES, ValueCost};
pub use link::{LINK_FORMAT, LinkPoint, LinkProfile, MAX_LINK_BYTES, MAX_LINK_POINTS, StoreCost};
pub use sample::Sample;

/// The profile format that this program writes and reads.
pub const FORMAT: u32 = 1;
/// Longest profile, bytes.
pub const MAX_PROFILE_BYTES: usize = 64 * 1024 * 1024;
/// Most kernels of one profile.
pub const MAX_KERNELS: usize = 65_536;

/// What one model costs on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Format of this document, [`FORMAT`].
    pub format: u32,
    /// What wrote it, e.g. `kerf 0.1.0`.
    pub tool: String,
    /// Where it was measured.
    pub machine: Machine,
    /// What was measured.
    pub model: MeasuredModel,
    /// From file to a session that can run.
    pub load_ms: f64,
    /// The first run after loading.
    pub first_run_ms: f64,
    /// Warm runs of the whole model, nothing timed inside.
    pub run_ms: Sample,
    /// What the engine really ran, in its order; empty where it has no timings.
    pub kernels: Vec<Kernel>,
    /// Warm runs while the kernels were timed: what timing costs is this less `run_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timed_run_ms: Option<Sample>,
    /// Peak resident memory of the process after the runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Energy a run, measured (RAPL, INA) or computed from watts given by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Energy>,
    /// What the inputs were that it was measured with; none where they were made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<MeasuredInput>,
    /// Length of a result of this model as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_bytes: Option<u64>,
    /// Codecs by name, measured on this machine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub codecs: BTreeMap<String, CodecCost>,
}

/// A machine and the engine on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// What a person calls it.
    pub name: String,
    /// e.g. `CPU (AVX2, 2 threads)`.
    pub device: String,
    /// The backend's name.
    pub backend: String,
    /// The backend's version.
    pub version: String,
    /// Threads inside the engine; its own default where none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Runnable processes a CPU in the minute before (load average ÷ CPUs): above about 0.5 the figures are not to be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_load: Option<f64>,
}

/// The model that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredModel {
    /// File name without folder and extension.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Length of the file.
    pub bytes: u64,
}

/// One kernel: what the engine made of one or more nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// The engine's name for it.
    pub name: String,
    /// The engine's name of the operation.
    pub op: String,
    /// Nodes or values of the model that the engine says it covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
    /// Time a run.
    pub ms: Sample,
}

/// Energy of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// Joules a run.
    pub run_joules: f64,
    /// Watts while nothing runs.
    pub idle_watts: f64,
    /// `rapl`, `ina` or `given`.
    pub source: String,
}

/// An input as it came, and what becomes of it before the model runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredInput {
    /// Mean length of the files.
    pub file_bytes: u64,
    /// From file to tensor: decoding, resizing.
    pub read_ms: Sample,
    /// True for pictures: they can be sent as they came.
    pub is_picture: bool,
}

/// Why a profile was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Over [`MAX_PROFILE_BYTES`].
    #[error("the profile has {got} bytes, expected at most {MAX_PROFILE_BYTES}")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// Not JSON of this shape.
    #[error("the profile is not what this program reads: {0}")]
    Json(#[source] serde_json::Error),
    /// Another format.
    #[error("the profile has format {got}, expected {FORMAT}; it was written by {tool:?}")]
    Format {
        /// Its format.
        got: u32,
        /// What wrote it.
        tool: String,
    },
    /// A number that no measurement gives.
    #[error("{field}: expected a finite number that is not negative, got {got}")]
    Number {
        /// Which.
        field: String,
        /// Its value.
        got: f64,
    },
    /// Over [`MAX_KERNELS`].
    #[error("the profile has {got} kernels, expected at most {MAX_KERNELS}")]
    Kernels {
        /// How many.
        got: usize,
    },
    /// Over another bound.
    #[error("{what}: expected at most {most}, got {got}")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: usize,
        /// What came.
        got: usize,
    },
}

impl Profile {
    /// Reads and checks a profile.
    ///
    /// # Errors
    /// When it is no profile of this format, or holds numbers that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProfileError> {
        if bytes.len() > MAX_PROFILE_BYTES {
            return Err(ProfileError::TooLong { got: bytes.len() });
        }
        probe(bytes, FORMAT)?;
        let profile: Self = serde_json::from_slice(bytes).map_err(ProfileError::Json)?;
        profile.check()?;
        Ok(profile)
    }

    /// The document as it is written: pretty JSON with a final newline.
    ///
    /// # Errors
    /// When a number in it is not finite.
    pub fn to_json(&self) -> Result<String, ProfileError> {
        self.check()?;
        let mut text = serde_json::to_string_pretty(self).map_err(ProfileError::Json)?;
        text.push('\n');
        Ok(text)
    }

    /// Sum of the kernels' medians.
    pub fn kernels_ms(&self) -> f64 {
        self.kernels.iter().map(|kernel| kernel.ms.median).sum()
    }

    /// What a run takes beyond its kernels, by medians; negative where timing itself slowed the kernels down.
    pub fn residual_ms(&self) -> f64 {
        self.run_ms.median - self.kernels_ms()
    }

    fn check(&self) -> Result<(), ProfileError> {
        if self.kernels.len() > MAX_KERNELS {
            return Err(ProfileError::Kernels {
                got: self.kernels.len(),
            });
        }
        number("load_ms", self.load_ms)?;
        number("first_run_ms", self.first_run_ms)?;
        self.run_ms.check("run_ms")?;
        if let Some(timed) = &self.timed_run_ms {
            timed.check("timed_run_ms")?;
        }
        for kernel in &self.kernels {
            kernel.ms.check(&kernel.name)?;
        }
        if let Some(energy) = &self.energy {
            number("run_joules", energy.run_joules)?;
            number("idle_watts", energy.idle_watts)?;
        }
        for (name, codec) in &self.codecs {
            codec.check(name)?;
        }
        if let Some(input) = &self.input {
            input.read_ms.check("read_ms")?;
        }
        Ok(())
    }
}

pub(crate) fn number(field: &str, got: f64) -> Result<(), ProfileError> {
    if got.is_finite() && got >= 0.0 {
        return Ok(());
    }
    Err(ProfileError::Number {
        field: field.to_owned(),
        got,
    })
}

fn probe(bytes: &[u8], expected: u32) -> Result<(), ProfileError> {
    let probe: Probe = serde_json::from_slice(bytes).map_err(ProfileError::Json)?;
    if probe.format == expected {
        return Ok(());
    }
    Err(ProfileError::Format {
        got: probe.format,
        tool: probe.tool,
    })
}

/// Read first, so that another format gives an answer that names it.
#[derive(Deserialize)]
struct Probe {
    format: u32,
    #[serde(default)]
    tool: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

    use super::*;

    fn profile() -> Profile {
        Profile {
            format: FORMAT,
            tool: "kerf 0.1.0".into(),
            machine: Machine {
                name: "desk".into(),
                device: "CPU".into(),
                backend: "tract".into(),
                version: "0.23.9".into(),
                threads: Some(1),
                background_load: Some(0.1),
            },
            model: MeasuredModel {
                name: "lenet5".into(),
                sha256: Digest([7; 32]),
                bytes: 3,
            },
            load_ms: 3.0,
            first_run_ms: 2.0,
            run_ms: Sample::of(&[1.0, 2.0, 3.0]),
            kernels: vec![Kernel {
                name: "conv".into(),
                op: "Conv".into(),
                covers: vec!["conv1".into()],
                ms: Sample::of(&[0.5; 4]),
            }],
            timed_run_ms: None,
            memory_bytes: None,
            energy: None,
            input: None,
            answer_bytes: None,
            codecs: BTreeMap::new(),
        }
    }

    #[test]
    fn a_profile_reads_back_and_its_residual_is_what_the_kernels_leave() {
        let profile = profile();
        let back = Profile::parse(profile.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(back, profile);
        assert!((back.residual_ms() - 1.5).abs() < 1e-12);
    }

    #[test]
    fn what_no_measurement_gives_is_refused_by_name() {
        let mut negative = profile();
        negative.load_ms = -1.0;
        let text = serde_json::to_string(&negative).unwrap();
        assert!(
            Profile::parse(text.as_bytes())
                .unwrap_err()
                .to_string()
                .starts_with("load_ms")
        );
        let other = text.replacen("\"format\":1", "\"format\":9", 1);
        assert!(
            Profile::parse(other.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("format 9")
        );
        negative.load_ms = f64::NAN;
        assert!(negative.to_json().is_err());
    }
}
