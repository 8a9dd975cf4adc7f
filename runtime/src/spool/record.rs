//! One record of a segment, and finding the next good one among damaged bytes.
//!
//! Owns: the layout. Must not know: files.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `KFSR` |
//! | 4..8 | length of the frame, u32 little-endian |
//! | 8..16 | sequence, u64 little-endian |
//! | 16..20 | CRC-32C over bytes 0..16 and the frame, u32 little-endian |
//! | 20.. | the frame |

use kerf_wire::limits::MAX_MESSAGE_BYTES;
use kerf_wire::seal::crc32c;

const MAGIC: [u8; 4] = *b"KFSR";
/// Bytes before the frame.
pub(super) const HEADER_BYTES: usize = 20;

/// Appends a record; false, and nothing appended, when the frame is over the format's bound.
pub(super) fn write(out: &mut Vec<u8>, sequence: u64, frame: &[u8]) -> bool {
    let Some(length) = u32::try_from(frame.len())
        .ok()
        .filter(|_| frame.len() <= MAX_MESSAGE_BYTES)
    else {
        return false;
    };
    let begin = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    let checksum = checksum(out.get(begin..).unwrap_or_default(), frame);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(frame);
    true
}

fn checksum(header: &[u8], frame: &[u8]) -> u32 {
    crc32c(&[header, frame])
}

/// A record's header, not yet checked against its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) frame_bytes: usize,
    pub(super) sequence: u64,
    bytes: [u8; 16],
    checksum: u32,
}

impl Header {
    /// None where this is no header.
    pub(super) fn read(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (head, checksum) = bytes.split_first_chunk::<16>()?;
        let (magic, rest) = head.split_first_chunk::<4>()?;
        let (length, sequence) = rest.split_first_chunk::<4>()?;
        let frame_bytes = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if *magic != MAGIC || frame_bytes > MAX_MESSAGE_BYTES {
            return None;
        }
        Some(Self {
            frame_bytes,
            sequence: u64::from_le_bytes(sequence.try_into().ok()?),
            bytes: *head,
            checksum: u32::from_le_bytes(checksum.try_into().ok()?),
        })
    }

    /// True when this is the frame that was written under this header.
    pub(super) fn fits(&self, frame: &[u8]) -> bool {
        frame.len() == self.frame_bytes && checksum(&self.bytes, frame) == self.checksum
    }
}

/// Where the next record may begin, in bytes whose first is not one; or how many of them certainly hold none.
pub(super) fn next_magic(bytes: &[u8]) -> Result<usize, usize> {
    let found = bytes.windows(MAGIC.len()).skip(1).position(|window| window == MAGIC);
    // The last three bytes may be the beginning of a magic.
    found
        .map(|at| at + 1)
        .ok_or_else(|| bytes.len().saturating_sub(MAGIC.len() - 1).max(1))
}
