//! What codecs cost on one machine, as a profile says it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ProfileError, number};

/// Most values of one codec in a profile.
pub const MAX_CODEC_VALUES: usize = 65_536;

/// What encoding and decoding with one codec cost here, framing included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecCost {
    /// Nanoseconds to encode one raw byte.
    pub encode_ns_byte: f64,
    /// Nanoseconds to decode to one raw byte.
    pub decode_ns_byte: f64,
    /// Encoded bytes ÷ raw bytes on this model's values.
    pub ratio: f64,
    /// Largest root mean square error over root mean square of any value.
    #[serde(default)]
    pub relative_error: f64,
    /// Each value that was measured by itself; the figures above stand for all others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, ValueCost>,
}

/// What one codec does to one value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueCost {
    /// Encoded length, the mean over the inputs.
    pub bytes: u64,
    /// Milliseconds to encode it into a frame.
    pub encode_ms: f64,
    /// Milliseconds to check the frame and decode it.
    pub decode_ms: f64,
    /// Root mean square error over root mean square.
    #[serde(default)]
    pub relative_error: f64,
    /// Share of the model's answers that change, where that was judged on data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The table that it was encoded with, for codecs that need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<serde_json::Value>,
}

impl CodecCost {
    pub(super) fn check(&self, name: &str) -> Result<(), ProfileError> {
        if self.values.len() > MAX_CODEC_VALUES {
            return Err(ProfileError::OverLimit {
                what: "values of a codec",
                most: MAX_CODEC_VALUES,
                got: self.values.len(),
            });
        }
        for figure in [
            self.encode_ns_byte,
            self.decode_ns_byte,
            self.ratio,
            self.relative_error,
        ] {
            number(name, figure)?;
        }
        for (value, cost) in &self.values {
            for figure in [
                cost.encode_ms,
                cost.decode_ms,
                cost.relative_error,
                cost.loss.unwrap_or(0.0),
            ] {
                number(value, figure)?;
            }
        }
        Ok(())
    }
}
