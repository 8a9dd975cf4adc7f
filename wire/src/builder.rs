//! Builds frames one after the other in one buffer, each payload encoded straight into its place.
//!
//! A frame's header comes first and says how long the payloads are, which an encoder knows only at its end. So the
//! payloads begin at a fixed place behind room for the longest header, and the header is written last, right before
//! them: nothing is moved and, once the buffer has grown, nothing is allocated.

use alloc::vec::Vec;

use crate::digest::Digest;
use crate::error::WireError;
use crate::frame::{FrameHeader, Hop, TensorHeader, raw_header};
use crate::id::{CutId, FrameId};
use crate::limits::{MAX_HEADER_BYTES, MAX_HOPS, MAX_MESSAGE_BYTES, MAX_TENSORS};
use crate::seal::{self, CHECKSUM_BYTES, Kind, PREFIX_BYTES};
use crate::tensor::TensorRef;

/// Where the first payload begins in the buffer.
const ROOM: usize = PREFIX_BYTES + MAX_HEADER_BYTES;

/// A frame under construction; see the module.
///
/// ```
/// # use kerf_wire::{CutId, DType, DeviceId, Digest, Frame, FrameBuilder, FrameId, TensorRef, WireError};
/// let mut builder = FrameBuilder::new();
/// builder.push_raw(&TensorRef::new(DType::U8, &[2], &[7, 9])?)?;
/// let id = FrameId { device: DeviceId::new("camera-1")?, boot: 1, sequence: 2 };
/// let bytes = builder.seal(id, Digest([0; 32]), CutId([0; 16]), &[])?;
/// assert_eq!(Frame::parse(bytes)?.header.tensors.len(), 1);
/// # Ok::<(), WireError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct FrameBuilder {
    /// `ROOM` bytes, then the payloads of `tensors`.
    buffer: Vec<u8>,
    tensors: heapless::Vec<TensorHeader, MAX_TENSORS>,
}

impl FrameBuilder {
    /// A builder without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the tensors and keeps the memory.
    pub fn clear(&mut self) {
        self.tensors.clear();
        self.buffer.resize(ROOM, 0);
    }

    /// Adds a tensor as it is.
    ///
    /// # Errors
    /// When there are too many tensors or bytes.
    pub fn push_raw(&mut self, tensor: &TensorRef<'_>) -> Result<(), WireError> {
        self.push_with(|out| {
            out.extend_from_slice(tensor.bytes);
            raw_header(tensor)
        })
    }

    /// Adds a tensor that is already encoded, e.g. one that passes through from the frame before.
    ///
    /// # Errors
    /// When the header names another length, or there are too many tensors or bytes.
    pub fn push_encoded(&mut self, header: TensorHeader, payload: &[u8]) -> Result<(), WireError> {
        self.push_with(|out| {
            out.extend_from_slice(payload);
            Ok(header)
        })
    }

    /// Adds a tensor that `encode` appends to the buffer; it must leave what is there alone and give the header of what
    /// it added. Where it fails, the buffer is as before.
    ///
    /// # Errors
    /// Those of `encode`; when its header names another length than it appended; when there are too many tensors or bytes.
    pub fn push_with(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<TensorHeader, WireError>,
    ) -> Result<(), WireError> {
        if self.tensors.is_empty() {
            // The buffer still holds the frame that was sealed last, for its reader.
            self.clear();
        }
        let before = self.buffer.len();
        let added = encode(&mut self.buffer).and_then(|header| self.check_added(before, &header).map(|()| header));
        let pushed = added.and_then(|header| {
            self.tensors
                .push(header)
                .map_err(|_| WireError::OverLimit("tensors of a frame"))
        });
        if pushed.is_err() {
            self.buffer.truncate(before);
        }
        pushed
    }

    fn check_added(&self, before: usize, header: &TensorHeader) -> Result<(), WireError> {
        if self.buffer.len() > ROOM.saturating_add(MAX_MESSAGE_BYTES) {
            return Err(WireError::OverLimit("message bytes"));
        }
        let expected = usize::try_from(header.payload_bytes).map_err(|_| WireError::ShapeOverflow)?;
        match self.buffer.len().checked_sub(before) {
            Some(got) if got == expected => Ok(()),
            got => Err(WireError::WrongPayloadLength {
                expected,
                got: got.unwrap_or(0),
            }),
        }
    }

    /// Writes header and checksum around the payloads; gives the finished frame. The builder is then empty and keeps
    /// its memory for the next one.
    ///
    /// # Errors
    /// When there are too many hops, or the whole is over its bound.
    pub fn seal(&mut self, id: FrameId, model: Digest, cut: CutId, hops: &[Hop]) -> Result<&[u8], WireError> {
        if self.tensors.is_empty() {
            self.clear();
        }
        let header = FrameHeader {
            id,
            model,
            cut,
            hops: heapless::Vec::<Hop, MAX_HOPS>::from_slice(hops)
                .map_err(|_| WireError::OverLimit("hops of a frame"))?,
            tensors: core::mem::take(&mut self.tensors),
        };
        let header_bytes = seal::encoded_bytes(&header)?;
        let begin = MAX_HEADER_BYTES
            .checked_sub(header_bytes)
            .ok_or(WireError::OverLimit("header bytes"))?;
        self.buffer.resize(self.buffer.len().saturating_add(CHECKSUM_BYTES), 0);
        let message = self.buffer.get_mut(begin..).ok_or(WireError::BufferTooSmall)?;
        let (prefix, rest) = message
            .split_first_chunk_mut::<PREFIX_BYTES>()
            .ok_or(WireError::BufferTooSmall)?;
        *prefix = seal::prefix_of(Kind::Frame, header_bytes)?;
        postcard::to_slice(&header, rest).map_err(|_| WireError::BufferTooSmall)?;
        seal::write_checksum(message)?;
        Ok(message)
    }
}
