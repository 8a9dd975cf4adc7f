//! What encoding and decoding a crossing value costs on a machine.

use std::collections::BTreeMap;

/// What a codec costs on one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Codec {
    /// Its name.
    pub name: String,
    /// Nanoseconds to encode a raw byte.
    pub encode_ns_byte: f64,
    /// Nanoseconds to decode to a raw byte.
    pub decode_ns_byte: f64,
    /// Encoded bytes ÷ raw bytes.
    pub ratio: f64,
    /// True where it works on the values below only.
    pub is_fitted: bool,
    /// Values that it was measured on.
    pub values: BTreeMap<String, CodecValue>,
}

/// What a codec costs on one value of one machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodecValue {
    /// Encoded length.
    pub bytes: u64,
    /// Milliseconds to encode it.
    pub encode_ms: f64,
    /// Milliseconds to decode it.
    pub decode_ms: f64,
}

impl Codec {
    /// What it costs on a value of so many raw bytes; none where it cannot be used.
    pub(super) fn on(&self, value: &str, bytes: u64) -> Option<CodecValue> {
        let ms = |ns_byte: f64| bytes as f64 * ns_byte * 1e-6;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates; a ratio is positive"
        )]
        let otherwise = || CodecValue {
            bytes: (bytes as f64 * self.ratio).ceil() as u64,
            encode_ms: ms(self.encode_ns_byte),
            decode_ms: ms(self.decode_ns_byte),
        };
        let measured = self.values.get(value).copied();
        measured.or_else(|| (!self.is_fitted).then(otherwise))
    }
}
