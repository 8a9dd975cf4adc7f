//! Why bytes were refused.

use core::fmt;

/// Why a message, a tensor or a name is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end before the message does.
    Truncated {
        /// Bytes that the message needs.
        expected: usize,
        /// Bytes that are there.
        got: usize,
    },
    /// Bytes follow the message's end.
    TrailingBytes(usize),
    /// The first two bytes are not `KF`.
    BadMagic,
    /// The version byte is one that this program does not read.
    UnknownVersion(u8),
    /// The kind byte names another message than the one expected.
    WrongKind(u8),
    /// The checksum over the message does not match its bytes.
    BadChecksum,
    /// The header is no valid postcard of its type.
    BadHeader,
    /// A length or count is over its bound in [`crate::limits`]; the text names the bound.
    OverLimit(&'static str),
    /// A device's name is empty or has a character that is not allowed.
    BadName,
    /// The elements of a shape, times the size of one, overflow.
    ShapeOverflow,
    /// The payload's length is not what dtype and shape say.
    WrongPayloadLength {
        /// Bytes that dtype and shape ask for.
        expected: usize,
        /// Bytes of the payload.
        got: usize,
    },
    /// The output buffer is too small.
    BufferTooSmall,
    /// A codec id that this program does not know.
    UnknownCodec(u8),
    /// A codec's payload or parameters are not valid; the text says what.
    BadCodec(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { expected, got } => {
                write!(f, "message is cut short: expected {expected} bytes, got {got}")
            }
            Self::TrailingBytes(n) => write!(f, "{n} bytes follow the message's end"),
            Self::BadMagic => f.write_str("not a kerf message: it does not begin with \"KF\""),
            Self::UnknownVersion(v) => write!(f, "message version {v} is not known to this program"),
            Self::WrongKind(k) => write!(f, "message kind {k} is not the expected one"),
            Self::BadChecksum => f.write_str("message is damaged: its CRC-32C does not match"),
            Self::BadHeader => f.write_str("message header does not decode"),
            Self::OverLimit(what) => write!(f, "over the limit: {what}"),
            Self::BadName => f.write_str(
                "a device name takes letters, digits, '-', '_' and '.', is not empty and does not begin with '.'",
            ),
            Self::ShapeOverflow => f.write_str("shape overflows: its elements do not fit in memory"),
            Self::WrongPayloadLength { expected, got } => {
                write!(
                    f,
                    "tensor payload has {got} bytes, its dtype and shape ask for {expected}"
                )
            }
            Self::BufferTooSmall => f.write_str("output buffer is too small"),
            Self::UnknownCodec(id) => write!(f, "codec {id} is not known to this program"),
            Self::BadCodec(what) => write!(f, "codec payload refused: {what}"),
        }
    }
}

impl core::error::Error for WireError {}
