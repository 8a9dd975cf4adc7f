//! How a tensor's elements become fewer bytes, and elements again.
//!
//! Owns: the codecs, their ids, names, tables and payloads; `docs/codec.md` defines each to the bit. Must not know:
//! frames' headers beyond [`TensorHeader`], files, engines, how a table is fitted.
//! Start at [`Coder::encode`] and [`Coder::decode`].
//!
//! A codec is a *quantiser*, which turns each element into a code and may lose precision, and a *packer*, which writes
//! the codes in fewer bytes and loses nothing. Its id is `quantiser × 16 + packer`, its name both joined by `+`, e.g.
//! `int8+rans`; a packer of `plain` is left out. The quantisers take 32-bit floats; tensors of other types travel with
//! the quantiser `raw`, exact to the bit.
//!
//! What a quantiser cannot represent (a NaN or an infinity, a range beyond 32-bit floats, a shape that its table does not
//! fit) is never approximated: such a tensor travels raw in that frame, and its header says so.

#![allow(clippy::similar_names, reason = "codec, coder and code are three things")]

use crate::error::WireError;
use crate::frame::{CodecId, TensorHeader, raw_header};
use crate::tensor::{DType, TensorRef};
use alloc::vec::Vec;

mod affine;
mod bits;
mod blocks;
mod dct;
mod dependent;
#[cfg(feature = "std")]
mod entry;
mod half_float;
mod id;
mod laplace;
mod pack;
mod pairs;
mod planes;
mod rans;
mod spectrum;
mod table;
mod transform;
mod trellis;
mod uniform;

pub use id::{Packer, Quantiser};
pub use spectrum::{add_magnitudes, coefficients};
pub use table::{Layout, MAX_BLOCK, MAX_CHANNELS, MAX_LEVEL, Table};

/// What encodes one value: a codec and what it needs. Reading is less strict: the frame says what was used.
#[derive(Debug, Clone, PartialEq)]
pub struct Codec {
    /// Which codec.
    pub id: CodecId,
    /// The fitted table; `dct` does not work without.
    pub table: Option<Table>,
    /// For `dct`: steps are 2^(coarseness/4) times those of the table, so that a stage can follow its link.
    pub coarseness: i8,
}

impl Codec {
    /// The elements as they are.
    pub const RAW: Self = Self::plain(CodecId::RAW);

    /// A codec without a table.
    pub const fn plain(id: CodecId) -> Self {
        Self {
            id,
            table: None,
            coarseness: 0,
        }
    }

    /// The `dct` codec with its table as fitted.
    ///
    /// # Errors
    /// When the table does not hold together.
    pub fn dct(table: Table) -> Result<Self, WireError> {
        table.check()?;
        Ok(Self {
            id: CodecId((Quantiser::Dct as u8) << 4),
            table: Some(table),
            coarseness: 0,
        })
    }

    /// True when a value of this type can be encoded: the quantisers take 32-bit floats only.
    pub fn takes(&self, dtype: DType) -> bool {
        dtype == DType::F32 || self.id.parts().is_ok_and(|(quantiser, _)| quantiser == Quantiser::Raw)
    }
}

/// Encodes and decodes; keeps its working memory from call to call.
#[derive(Debug, Clone, Default)]
pub struct Coder {
    codes: Vec<u8>,
    shuffled: Vec<u8>,
    levels: Vec<i32>,
    symbols: Vec<u16>,
    words: Vec<u16>,
}

