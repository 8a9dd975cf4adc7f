//! `f16` and `bf16`: two bytes an element, rounded to nearest even.

use alloc::vec::Vec;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::error::WireError;

/// Elements that are converted at a time: few enough to stay in the first-level cache.
const CHUNK: usize = 1024;

/// Either 16-bit kind.
trait Half: Copy {
    const ZERO: Self;
    fn to_bits(self) -> u16;
    fn from_bits(bits: u16) -> Self;
    fn narrow(from: &[f32], to: &mut [Self]);
    fn widen(from: &[Self], to: &mut [f32]);
}

macro_rules! half_kind {
    ($kind:ty) => {
        impl Half for $kind {
            const ZERO: Self = Self::ZERO;
            fn to_bits(self) -> u16 {
                self.to_bits()
            }
            fn from_bits(bits: u16) -> Self {
                Self::from_bits(bits)
            }
            fn narrow(from: &[f32], to: &mut [Self]) {
                to.convert_from_f32_slice(from);
            }
            fn widen(from: &[Self], to: &mut [f32]) {
                from.convert_to_f32_slice(to);
            }
        }
    };
}
half_kind!(f16);
half_kind!(bf16);

pub(super) fn f16_encode(bytes: &[u8], out: &mut Vec<u8>) {
    encode::<f16>(bytes, out);
}

pub(super) fn bf16_encode(bytes: &[u8], out: &mut Vec<u8>) {
    encode::<bf16>(bytes, out);
}

pub(super) fn f16_decode(codes: &[u8], out: &mut [u8]) -> Result<(), WireError> {
    decode::<f16>(codes, out)
}

pub(super) fn bf16_decode(codes: &[u8], out: &mut [u8]) -> Result<(), WireError> {
    decode::<bf16>(codes, out)
}

fn encode<H: Half>(bytes: &[u8], out: &mut Vec<u8>) {
    let (elements, _) = bytes.as_chunks::<4>();
    let before = out.len();
    out.resize(before.saturating_add(elements.len().saturating_mul(2)), 0);
    let (codes, _) = out.get_mut(before..).unwrap_or_default().as_chunks_mut::<2>();
    let mut wide = [0.0_f32; CHUNK];
    let mut narrow = [H::ZERO; CHUNK];
    for (from, to) in elements.chunks(CHUNK).zip(codes.chunks_mut(CHUNK)) {
        for (x, chunk) in wide.iter_mut().zip(from) {
            *x = f32::from_le_bytes(*chunk);
        }
        let (Some(wide), Some(narrow)) = (wide.get(..from.len()), narrow.get_mut(..from.len())) else {
            return;
        };
        H::narrow(wide, narrow);
        for (code, x) in to.iter_mut().zip(narrow) {
            *code = x.to_bits().to_le_bytes();
        }
    }
}

fn decode<H: Half>(codes: &[u8], out: &mut [u8]) -> Result<(), WireError> {
    let expected = out.len() / 2;
    if codes.len() != expected {
        return Err(WireError::WrongPayloadLength {
            expected,
            got: codes.len(),
        });
    }
    let (codes, _) = codes.as_chunks::<2>();
    let (elements, _) = out.as_chunks_mut::<4>();
    let mut wide = [0.0_f32; CHUNK];
    let mut narrow = [H::ZERO; CHUNK];
    for (from, to) in codes.chunks(CHUNK).zip(elements.chunks_mut(CHUNK)) {
        for (x, code) in narrow.iter_mut().zip(from) {
            *x = H::from_bits(u16::from_le_bytes(*code));
        }
        let (Some(wide), Some(narrow)) = (wide.get_mut(..from.len()), narrow.get(..from.len())) else {
            return Ok(());
        };
        H::widen(narrow, wide);
        for (element, x) in to.iter_mut().zip(wide) {
            *element = x.to_le_bytes();
        }
    }
    Ok(())
}
