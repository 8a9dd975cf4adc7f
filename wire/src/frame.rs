//! A frame: the tensors that cross one cut, for one input.
//!
//! The manifest lists the crossing values in order; tensor `i` of a frame is value `i` of that list, so names do not
//! travel. Payloads follow the header in the same order, each `payload_bytes` long, encoded as its codec says.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::WireError;
use crate::id::{CutId, FrameId};
use crate::limits::{MAX_CODEC_PARAMETER_BYTES, MAX_DECODED_BYTES, MAX_HOPS, MAX_TENSORS};
use crate::seal::{self, Kind};
use crate::tensor::{DType, Shape, TensorRef};

/// Names how a payload is encoded. 0 is raw: the elements as they are, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodecId(pub u8);

impl CodecId {
    /// The elements as they are, little-endian.
    pub const RAW: Self = Self(0);
}

/// One tensor of a frame, without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorHeader {
    /// Element type before encoding, and again after decoding.
    pub dtype: DType,
    /// Shape, outermost dimension first.
    pub shape: Shape,
    /// How the payload is encoded.
    pub codec: CodecId,
    /// What the codec needs to decode beyond its tables in the manifest.
    pub parameters: Vec<u8, MAX_CODEC_PARAMETER_BYTES>,
    /// Bytes of the payload as encoded.
    pub payload_bytes: u32,
}

impl TensorHeader {
    /// Bytes of the tensor once decoded.
    ///
    /// # Errors
    /// When the shape overflows.
    pub fn decoded_bytes(&self) -> Result<usize, WireError> {
        crate::tensor::payload_bytes(self.dtype, &self.shape)
    }

    /// The tensor in place, where its payload is sent raw; none where it must be decoded.
    ///
    /// # Errors
    /// When the payload's length is not what dtype and shape say.
    pub fn view<'a>(&'a self, payload: &'a [u8]) -> Result<Option<TensorRef<'a>>, WireError> {
        if self.codec != CodecId::RAW {
            return Ok(None);
        }
        TensorRef::new(self.dtype, &self.shape, payload).map(Some)
    }
}

/// What one stage did to a frame. Durations come from that stage's monotonic clock and can be added up;
/// wall clocks of two machines differ, so no difference between two stages' `unix_us` means anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The part that ran.
    pub part: u8,
    /// When the stage took the frame up, µs since 1970 on its own wall clock; for reading logs only.
    pub unix_us: u64,
    /// From taking the input up to the engine's start: read, decode, preprocess; µs.
    pub decode_us: u32,
    /// In the engine, µs.
    pub run_us: u32,
    /// From the engine's end to the sealed frame or result, µs.
    pub encode_us: u32,
}

/// Everything of a frame but its payloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameHeader {
    /// Which input this is.
    pub id: FrameId,
    /// SHA-256 of the whole model's file.
    pub model: Digest,
    /// The cut that the tensors cross.
    pub cut: CutId,
    /// The stages that the frame has passed, in order.
    pub hops: Vec<Hop, MAX_HOPS>,
    /// The tensors, in the manifest's order for this cut.
    pub tensors: Vec<TensorHeader, MAX_TENSORS>,
}

/// A frame read from bytes: its header, and its payloads in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Everything but the payloads.
    pub header: FrameHeader,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a frame, checking all of it.
    ///
    /// # Errors
    /// When the bytes are no intact frame of a known version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (kind, header, payload) = seal::open(bytes)?;
        if kind != Kind::Frame {
            return Err(WireError::WrongKind(kind as u8));
        }
        Self::from_opened(header, payload)
    }

    pub(crate) fn from_opened(header: &'a [u8], payload: &'a [u8]) -> Result<Self, WireError> {
        let header: FrameHeader = seal::header(header)?;
        let expected = payload_total(&header.tensors)?;
        if expected != payload.len() {
            return Err(WireError::WrongPayloadLength {
                expected,
                got: payload.len(),
            });
        }
        check_decoded(&header.tensors)?;
        Ok(Self { header, payload })
    }

    /// Each tensor's header with its encoded payload, in order.
    pub fn tensors(&self) -> impl Iterator<Item = (&TensorHeader, &'a [u8])> {
        let mut rest = self.payload;
        self.header.tensors.iter().map(move |tensor| {
            // `parse` checked that the lengths add up to the payload: the split never misses.
            let at = widen(tensor.payload_bytes).unwrap_or(usize::MAX).min(rest.len());
            let (payload, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            rest = tail;
            (tensor, payload)
        })
    }
}

