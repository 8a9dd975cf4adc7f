//! `link.json`: what it costs to move a frame over one broker and object store, as measured. Written by `kerf profile --link`,
//! read by `kerf plan --link`.

use serde::{Deserialize, Serialize};

use super::{ProfileError, Sample, number, probe};

/// The link format that this program writes and reads.
pub const LINK_FORMAT: u32 = 1;
/// Longest link document, bytes.
pub const MAX_LINK_BYTES: usize = 1024 * 1024;
/// Most sizes of one document.
pub const MAX_LINK_POINTS: usize = 1024;

/// What one link costs. A frame of n bytes takes `rtt_ms + frame_ms + 8n / uplink_kbit_s` from its hand-over to the answer's
/// arrival, the stages' work not counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkProfile {
    /// Format of this document, [`LINK_FORMAT`].
    pub format: u32,
    /// What wrote it, e.g. `kerf 0.1.0`.
    pub tool: String,
    /// The broker that it was measured on.
    pub broker: String,
    /// Where the other end was, e.g. its address of the broker; empty where nobody answered there.
    #[serde(default)]
    pub far: String,
    /// From here to the other end.
    pub uplink_kbit_s: f64,
    /// Back.
    pub downlink_kbit_s: f64,
    /// The smallest message, there and back.
    pub rtt_ms: Sample,
    /// What a frame costs beyond `rtt_ms` and its bytes.
    pub frame_ms: f64,
    /// Half the width that holds 95 of 100 measured sizes about the line, as a fraction of their time.
    pub noise: f64,
    /// What was measured: from small to large.
    pub points: Vec<LinkPoint>,
    /// The object store, where one was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreCost>,
}

/// One size, sent again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPoint {
    /// Payload.
    pub bytes: u64,
    /// From hand-over to the answer.
    pub ms: Sample,
}

/// What an object store costs: frames above the inline bound go there, and a reference on the broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreCost {
    /// Where.
    pub url: String,
    /// Frames of more bytes than this go there.
    pub above_bytes: u64,
    /// To put an object: fixed, milliseconds.
    pub put_ms: f64,
    /// To put an object: nanoseconds a byte.
    pub put_ns_byte: f64,
    /// To fetch one at the other end: fixed, milliseconds; 0 where it was not measured there.
    pub fetch_ms: f64,
    /// To fetch one at the other end: nanoseconds a byte.
    pub fetch_ns_byte: f64,
}

impl LinkProfile {
    /// Reads and checks a link document.
    ///
    /// # Errors
    /// When it is none of this format, or holds numbers that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProfileError> {
        if bytes.len() > MAX_LINK_BYTES {
            return Err(ProfileError::OverLimit {
                what: "bytes of a link document",
                most: MAX_LINK_BYTES,
                got: bytes.len(),
            });
        }
        probe(bytes, LINK_FORMAT)?;
        let link: Self = serde_json::from_slice(bytes).map_err(ProfileError::Json)?;
        link.check()?;
        Ok(link)
    }

    /// The document as it is written: pretty JSON with a final newline.
    ///
    /// # Errors
    /// When a number in it is not one that a measurement gives.
    pub fn to_json(&self) -> Result<String, ProfileError> {
        self.check()?;
        let mut text = serde_json::to_string_pretty(self).map_err(ProfileError::Json)?;
        text.push('\n');
        Ok(text)
    }

    fn check(&self) -> Result<(), ProfileError> {
        if self.points.len() > MAX_LINK_POINTS {
            return Err(ProfileError::OverLimit {
                what: "sizes of a link",
                most: MAX_LINK_POINTS,
                got: self.points.len(),
            });
        }
        for (field, speed) in [
            ("uplink_kbit_s", self.uplink_kbit_s),
            ("downlink_kbit_s", self.downlink_kbit_s),
        ] {
            number(field, speed)?;
            if speed == 0.0 {
                return Err(ProfileError::Number {
                    field: field.to_owned(),
                    got: speed,
                });
            }
        }
        number("frame_ms", self.frame_ms)?;
        number("noise", self.noise)?;
        self.rtt_ms.check("rtt_ms")?;
        self.points.iter().try_for_each(|point| point.ms.check("points"))?;
        let Some(store) = &self.store else { return Ok(()) };
        [store.put_ms, store.put_ns_byte, store.fetch_ms, store.fetch_ns_byte]
            .into_iter()
            .try_for_each(|figure| number("store", figure))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn a_link_reads_back_and_a_speed_of_nothing_is_refused() {
        let mut link = LinkProfile {
            format: LINK_FORMAT,
            tool: "kerf 0.1.0".into(),
            broker: "localhost:1883".into(),
            far: String::new(),
            uplink_kbit_s: 8_000.0,
            downlink_kbit_s: 20_000.0,
            rtt_ms: Sample::exact(30.0),
            frame_ms: 0.4,
            noise: 0.02,
            points: vec![LinkPoint {
                bytes: 100,
                ms: Sample::exact(30.5),
            }],
            store: None,
        };
        assert_eq!(LinkProfile::parse(link.to_json().unwrap().as_bytes()).unwrap(), link);
        link.uplink_kbit_s = 0.0;
        assert!(link.to_json().unwrap_err().to_string().contains("uplink_kbit_s"));
    }
}
