//! `int8`, `int8-channel` and `int4`: an element x becomes the integer q = round(x / scale), ties to even, within a range
//! of 256 or 16 integers that holds 0; a code is q modulo 256 or 16. So zero is exact, and its code is 0.

use alloc::vec::Vec;

use super::{Parameters, Quantiser, all_finite, floats};
use crate::error::WireError;
use crate::frame::TensorHeader;
use crate::tensor::TensorRef;

/// Bytes of one range: scale as f32, then how far the range goes below zero.
const RANGE_BYTES: usize = 5;

/// Adding it to |x| < 2²² leaves round-to-nearest-even(x) in the low bits of the float: 1.5 × 2²³.
const ROUND: f32 = 12_582_912.0;

/// Fractions of the full range that `int4` tries to clip at; that with the smallest squared error is taken.
const CLIPS: [f32; 12] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.28, 0.22, 0.17, 0.12];
/// Elements that the choice of a clip looks at, evenly spread.
const CLIP_SAMPLES: usize = 4096;

/// Which integers the codes of a tensor or channel stand for.
#[derive(Debug, Clone, Copy)]
struct Range {
    scale: f32,
    /// The lowest integer is −`below`.
    below: u8,
    /// The highest is `steps` − `below`.
    steps: u8,
}

impl Range {
    /// The range from `low` to `high` and zero; none where a 32-bit float cannot be its scale.
    fn of(low: f32, high: f32, steps: u8) -> Option<Self> {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let count = f32::from(steps);
        let scale = high / count - low / count;
        if low.abs().max(high) == 0.0 {
            return Some(Self {
                scale: 1.0,
                below: 0,
                steps,
            });
        }
        if !scale.is_normal() || !scale.recip().is_normal() {
            return None;
        }
        // At most `steps`, since −low ≤ steps × scale up to rounding.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0…255"
        )]
        let below = (-low / scale + 0.5).clamp(0.0, count) as u8;
        Some(Self { scale, below, steps })
    }

    fn read(bytes: &[u8], steps: u8) -> Result<Self, WireError> {
        let Ok([s0, s1, s2, s3, below]) = <[u8; RANGE_BYTES]>::try_from(bytes) else {
            return Err(WireError::BadCodec("a range takes 5 bytes"));
        };
        let scale = f32::from_le_bytes([s0, s1, s2, s3]);
        if !scale.is_normal() || scale < 0.0 || below > steps {
            return Err(WireError::BadCodec("a range whose scale or offset cannot be"));
        }
        Ok(Self { scale, below, steps })
    }

    fn to_bytes(self) -> [u8; RANGE_BYTES] {
        let [s0, s1, s2, s3] = self.scale.to_le_bytes();
        [s0, s1, s2, s3, self.below]
    }

    /// q modulo 256.
    #[inline]
    fn code(self, x: f32, per_scale: f32) -> u8 {
        let below = f32::from(self.below);
        let high = f32::from(self.steps) - below;
        let q = (x * per_scale).max(-below).min(high);
        #[allow(clippy::cast_possible_truncation, reason = "the low byte is q modulo 256")]
        let code = (q + ROUND).to_bits() as u8;
        code
    }

    /// The element of q modulo 256 (or modulo 16, as `mask` says).
    #[inline]
    fn element(self, code: u8, mask: u8) -> f32 {
        let above = code.wrapping_add(self.below) & mask;
        (f32::from(above) - f32::from(self.below)) * self.scale
    }
}

/// The smallest and the largest element; 0 and 0 where there is none.
fn extremes(bytes: &[u8]) -> (f32, f32) {
    const LANES: usize = 16;
    let mut low = [0.0_f32; LANES];
    let mut high = [0.0_f32; LANES];
    let (blocks, rest) = bytes.as_chunks::<{ LANES * 4 }>();
    for block in blocks {
        for ((low, high), x) in low.iter_mut().zip(&mut high).zip(floats(block)) {
            *low = if x < *low { x } else { *low };
            *high = if x > *high { x } else { *high };
        }
    }
    for ((low, high), x) in low.iter_mut().zip(&mut high).zip(floats(rest)) {
        *low = low.min(x);
        *high = high.max(x);
    }
    (
        low.into_iter().fold(0.0, f32::min),
        high.into_iter().fold(0.0, f32::max),
    )
}

fn parameters(range: Range) -> Option<Parameters> {
    Parameters::from_slice(&range.to_bytes()).ok()
}

fn write_codes(bytes: &[u8], range: Range, codes: &mut Vec<u8>) {
    let before = codes.len();
    codes.resize(before.saturating_add(bytes.len() / 4), 0);
    let per_scale = range.scale.recip();
    for (code, x) in codes
        .get_mut(before..)
        .unwrap_or_default()
        .iter_mut()
        .zip(floats(bytes))
    {
        *code = range.code(x, per_scale);
    }
}

pub(super) fn encode_int8(bytes: &[u8], codes: &mut Vec<u8>) -> Option<Parameters> {
    if !all_finite(bytes) {
        return None;
    }
    let (low, high) = extremes(bytes);
    let range = Range::of(low, high, u8::MAX)?;
    write_codes(bytes, range, codes);
    parameters(range)
}

pub(super) fn encode_int4(bytes: &[u8], codes: &mut Vec<u8>) -> Option<Parameters> {
    if !all_finite(bytes) {
        return None;
    }
    let range = clipped(bytes)?;
    let per_scale = range.scale.recip();
    let mut elements = floats(bytes);
    while let Some(first) = elements.next() {
        let second = elements.next().map_or(0, |x| range.code(x, per_scale));
        codes.push(range.code(first, per_scale) & 0xF | second << 4);
    }
    parameters(range)
}

