//! The arithmetic: from real numbers to 8-bit integers and back.
//!
//! `real = (integer − zero_point) × scale`, ONNX QuantizeLinear-13; rounding is to the nearest, ties to even.

use crate::onnx::proto::tensor_proto::DataType;

use super::limits::MIN_SCALE;
use super::ranges::Range;

/// An 8-bit integer type of ONNX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer {
    /// −128…127; weights use −127…127 around a zero point of 0.
    Int8,
    /// 0…255 with a zero point.
    Uint8,
}

impl Integer {
    pub(super) const fn onnx(self) -> DataType {
        match self {
            Self::Int8 => DataType::Int8,
            Self::Uint8 => DataType::Uint8,
        }
    }

    const fn bounds(self) -> (f32, f32) {
        match self {
            Self::Int8 => (-128.0, 127.0),
            Self::Uint8 => (0.0, 255.0),
        }
    }

    /// The byte of an integer within the type's bounds.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the type's bounds"
    )]
    fn byte(self, value: f32) -> u8 {
        let (low, high) = self.bounds();
        match self {
            Self::Int8 => value.clamp(low, high) as i8 as u8,
            Self::Uint8 => value.clamp(low, high) as u8,
        }
    }
}

/// How one tensor, or one channel of it, is mapped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    pub(super) scale: f32,
    pub(super) zero_point: i32,
    pub(super) kind: Integer,
}

impl Affine {
    /// The mapping whose integers cover `range` (widened to hold zero, which must be exact: padding relies on it).
    pub(super) fn covering(range: Range, kind: Integer, symmetric: bool) -> Self {
        let (low, high) = (range.low.min(0.0), range.high.max(0.0));
        let (first, last) = kind.bounds();
        if symmetric {
            let scale = positive(low.abs().max(high) / 127.0);
            let zero_point = if kind == Integer::Uint8 { 128 } else { 0 };
            return Self {
                scale,
                zero_point,
                kind,
            };
        }
        let scale = positive((high - low) / (last - first));
        #[allow(clippy::cast_possible_truncation, reason = "between first and last: at most 255")]
        let zero_point = (first - low / scale).round_ties_even().clamp(first, last) as i32;
        Self {
            scale,
            zero_point,
            kind,
        }
    }

    /// The real numbers that the smallest and the largest integer stand for.
    pub(super) fn reach(&self) -> Range {
        let (first, last) = self.kind.bounds();
        let zero = self.zero_point as f32;
        Range {
            low: (first - zero) * self.scale,
            high: (last - zero) * self.scale,
        }
    }

    /// The number that a byte stands for.
    fn real(&self, byte: u8) -> f32 {
        let integer = match self.kind {
            Integer::Int8 => i32::from(i8::from_ne_bytes([byte])),
            Integer::Uint8 => i32::from(byte),
        };
        (integer - self.zero_point) as f32 * self.scale
    }

    fn byte(&self, real: f32) -> u8 {
        self.kind
            .byte((real / self.scale).round_ties_even() + self.zero_point as f32)
    }
}

fn positive(scale: f32) -> f32 {
    // All zeros: any scale is right, and 1 keeps the arithmetic away from denormals.
    if scale < MIN_SCALE { 1.0 } else { scale }
}

/// A weight as integers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QuantizedWeight {
    pub(super) bytes: Vec<u8>,
    /// One a channel; one in all where the weight is quantized per tensor.
    pub(super) channels: Vec<Affine>,
    /// Neighbouring elements of one channel.
    inner: usize,
}

impl QuantizedWeight {
    /// What rounding did to each element of the weight that it was made from: `ŵ − w`.
    pub(super) fn errors(&self, data: &[f32]) -> Vec<f32> {
        let pairs = self.bytes.iter().zip(data).enumerate();
        pairs
            .map(|(index, (&byte, &value))| self.of(index).map_or(0.0, |affine| affine.real(byte) - value))
            .collect()
    }

    fn of(&self, index: usize) -> Option<&Affine> {
        self.channels.get((index / self.inner) % self.channels.len().max(1))
    }
}

/// Quantizes `data` (row-major, `dims`), per channel of `axis` or per tensor; int8 symmetric, uint8 with a zero point.
///
/// `least_scale` holds a lower bound of the scale for each channel (or for the tensor), empty for none.
pub(super) fn weight(
    data: &[f32],
    dims: &[usize],
    axis: Option<usize>,
    kind: Integer,
    least_scale: &[f32],
) -> QuantizedWeight {
    let (channels, inner) = match axis {
        Some(axis) => (
            dims.get(axis).copied().unwrap_or(1),
            dims.iter().skip(axis + 1).product::<usize>().max(1),
        ),
        None => (1, data.len().max(1)),
    };
    let channel_of = |index: usize| (index / inner) % channels.max(1);
    let mut ranges = vec![Range { low: 0.0, high: 0.0 }; channels.max(1)];
    for (index, &value) in data.iter().enumerate() {
        if let Some(range) = ranges.get_mut(channel_of(index)).filter(|_| value.is_finite()) {
            range.low = range.low.min(value);
            range.high = range.high.max(value);
        }
    }
    let channels: Vec<Affine> = ranges
        .into_iter()
        .enumerate()
        .map(|(channel, range)| {
            let mut affine = Affine::covering(range, kind, kind == Integer::Int8);
            if let Some(&least) = least_scale.get(channel) {
                affine.scale = affine.scale.max(least);
            }
            affine
        })
        .collect();
    let channels = refined(channels, data, &channel_of, least_scale);
    let bytes = data
        .iter()
        .enumerate()
        .map(|(index, &value)| channels.get(channel_of(index)).map_or(0, |affine| affine.byte(value)))
        .collect();
    QuantizedWeight { bytes, channels, inner }
}

