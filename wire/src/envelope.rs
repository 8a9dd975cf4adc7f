//! What the broker carries: a frame inline, or a reference to one in the object store.

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::WireError;
use crate::frame::Frame;
use crate::id::FrameId;
use crate::limits::MAX_LOCATION_BYTES;
use crate::seal::{self, Kind};

/// Where a frame too large for the broker lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The frame's id, so that repeats are dropped before the fetch.
    pub id: FrameId,
    /// SHA-256 of the sealed frame; also its key in the store.
    pub digest: Digest,
    /// Length of the sealed frame.
    pub frame_bytes: u64,
    /// A presigned URL where the reader has no keys of its own; else empty.
    pub location: String<MAX_LOCATION_BYTES>,
}

impl Reference {
    /// Writes the sealed reference into `out`; gives the bytes written.
    ///
    /// # Errors
    /// When `out` is too small.
    pub fn write_into(&self, out: &mut [u8]) -> Result<usize, WireError> {
        seal::seal_into(Kind::Reference, self, 0, out, |_| Ok(()))
    }

    /// The sealed reference.
    ///
    /// # Errors
    /// Never for a value that was built within its bounds; the header's bound is checked again.
    #[cfg(feature = "alloc")]
    pub fn to_vec(&self) -> Result<alloc::vec::Vec<u8>, WireError> {
        seal::seal_to_vec(Kind::Reference, self)
    }
}

/// A message on a frames topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives on the stack of one call; no allocator on a microcontroller"
)]
pub enum Envelope<'a> {
    /// The frame itself.
    Inline(Frame<'a>),
    /// Where it lies.
    Reference(Reference),
}

impl<'a> Envelope<'a> {
    /// Reads what the broker delivered.
    ///
    /// # Errors
    /// When the bytes are no intact frame or reference.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (kind, header, payload) = seal::open(bytes)?;
        match kind {
            Kind::Frame => Frame::from_opened(header, payload).map(Self::Inline),
            Kind::Reference if payload.is_empty() => seal::header(header).map(Self::Reference),
            Kind::Reference => Err(WireError::TrailingBytes(payload.len())),
            Kind::Receipt => Err(WireError::WrongKind(kind as u8)),
        }
    }

    /// The frame's id, inline or not.
    pub fn id(&self) -> &FrameId {
        match self {
            Self::Inline(frame) => &frame.header.id,
            Self::Reference(reference) => &reference.id,
        }
    }
}