/// What the tensors take once decoded is bounded, and what is sent raw has just that length.
fn check_decoded(tensors: &[TensorHeader]) -> Result<(), WireError> {
    let mut total = 0_usize;
    for tensor in tensors {
        let expected = tensor.decoded_bytes()?;
        let got = widen(tensor.payload_bytes)?;
        if tensor.codec == CodecId::RAW && expected != got {
            return Err(WireError::WrongPayloadLength { expected, got });
        }
        total = total.checked_add(expected).ok_or(WireError::ShapeOverflow)?;
    }
    if total > MAX_DECODED_BYTES {
        return Err(WireError::OverLimit("decoded tensor bytes"));
    }
    Ok(())
}

fn widen(bytes: u32) -> Result<usize, WireError> {
    usize::try_from(bytes).map_err(|_| WireError::ShapeOverflow)
}

fn payload_total(tensors: &[TensorHeader]) -> Result<usize, WireError> {
    tensors.iter().try_fold(0_usize, |sum, tensor| {
        sum.checked_add(widen(tensor.payload_bytes)?)
            .ok_or(WireError::ShapeOverflow)
    })
}

/// The header of a tensor sent raw.
///
/// # Errors
/// When the rank or the size is over its bound.
pub fn raw_header(tensor: &TensorRef<'_>) -> Result<TensorHeader, WireError> {
    Ok(TensorHeader {
        dtype: tensor.dtype,
        shape: Shape::from_slice(tensor.shape).map_err(|_| WireError::OverLimit("tensor rank"))?,
        codec: CodecId::RAW,
        parameters: Vec::new(),
        payload_bytes: u32::try_from(tensor.bytes.len()).map_err(|_| WireError::OverLimit("tensor bytes"))?,
    })
}

/// Writes a frame whose encoded payloads are at hand into `out`; gives the bytes written. Needs no allocator.
///
/// # Errors
/// When `out` is too small, or the payloads' lengths are not those of the header.
pub fn write_into(header: &FrameHeader, payloads: &[&[u8]], out: &mut [u8]) -> Result<usize, WireError> {
    let total = payload_total(&header.tensors)?;
    let lengths_agree = header.tensors.len() == payloads.len()
        && header
            .tensors
            .iter()
            .zip(payloads)
            .all(|(t, p)| widen(t.payload_bytes) == Ok(p.len()));
    if !lengths_agree {
        return Err(WireError::BadCodec("payload lengths are not those of the header"));
    }
    seal::seal_into(Kind::Frame, header, total, out, |mut body| {
        for payload in payloads {
            let (here, rest) = body
                .split_at_mut_checked(payload.len())
                .ok_or(WireError::BufferTooSmall)?;
            here.copy_from_slice(payload);
            body = rest;
        }
        Ok(())
    })
}

/// Writes a frame whose encoded payloads are at hand; [`crate::FrameBuilder`] reuses its memory and copies less.
///
/// # Errors
/// When the payloads' lengths are not those of the header, or the whole is over its bound.
#[cfg(feature = "alloc")]
pub fn to_vec(header: &FrameHeader, payloads: &[&[u8]]) -> Result<alloc::vec::Vec<u8>, WireError> {
    let total = seal::sealed_bytes(seal::encoded_bytes(header)?, payload_total(&header.tensors)?);
    if total > crate::limits::MAX_MESSAGE_BYTES {
        return Err(WireError::OverLimit("message bytes"));
    }
    let mut out = alloc::vec![0; total];
    write_into(header, payloads, &mut out)?;
    Ok(out)
}