/// For each channel the scale, of a few somewhat smaller ones, whose rounding and clipping errs least in the mean square:
/// one large weight need not make all others coarse.
fn refined(
    mut channels: Vec<Affine>,
    data: &[f32],
    channel_of: &impl Fn(usize) -> usize,
    least_scale: &[f32],
) -> Vec<Affine> {
    let errors = |channels: &[Affine]| {
        let mut sums = vec![0.0_f64; channels.len()];
        for (index, &value) in data.iter().enumerate().filter(|(_, x)| x.is_finite()) {
            let channel = channel_of(index);
            if let (Some(affine), Some(sum)) = (channels.get(channel), sums.get_mut(channel)) {
                *sum += f64::from(affine.real(affine.byte(value)) - value).powi(2);
            }
        }
        sums
    };
    let widest = channels.clone();
    let mut least = errors(&channels);
    for per_cent in [97_u8, 94, 91, 88, 85, 80] {
        let smaller: Vec<Affine> = widest
            .iter()
            .map(|affine| Affine {
                scale: affine.scale * f32::from(per_cent) / 100.0,
                ..*affine
            })
            .collect();
        for (channel, error) in errors(&smaller).into_iter().enumerate() {
            let floor = least_scale.get(channel).copied().unwrap_or(0.0);
            let tried = smaller.get(channel).filter(|affine| affine.scale >= floor);
            if let (Some(tried), Some(least), Some(own)) = (tried, least.get_mut(channel), channels.get_mut(channel))
                && error < *least
            {
                (*least, *own) = (error, *tried);
            }
        }
    }
    channels
}

/// Quantizes a bias to 32 bits with the scale input × weight and a zero point of 0, as integer kernels add it.
#[allow(clippy::cast_possible_truncation, reason = "clamped to 32 bits")]
pub(super) fn bias(data: &[f32], input_scale: f32, weight: &[Affine]) -> (Vec<i32>, Vec<f32>) {
    let scales: Vec<f32> = weight.iter().map(|w| positive(w.scale * input_scale)).collect();
    let integers = data
        .iter()
        .enumerate()
        .map(|(i, &value)| {
            let scale = scales.get(i).or(scales.first()).copied().unwrap_or(1.0);
            (f64::from(value) / f64::from(scale))
                .round_ties_even()
                .clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i32
        })
        .collect();
    (integers, scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_every_value_is_within_half_a_step() {
        for kind in [Integer::Int8, Integer::Uint8] {
            for symmetric in [false, true] {
                let affine = Affine::covering(Range { low: -0.37, high: 2.9 }, kind, symmetric);
                assert!(affine.real(affine.byte(0.0)).abs() < f32::EPSILON);
                for step in 0..100_u8 {
                    let value = -0.37 + f32::from(step) * 0.0327;
                    let error = (affine.real(affine.byte(value)) - value).abs();
                    // Rounding the zero point may move the ends by another half step.
                    assert!(error <= affine.scale * 1.001, "{kind:?} {symmetric} {value}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_channel_is_one_slice_of_its_axis() {
        let data = [1.0, 2.0, 100.0, 200.0];
        let rows = weight(&data, &[2, 2], Some(0), Integer::Int8, &[]);
        assert!((0.8..=1.001).contains(&(rows.channels[0].scale / (2.0 / 127.0))));
        assert!((0.8..=1.001).contains(&(rows.channels[1].scale / (200.0 / 127.0))));
        let columns = weight(&data, &[2, 2], Some(1), Integer::Int8, &[]);
        assert!((0.8..=1.001).contains(&(columns.channels[0].scale / (100.0 / 127.0))));
        assert_eq!(columns.bytes[3], 127);
    }

    #[test]
    fn an_empty_or_zero_weight_keeps_a_usable_scale() {
        let zeros = weight(&[0.0; 4], &[4], None, Integer::Uint8, &[]);
        assert!((zeros.channels[0].scale - 1.0).abs() < f32::EPSILON);
        assert!(weight(&[], &[0, 3], Some(0), Integer::Int8, &[]).bytes.is_empty());
    }
}
