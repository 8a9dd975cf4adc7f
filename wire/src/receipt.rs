//! The receipt: the last stage's word that a frame is answered. It frees the frame at the first stage.

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::error::WireError;
use crate::id::FrameId;
use crate::limits::MAX_REASON_BYTES;
use crate::seal::{self, Kind};

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "the reason is inline: no allocator on a microcontroller"
)]
pub enum Outcome {
    /// A result was published.
    Answered,
    /// The frame can never be answered (unknown model or cut, does not fit the part); sending it again is no use.
    Refused(String<MAX_REASON_BYTES>),
}

/// Answers one frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The frame that is answered.
    pub id: FrameId,
    /// What became of it.
    pub outcome: Outcome,
    /// From taking the frame's delivery up to writing this receipt, µs on the answering stage's monotonic clock, all
    /// stages behind the first included. Transfer = (receipt − send on the head's clock) − this.
    pub away_us: u64,
}

impl Receipt {
    /// Writes the sealed receipt into `out`; gives the bytes written.
    ///
    /// # Errors
    /// When `out` is too small.
    pub fn write_into(&self, out: &mut [u8]) -> Result<usize, WireError> {
        seal::seal_into(Kind::Receipt, self, 0, out, |_| Ok(()))
    }

    /// The sealed receipt.
    ///
    /// # Errors
    /// Never for a value that was built within its bounds; the header's bound is checked again.
    #[cfg(feature = "alloc")]
    pub fn to_vec(&self) -> Result<alloc::vec::Vec<u8>, WireError> {
        seal::seal_to_vec(Kind::Receipt, self)
    }

    /// Reads a receipt, checking all of it.
    ///
    /// # Errors
    /// When the bytes are no intact receipt.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let (kind, header, payload) = seal::open(bytes)?;
        match kind {
            Kind::Receipt if payload.is_empty() => seal::header(header),
            Kind::Receipt => Err(WireError::TrailingBytes(payload.len())),
            other => Err(WireError::WrongKind(other as u8)),
        }
    }
}