impl Coder {
    /// A coder without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the encoded tensor to `out`, which may hold other bytes before it; gives its header, which names the codec
    /// that was really used: `codec.id`, or raw for what it cannot represent.
    ///
    /// # Errors
    /// When the codec does not take this type, its table is missing, or the payload is over 4 GiB.
    pub fn encode(
        &mut self,
        codec: &Codec,
        tensor: &TensorRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<TensorHeader, WireError> {
        let mut header = raw_header(tensor)?;
        let (quantiser, packer) = codec.id.parts()?;
        if !codec.takes(tensor.dtype) {
            return Err(WireError::BadCodec("this codec takes 32-bit floats only"));
        }
        let before = out.len();
        let parameters = match quantiser {
            Quantiser::Dct => dct::encode(codec, tensor, self, out)?,
            _ => self.encode_codes(quantiser, packer, tensor, out)?,
        };
        if let Some(parameters) = parameters {
            header.codec = codec.id;
            header.parameters = parameters;
        } else {
            out.truncate(before);
            out.extend_from_slice(tensor.bytes);
        }
        let written = out.len().saturating_sub(before);
        header.payload_bytes = u32::try_from(written).map_err(|_| WireError::OverLimit("tensor bytes"))?;
        Ok(header)
    }

    fn encode_codes(
        &mut self,
        quantiser: Quantiser,
        packer: Packer,
        tensor: &TensorRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Parameters>, WireError> {
        if quantiser == Quantiser::Raw {
            pack::pack(
                packer,
                tensor.dtype.size_bytes(),
                tensor.bytes,
                &mut self.shuffled,
                &mut self.words,
                out,
            )?;
            return Ok(Some(Parameters::new()));
        }
        if packer == Packer::Plain {
            return quantise(quantiser, tensor, out, None);
        }
        self.codes.clear();
        let parameters = quantise(quantiser, tensor, out, Some(&mut self.codes))?;
        if parameters.is_some() {
            let width = code_bytes(quantiser);
            pack::pack(packer, width, &self.codes, &mut self.shuffled, &mut self.words, out)?;
        }
        Ok(parameters)
    }

    /// Decodes a payload into `out`, whose length is the header's [`TensorHeader::decoded_bytes`]. `codec` is what the
    /// manifest says of the value; only its table is used, since the header names the codec.
    ///
    /// Everything is checked; working memory stays below the decoded size.
    ///
    /// # Errors
    /// When the codec is unknown, its table is missing or does not fit, or the payload is not one of this tensor.
    pub fn decode(
        &mut self,
        codec: &Codec,
        header: &TensorHeader,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<(), WireError> {
        let expected = header.decoded_bytes()?;
        if out.len() != expected {
            return Err(WireError::WrongPayloadLength {
                expected,
                got: out.len(),
            });
        }
        let (quantiser, packer) = header.codec.parts()?;
        if quantiser == Quantiser::Raw {
            no_parameters(header)?;
            let width = header.dtype.size_bytes();
            return pack::unpack(packer, width, payload, &mut self.shuffled, out);
        }
        if header.dtype != DType::F32 {
            return Err(WireError::BadCodec("this codec takes 32-bit floats only"));
        }
        if quantiser == Quantiser::Dct {
            return dct::decode(codec, header, payload, out);
        }
        let elements = out.len() / 4;
        let (head, packed) = affine::split_head(quantiser, header, payload)?;
        let codes: &[u8] = if packer == Packer::Plain {
            packed
        } else {
            let count = if quantiser == Quantiser::Int4 {
                elements.div_ceil(2)
            } else {
                elements
            };
            resize_exact(&mut self.codes, count.saturating_mul(code_bytes(quantiser)));
            pack::unpack(
                packer,
                code_bytes(quantiser),
                packed,
                &mut self.shuffled,
                &mut self.codes,
            )?;
            &self.codes
        };
        match quantiser {
            Quantiser::F16 => no_parameters(header).and_then(|()| half_float::f16_decode(codes, out)),
            Quantiser::Bf16 => no_parameters(header).and_then(|()| half_float::bf16_decode(codes, out)),
            _ => affine::decode(quantiser, header, head, codes, out),
        }
    }
}

/// Working memory of exactly this length: room for more would break the promise about small tensors.
pub(crate) fn resize_exact(memory: &mut Vec<u8>, length: usize) {
    memory.reserve_exact(length.saturating_sub(memory.len()));
    memory.resize(length, 0);
}

/// What travels in the header for the decoder.
pub(crate) type Parameters = heapless::Vec<u8, { crate::limits::MAX_CODEC_PARAMETER_BYTES }>;

fn no_parameters(header: &TensorHeader) -> Result<(), WireError> {
    if header.parameters.is_empty() {
        Ok(())
    } else {
        Err(WireError::BadCodec("parameters for a codec that has none"))
    }
}

/// Bytes of one code, as far as shuffling is concerned; `int4` has two codes a byte.
const fn code_bytes(quantiser: Quantiser) -> usize {
    match quantiser {
        Quantiser::F16 | Quantiser::Bf16 => 2,
        _ => 1,
    }
}

/// Appends the codes to `codes`, or to `out` where there is none; what precedes the packed codes always goes to `out`.
fn quantise(
    quantiser: Quantiser,
    tensor: &TensorRef<'_>,
    out: &mut Vec<u8>,
    codes: Option<&mut Vec<u8>>,
) -> Result<Option<Parameters>, WireError> {
    match quantiser {
        Quantiser::F16 => {
            half_float::f16_encode(tensor.bytes, codes.unwrap_or(out));
            Ok(Some(Parameters::new()))
        }
        Quantiser::Bf16 => {
            half_float::bf16_encode(tensor.bytes, codes.unwrap_or(out));
            Ok(Some(Parameters::new()))
        }
        Quantiser::Int8 => Ok(affine::encode_int8(tensor.bytes, codes.unwrap_or(out))),
        Quantiser::Int4 => Ok(affine::encode_int4(tensor.bytes, codes.unwrap_or(out))),
        Quantiser::Int8Channel => affine::encode_channels(tensor, out, codes),
        Quantiser::Raw | Quantiser::Dct => Err(WireError::BadCodec("has no codes")),
    }
}

/// The 32-bit floats of a tensor's bytes.
pub(crate) fn floats(bytes: &[u8]) -> impl DoubleEndedIterator<Item = f32> + ExactSizeIterator + '_ {
    bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk))
}

/// True when no element is a NaN or an infinity.
pub(crate) fn all_finite(bytes: &[u8]) -> bool {
    const EXPONENT: u32 = 0x7F80_0000;
    bytes.as_chunks::<4>().0.iter().fold(true, |finite, chunk| {
        finite & (u32::from_le_bytes(*chunk) & EXPONENT != EXPONENT)
    })
}
