//! `dct`'s table for one value, from tensors of it.

use kerf_runtime::tensor::Tensor;
use kerf_wire::codec::{Layout, MAX_BLOCK, MAX_CHANNELS, MAX_LEVEL, Table, add_magnitudes};
use kerf_wire::{DType, WireError};

/// Errors at a spatial frequency f (in periods a block) move a network's output in proportion to about f^−1.4 in power:
/// measured on EfficientNet-Lite0 by adding one frequency at a time. Equal harm then asks for steps that grow with f^0.7.
pub const SENSITIVITY: f32 = 0.7;

/// Which blocks a table uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    /// None: each element by itself.
    One,
    /// The longest sides up to 16 that divide the value's.
    Longest,
}

/// Below this step, in standard deviations, two quantisers take turns: there they saved 0.02 to 0.18 bits an element of
/// EfficientNet-Lite0's and MobileNetV2's values at equal divergence of the answers, above it nothing.
const TURNS_BELOW: f32 = 1.0;
/// A step of one quantiser over the grid of two that do as much harm.
const GRID: f32 = 0.6;
/// What a bit is worth to the search, in squares of the grid's step: more lowers the error per bit, and harms the answer.
const LAMBDA: f32 = 0.1;
/// What the search codes is smaller than what it is given: by so many quarter octaves.
const SHRUNK: i16 = 1;

/// Fits a table whose steps are, in the mean over a block, `step` times the values' standard deviation.
///
/// # Errors
/// When there is no tensor, or they are no 32-bit floats `[N, C, …]` of one shape, or not finite.
pub fn table(tensors: &[&Tensor], blocks: Blocks, step: f32) -> Result<Table, WireError> {
    let first = tensors
        .first()
        .ok_or(WireError::BadCodec("no tensor to fit a table to"))?;
    let [_, channels, inner @ ..] = first.shape() else {
        return Err(WireError::BadCodec("a table needs a batch axis and a channel axis"));
    };
    let channels = usize::try_from(*channels).map_err(|_| WireError::ShapeOverflow)?;
    if first.dtype() != DType::F32 || channels > MAX_CHANNELS {
        return Err(WireError::BadCodec(
            "a table is for 32-bit floats of at most 65536 channels",
        ));
    }
    let (columns, rows) = inner
        .split_last()
        .map_or((1, 1), |(columns, rows)| (*columns, rows.iter().product()));
    let block = match blocks {
        Blocks::One => [1, 1],
        Blocks::Longest => [longest(rows), longest(columns)],
    };
    let moments = Moments::of(tensors, channels);
    let signed = blocks == Blocks::Longest || moments.low < 0.0;
    let turns = step < TURNS_BELOW && block != [1, 1];
    let grid = if turns { GRID * step } else { step };
    let steps = steps(block, grid * moments.deviation.max(f32::MIN_POSITIVE * 1e6));
    let mut table = Table {
        layout: Layout::ChannelsFirst,
        block,
        signed,
        max_level: MAX_LEVEL,
        states: if turns { 4 } else { 1 },
        rounding: 0.5,
        lambda: if turns { LAMBDA } else { 0.0 },
        shift: 0.0,
        frequency_class: vec![0; steps.len()],
        steps,
        // Without signs there must be nothing below zero.
        means: if signed { moments.means } else { vec![0.0; channels] },
        channel_class: vec![0; channels],
    };
    classes(&mut table, tensors)?;
    Ok(table)
}

/// The longest side of at most [`MAX_BLOCK`] that divides a length.
fn longest(length: u32) -> u8 {
    let fits = |side: &u8| length.is_multiple_of(u32::from(*side));
    (1..=u8::try_from(MAX_BLOCK).unwrap_or(16))
        .rev()
        .find(fits)
        .unwrap_or(1)
}

/// Steps by frequency, growing with its [`SENSITIVITY`]th power; their geometric mean is `step`.
fn steps(block: [u8; 2], step: f32) -> Vec<f32> {
    let [rows, columns] = block.map(f32::from);
    let radius = |row: u8, column: u8| {
        // Half a step from zero on, so that the mean itself has a place on the scale.
        let offset = 0.5 / rows.max(columns);
        (f32::from(row) / rows).hypot(f32::from(column) / columns) + offset
    };
    let all = (0..block[0]).flat_map(|row| (0..block[1]).map(move |column| radius(row, column).powf(SENSITIVITY)));
    let all: Vec<f32> = all.collect();
    let mean_log = all.iter().map(|s| s.ln()).sum::<f32>() / all.len() as f32;
    all.into_iter().map(|s| s / mean_log.exp() * step).collect()
}

/// What the elements are like.
struct Moments {
    means: Vec<f32>,
    /// Root of the mean square about the channels' means.
    deviation: f32,
    low: f32,
}

