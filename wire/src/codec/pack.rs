//! The packers: codes of `width` bytes each, written in fewer bytes and read back exactly.

use alloc::vec::Vec;

use super::{Packer, planes};
use crate::error::WireError;

/// Appends the packed codes to `out`; `shuffled` and `words` are working memory.
pub(super) fn pack(
    packer: Packer,
    width: usize,
    codes: &[u8],
    shuffled: &mut Vec<u8>,
    words: &mut Vec<u16>,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    match packer {
        Packer::Plain => {
            out.extend_from_slice(codes);
            Ok(())
        }
        Packer::Bitmap => {
            pack_bitmap(width, codes, out);
            Ok(())
        }
        Packer::Lz4 => lz4(shuffle(width, codes, shuffled), out),
        Packer::Zstd => zstd(shuffle(width, codes, shuffled), out),
        Packer::Rans => {
            let bytes = shuffle(width, codes, shuffled);
            for plane in bytes.chunks_exact((codes.len() / width).max(1)) {
                planes::pack(plane, words, out)?;
            }
            Ok(())
        }
    }
}

/// Fills `codes` from a payload that must be exactly theirs.
pub(super) fn unpack(
    packer: Packer,
    width: usize,
    payload: &[u8],
    shuffled: &mut Vec<u8>,
    codes: &mut [u8],
) -> Result<(), WireError> {
    match packer {
        Packer::Plain if payload.len() == codes.len() => {
            codes.copy_from_slice(payload);
            Ok(())
        }
        Packer::Plain => Err(WireError::WrongPayloadLength {
            expected: codes.len(),
            got: payload.len(),
        }),
        Packer::Bitmap => unpack_bitmap(width, payload, codes),
        Packer::Lz4 => through(width, shuffled, codes, |planes| un_lz4(payload, planes)),
        Packer::Zstd => through(width, shuffled, codes, |planes| un_zstd(payload, planes)),
        Packer::Rans => through(width, shuffled, codes, |bytes| {
            let mut rest = payload;
            let elements = (bytes.len() / width).max(1);
            for plane in bytes.chunks_exact_mut(elements) {
                rest = planes::unpack(rest, plane)?;
            }
            if rest.is_empty() {
                Ok(())
            } else {
                Err(WireError::TrailingBytes(rest.len()))
            }
        }),
    }
}

/// All first bytes, then all second bytes and so on.
fn shuffle<'a>(width: usize, codes: &'a [u8], shuffled: &'a mut Vec<u8>) -> &'a [u8] {
    if width <= 1 {
        return codes;
    }
    shuffled.resize(codes.len(), 0);
    let elements = codes.len() / width;
    for (byte, plane) in shuffled.chunks_exact_mut(elements.max(1)).enumerate() {
        let column = codes.get(byte..).unwrap_or_default().iter().step_by(width);
        for (to, from) in plane.iter_mut().zip(column) {
            *to = *from;
        }
    }
    shuffled
}

/// Lets `fill` write the planes, then puts each byte where it belongs.
fn through(
    width: usize,
    shuffled: &mut Vec<u8>,
    codes: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    if width <= 1 {
        return fill(codes);
    }
    super::resize_exact(shuffled, codes.len());
    fill(shuffled)?;
    let elements = codes.len() / width;
    for (byte, plane) in shuffled.chunks_exact(elements.max(1)).enumerate() {
        let column = codes.get_mut(byte..).unwrap_or_default().iter_mut().step_by(width);
        for (to, from) in column.zip(plane) {
            *to = *from;
        }
    }
    Ok(())
}

fn pack_bitmap(width: usize, codes: &[u8], out: &mut Vec<u8>) {
    let elements = codes.chunks_exact(width);
    let not_zero = |element: &[u8]| element.iter().any(|byte| *byte != 0);
    for eight in codes.chunks(width.saturating_mul(8)) {
        let bits = eight
            .chunks_exact(width)
            .enumerate()
            .fold(0_u8, |bits, (i, element)| bits | u8::from(not_zero(element)) << i);
        out.push(bits);
    }
    for element in elements.filter(|element| not_zero(element)) {
        out.extend_from_slice(element);
    }
}

fn unpack_bitmap(width: usize, payload: &[u8], codes: &mut [u8]) -> Result<(), WireError> {
    let elements = codes.len() / width;
    let (bits, rest) = payload
        .split_at_checked(elements.div_ceil(8))
        .ok_or(WireError::BadCodec("the bitmap is cut short"))?;
    let set: usize = bits
        .iter()
        .map(|byte| usize::try_from(byte.count_ones()).unwrap_or(8))
        .sum();
    let padding = bits.last().map_or(0, |last| match elements % 8 {
        0 => 0,
        used => last >> used,
    });
    if padding != 0 {
        return Err(WireError::BadCodec("the bitmap has bits behind its end"));
    }
    let expected = set.saturating_mul(width);
    if rest.len() != expected {
        return Err(WireError::WrongPayloadLength {
            expected,
            got: rest.len(),
        });
    }
    let mut values = rest.chunks_exact(width);
    for (i, element) in codes.chunks_exact_mut(width).enumerate() {
        let is_set = bits.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
        let value = if is_set { values.next() } else { None };
        match value {
            Some(value) => element.copy_from_slice(value),
            None => element.fill(0),
        }
    }
    Ok(())
}

fn lz4(planes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let before = out.len();
    let most = lz4_flex::block::get_maximum_output_size(planes.len());
    out.resize(before.saturating_add(most), 0);
    let room = out.get_mut(before..).unwrap_or_default();
    let written = lz4_flex::block::compress_into(planes, room).map_err(|_| WireError::BufferTooSmall)?;
    out.truncate(before.saturating_add(written));
    Ok(())
}

fn un_lz4(payload: &[u8], planes: &mut [u8]) -> Result<(), WireError> {
    match lz4_flex::block::decompress_into(payload, planes) {
        Ok(got) if got == planes.len() => Ok(()),
        _ => Err(WireError::BadCodec("no LZ4 block of this tensor's length")),
    }
}

#[cfg(feature = "zstd")]
fn zstd(planes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    /// Level 1: the fastest that still has entropy coding.
    const LEVEL: i32 = 1;
    let before = out.len();
    out.resize(
        before.saturating_add(::zstd::zstd_safe::compress_bound(planes.len())),
        0,
    );
    let room = out.get_mut(before..).unwrap_or_default();
    let written = ::zstd::bulk::compress_to_buffer(planes, room, LEVEL).map_err(|_| WireError::BufferTooSmall)?;
    out.truncate(before.saturating_add(written));
    Ok(())
}

#[cfg(feature = "zstd")]
fn un_zstd(payload: &[u8], planes: &mut [u8]) -> Result<(), WireError> {
    let length = planes.len();
    // Not the crate's `bulk`: that makes an error of its own on the heap.
    match ::zstd::zstd_safe::decompress(planes, payload) {
        Ok(got) if got == length => Ok(()),
        _ => Err(WireError::BadCodec("no Zstandard frame of this tensor's length")),
    }
}

#[cfg(not(feature = "zstd"))]
const NOT_BUILT: WireError = WireError::BadCodec("this program is built without zstd");

#[cfg(not(feature = "zstd"))]
fn zstd(_: &[u8], _: &mut Vec<u8>) -> Result<(), WireError> {
    Err(NOT_BUILT)
}

#[cfg(not(feature = "zstd"))]
fn un_zstd(_: &[u8], _: &mut [u8]) -> Result<(), WireError> {
    Err(NOT_BUILT)
}
