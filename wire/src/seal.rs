//! The outer layer of every binary message: what it is, how long its header is, and a checksum over all.
//!
//! | bytes | what |
//! |---|---|
//! | 0..2 | `KF` |
//! | 2 | version, 1 |
//! | 3 | kind: 1 frame, 2 reference, 3 receipt |
//! | 4..8 | length of the header, u32 little-endian |
//! | 8..8+n | the header: postcard of the kind's type |
//! | … | payloads, one after the other, lengths in the header |
//! | last 4 | CRC-32C (RFC 3720, Castagnoli) over everything before it, u32 little-endian |
//!
//! The version is of the whole message: a change of any header's fields raises it.

use crc::{CRC_32_ISCSI, Crc, Table};
use serde::{Deserialize, Serialize};

use crate::error::WireError;
use crate::limits::{MAX_HEADER_BYTES, MAX_MESSAGE_BYTES};

/// The version that this program writes.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 2] = *b"KF";
pub(crate) const PREFIX_BYTES: usize = 8;
pub(crate) const CHECKSUM_BYTES: usize = 4;
/// A static: a constant would be 16 KB wherever it is used.
static CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// CRC-32C (Castagnoli, RFC 3720) of bytes that lie in pieces.
pub fn crc32c(pieces: &[&[u8]]) -> u32 {
    let mut digest = CASTAGNOLI.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

/// What a sealed message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Tensors that cross a cut.
    Frame = 1,
    /// Where a frame too large for the broker lies.
    Reference = 2,
    /// A tail's word that a frame is answered.
    Receipt = 3,
}

impl Kind {
    fn from_byte(byte: u8) -> Result<Self, WireError> {
        match byte {
            1 => Ok(Self::Frame),
            2 => Ok(Self::Reference),
            3 => Ok(Self::Receipt),
            other => Err(WireError::WrongKind(other)),
        }
    }
}

/// Bytes of a sealed message around a header and payloads of these lengths.
pub const fn sealed_bytes(header: usize, payload: usize) -> usize {
    PREFIX_BYTES + header + payload + CHECKSUM_BYTES
}

/// Checks everything that can be checked without knowing the header's type; gives the kind, the header and the payload.
///
/// # Errors
/// When the message is cut short, damaged, too long, or of a version that is not known.
pub fn open(bytes: &[u8]) -> Result<(Kind, &[u8], &[u8]), WireError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::OverLimit("message bytes"));
    }
    let truncated = |expected| WireError::Truncated {
        expected,
        got: bytes.len(),
    };
    let (&[m0, m1, version, kind, l0, l1, l2, l3], _) = bytes
        .split_first_chunk::<PREFIX_BYTES>()
        .ok_or(truncated(PREFIX_BYTES + CHECKSUM_BYTES))?;
    if [m0, m1] != MAGIC {
        return Err(WireError::BadMagic);
    }
    if version != VERSION {
        return Err(WireError::UnknownVersion(version));
    }
    let header_bytes = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).map_err(|_| WireError::ShapeOverflow)?;
    if header_bytes > MAX_HEADER_BYTES {
        return Err(WireError::OverLimit("header bytes"));
    }
    let (sealed, checksum) = bytes
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or(truncated(PREFIX_BYTES + CHECKSUM_BYTES))?;
    let expected = sealed_bytes(header_bytes, 0);
    let body = sealed
        .get(PREFIX_BYTES..)
        .filter(|body| body.len() >= header_bytes)
        .ok_or(truncated(expected))?;
    if crc32c(&[sealed]) != u32::from_le_bytes(*checksum) {
        return Err(WireError::BadChecksum);
    }
    let (header, payload) = body.split_at_checked(header_bytes).ok_or(truncated(expected))?;
    Ok((Kind::from_byte(kind)?, header, payload))
}

/// Decodes a header that must use all of its bytes.
pub(crate) fn header<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, WireError> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| WireError::BadHeader)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(WireError::TrailingBytes(rest.len()))
    }
}

/// Writes a message into `out`; `payload` fills exactly `payload_bytes`. Gives the bytes written.
///
/// # Errors
/// When `out` is too small, the header is over its bound, or `payload` fails.
pub fn seal_into<T: Serialize>(
    kind: Kind,
    header: &T,
    payload_bytes: usize,
    out: &mut [u8],
    payload: impl FnOnce(&mut [u8]) -> Result<(), WireError>,
) -> Result<usize, WireError> {
    let (prefix, rest) = out
        .split_first_chunk_mut::<PREFIX_BYTES>()
        .ok_or(WireError::BufferTooSmall)?;
    let header_bytes = postcard::to_slice(header, rest)
        .map_err(|_| WireError::BufferTooSmall)?
        .len();
    if header_bytes > MAX_HEADER_BYTES {
        return Err(WireError::OverLimit("header bytes"));
    }
    *prefix = prefix_of(kind, header_bytes)?;
    let body = rest
        .get_mut(header_bytes..)
        .and_then(|r| r.get_mut(..payload_bytes))
        .ok_or(WireError::BufferTooSmall)?;
    payload(body)?;
    let total = sealed_bytes(header_bytes, payload_bytes);
    let message = out.get_mut(..total).ok_or(WireError::BufferTooSmall)?;
    write_checksum(message)?;
    Ok(total)
}

/// The first bytes of a message with a header of this length.
pub(crate) fn prefix_of(kind: Kind, header_bytes: usize) -> Result<[u8; PREFIX_BYTES], WireError> {
    let [l0, l1, l2, l3] = u32::try_from(header_bytes)
        .map_err(|_| WireError::OverLimit("header bytes"))?
        .to_le_bytes();
    Ok([MAGIC[0], MAGIC[1], VERSION, kind as u8, l0, l1, l2, l3])
}

/// Fills the last four bytes of a message that is otherwise complete, after checking its length.
pub(crate) fn write_checksum(message: &mut [u8]) -> Result<(), WireError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::OverLimit("message bytes"));
    }
    let (sealed, checksum) = message
        .split_last_chunk_mut::<CHECKSUM_BYTES>()
        .ok_or(WireError::BufferTooSmall)?;
    *checksum = crc32c(&[sealed]).to_le_bytes();
    Ok(())
}

/// A message without payloads.
#[cfg(feature = "alloc")]
pub(crate) fn seal_to_vec<T: Serialize>(kind: Kind, header: &T) -> Result<alloc::vec::Vec<u8>, WireError> {
    let mut out = alloc::vec![0; sealed_bytes(encoded_bytes(header)?, 0)];
    seal_into(kind, header, 0, &mut out, |_| Ok(()))?;
    Ok(out)
}

/// Bytes that a header takes as postcard.
#[cfg(feature = "alloc")]
pub(crate) fn encoded_bytes<T: Serialize>(header: &T) -> Result<usize, WireError> {
    postcard::experimental::serialized_size(header).map_err(|_| WireError::BadHeader)
}