impl Moments {
    fn of(tensors: &[&Tensor], channels: usize) -> Self {
        let (mut sums, mut squares, mut counts) = (vec![0.0_f64; channels], 0.0_f64, vec![0_u64; channels]);
        let (mut low, mut all) = (f32::INFINITY, 0_u64);
        for tensor in tensors {
            let plane: usize = tensor.shape().iter().skip(2).map(|n| *n as usize).product();
            for (index, plane) in tensor.as_slice::<f32>().chunks_exact(plane.max(1)).enumerate() {
                for x in plane {
                    sums[index % channels] += f64::from(*x);
                    squares += f64::from(*x) * f64::from(*x);
                    low = low.min(*x);
                }
                counts[index % channels] += plane.len() as u64;
                all += plane.len() as u64;
            }
        }
        let means: Vec<f64> = sums
            .iter()
            .zip(&counts)
            .map(|(sum, count)| sum / (*count).max(1) as f64)
            .collect();
        let of_means: f64 = means
            .iter()
            .zip(&counts)
            .map(|(mean, count)| mean * mean * *count as f64)
            .sum();
        let deviation = ((squares - of_means).max(0.0) / all.max(1) as f64).sqrt();
        #[allow(clippy::cast_possible_truncation, reason = "means and deviations of 32-bit floats")]
        Self {
            means: means.into_iter().map(|mean| mean as f32).collect(),
            deviation: deviation as f32,
            low,
        }
    }
}

/// Splits the mean magnitudes by channel and frequency into one factor each, as classes.
fn classes(table: &mut Table, tensors: &[&Tensor]) -> Result<(), WireError> {
    let (area, channels) = (table.steps.len(), table.means.len());
    let mut sums = vec![0.0; area * channels];
    let mut count = 0;
    for tensor in tensors {
        count += add_magnitudes(table, &tensor.view(), &mut sums)?;
    }
    let magnitude = |sum: f64, of: usize| (sum / (count * of).max(1) as f64).max(1e-4);
    let by_frequency = |f: usize| sums.iter().skip(f).step_by(area).sum::<f64>();
    let all = magnitude(sums.iter().sum(), area * channels);
    // Class 16 is a mean magnitude of one step, with two quantisers of a double one.
    let one_step = if table.states == 4 { 16 - 4 - SHRUNK } else { 16 };
    table.channel_class = sums
        .chunks_exact(area)
        .map(|of_channel| quarters(magnitude(of_channel.iter().sum(), area)) + one_step)
        .collect();
    table.frequency_class = (0..area)
        .map(|f| quarters(magnitude(by_frequency(f), channels) / all))
        .collect();
    Ok(())
}

/// Quarter octaves of a positive number.
fn quarters(x: f64) -> i16 {
    #[allow(clippy::cast_possible_truncation, reason = "clamped")]
    let quarters = (4.0 * x.log2()).round().clamp(-1000.0, 1000.0) as i16;
    quarters
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;
    use kerf_wire::codec::{Codec, Coder};

    fn tensor(shape: &[u32], f: impl Fn(usize) -> f32) -> Tensor {
        let count: u32 = shape.iter().product();
        let data: Vec<f32> = (0..count as usize).map(f).collect();
        Tensor::from_f32(shape, &data).unwrap()
    }

    #[test]
    fn a_fitted_table_keeps_its_promise_of_error_and_finds_blocks() {
        let maps = tensor(&[2, 5, 14, 28], |i| 3.0 * (i as f32 * 0.02).sin() + (i / 392) as f32);
        let table = table(&[&maps], Blocks::Longest, 0.1).unwrap();
        assert_eq!(table.block, [14, 14]);
        let (mut coder, mut payload) = (Coder::new(), Vec::new());
        let codec = Codec::dct(table).unwrap();
        let header = coder.encode(&codec, &maps.view(), &mut payload).unwrap();
        assert_eq!(header.codec, codec.id);
        let mut back = Tensor::zeros(DType::F32, maps.shape()).unwrap();
        coder.decode(&codec, &header, &payload, back.bytes_mut()).unwrap();
        let pairs = maps.as_slice::<f32>().iter().zip(back.as_slice::<f32>());
        let error: f32 = pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / 3920.0;
        let deviation = 3.0 / 2.0_f32.sqrt();
        assert!(error.sqrt() < 0.1 * deviation, "error {error}");
        assert!(payload.len() < 3920, "{} bytes", payload.len());
    }

    #[test]
    fn features_after_a_relu_need_no_signs() {
        let maps = tensor(&[1, 4, 3, 3], |i| (i % 5) as f32);
        assert!(!table(&[&maps], Blocks::One, 0.5).unwrap().signed);
        let dense = tensor(&[1, 10], |i| i as f32 - 4.0);
        assert!(table(&[&dense], Blocks::One, 0.5).unwrap().signed);
        assert!(table(&[&dense], Blocks::Longest, 0.5).is_ok());
        assert!(table(&[], Blocks::One, 0.5).is_err());
        assert!(table(&[&tensor(&[7], |_| 1.0)], Blocks::One, 0.5).is_err());
    }
}