/// The range of 16 integers with the smallest squared error.
fn clipped(bytes: &[u8]) -> Option<Range> {
    let (low, high) = extremes(bytes);
    let every = (bytes.len() / 4).div_ceil(CLIP_SAMPLES).max(1);
    let error = |range: Range| {
        let per_scale = range.scale.recip();
        floats(bytes)
            .step_by(every)
            .map(|x| f64::from(range.element(range.code(x, per_scale) & 0xF, 0xF) - x))
            .fold(0.0, |sum, error| sum + error * error)
    };
    let candidates = CLIPS.iter().filter_map(|clip| Range::of(low * clip, high * clip, 0xF));
    candidates
        .map(|range| (error(range), range))
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, range)| range)
}

/// Channels, and elements of one, of a tensor `[N, C, …]`; one channel where there is no axis 1.
fn channels(shape: &[u32]) -> Result<(usize, usize), WireError> {
    let Some((_, [channels, inner @ ..])) = shape.split_first() else {
        return Ok((1, crate::tensor::elements(shape)?.max(1)));
    };
    let channels = usize::try_from(*channels).map_err(|_| WireError::ShapeOverflow)?;
    if channels > super::MAX_CHANNELS {
        return Err(WireError::OverLimit("channels of a codec"));
    }
    Ok((channels, crate::tensor::elements(inner)?))
}

pub(super) fn encode_channels(
    tensor: &TensorRef<'_>,
    out: &mut Vec<u8>,
    codes: Option<&mut Vec<u8>>,
) -> Result<Option<Parameters>, WireError> {
    let (channels, inner) = channels(tensor.shape)?;
    let plane = inner.saturating_mul(4);
    if !all_finite(tensor.bytes) {
        return Ok(None);
    }
    if tensor.bytes.is_empty() {
        return Ok(Some(Parameters::new()));
    }
    let mut bounds = alloc::vec![(0.0_f32, 0.0_f32); channels];
    for image in tensor.bytes.chunks_exact(plane.saturating_mul(channels).max(1)) {
        for ((low, high), plane) in bounds.iter_mut().zip(image.chunks_exact(plane)) {
            let (l, h) = extremes(plane);
            *low = low.min(l);
            *high = high.max(h);
        }
    }
    let ranges: Option<Vec<Range>> = bounds.into_iter().map(|(l, h)| Range::of(l, h, u8::MAX)).collect();
    let Some(ranges) = ranges else { return Ok(None) };
    out.extend(ranges.iter().flat_map(|range| range.to_bytes()));
    let codes = codes.unwrap_or(out);
    for (plane, range) in tensor.bytes.chunks_exact(plane).zip(ranges.iter().cycle()) {
        write_codes(plane, *range, codes);
    }
    Ok(Some(Parameters::new()))
}

/// What precedes the packed codes: the channels' ranges, else nothing.
pub(super) fn split_head<'a>(
    quantiser: Quantiser,
    header: &TensorHeader,
    payload: &'a [u8],
) -> Result<(&'a [u8], &'a [u8]), WireError> {
    let head = match quantiser {
        Quantiser::Int8Channel if header.decoded_bytes()? > 0 => channels(&header.shape)?.0.saturating_mul(RANGE_BYTES),
        _ => 0,
    };
    payload
        .split_at_checked(head)
        .ok_or(WireError::BadCodec("the channels' ranges are cut short"))
}

pub(super) fn decode(
    quantiser: Quantiser,
    header: &TensorHeader,
    head: &[u8],
    codes: &[u8],
    out: &mut [u8],
) -> Result<(), WireError> {
    let elements = out.len() / 4;
    let expected = if quantiser == Quantiser::Int4 {
        elements.div_ceil(2)
    } else {
        elements
    };
    if codes.len() != expected {
        return Err(WireError::WrongPayloadLength {
            expected,
            got: codes.len(),
        });
    }
    match quantiser {
        Quantiser::Int4 => decode_int4(Range::read(&header.parameters, 0xF)?, codes, out),
        Quantiser::Int8 => {
            decode_int8(Range::read(&header.parameters, u8::MAX)?, codes, out);
            Ok(())
        }
        _ => {
            super::no_parameters(header)?;
            let (_, inner) = channels(&header.shape)?;
            let inner = inner.max(1);
            let ranges = head.as_chunks::<RANGE_BYTES>().0;
            let planes = codes
                .chunks_exact(inner)
                .zip(out.chunks_exact_mut(inner.saturating_mul(4)));
            for ((codes, out), range) in planes.zip(ranges.iter().cycle()) {
                decode_int8(Range::read(range, u8::MAX)?, codes, out);
            }
            Ok(())
        }
    }
}

fn decode_int8(range: Range, codes: &[u8], out: &mut [u8]) {
    let (elements, _) = out.as_chunks_mut::<4>();
    for (element, code) in elements.iter_mut().zip(codes) {
        *element = range.element(*code, u8::MAX).to_le_bytes();
    }
}

fn decode_int4(range: Range, codes: &[u8], out: &mut [u8]) -> Result<(), WireError> {
    let (elements, _) = out.as_chunks_mut::<4>();
    if elements.len() % 2 == 1 && codes.last().is_some_and(|last| last >> 4 != 0) {
        return Err(WireError::BadCodec("a code behind the last element"));
    }
    for (pair, code) in elements.chunks_mut(2).zip(codes) {
        for (element, nibble) in pair.iter_mut().zip([code & 0xF, code >> 4]) {
            *element = range.element(nibble, 0xF).to_le_bytes();
        }
    }
    Ok(())
}
