//! What a choice of codecs did, summed over the samples.

use std::time::Duration;

use kerf_runtime::tensor::Tensor;
use kerf_wire::DType;

use super::trial::{Passed, Sample};

/// What one choice of codecs does to all samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Encoded bytes of a frame's tensors, mean.
    pub payload_bytes: f64,
    /// Encoded bits for each element that crosses.
    pub bits: f64,
    /// Root of the mean square error of the crossing floats over their root mean square.
    pub relative_error: f64,
    /// Share of the samples whose best class is that of the raw tensors; none where the output has no classes.
    pub agreement: Option<f64>,
    /// Share of the samples whose best class is right, where that is known.
    pub accuracy: Option<f64>,
    /// ‖output − raw output‖ / ‖raw output‖, mean.
    pub output_error: f64,
    /// Megabytes of raw tensor encoded a second.
    pub encode_mb_s: f64,
    /// Megabytes of raw tensor decoded a second.
    pub decode_mb_s: f64,
}

impl Score {
    /// What is held against `--max-loss`: classes that change, else how far the output moves.
    pub fn loss(&self) -> f64 {
        self.agreement.map_or(self.output_error, |agreement| 1.0 - agreement)
    }
}

/// Sums over the samples.
#[derive(Debug, Default)]
pub(super) struct Tally {
    samples: u32,
    bits: f64,
    elements: f64,
    raw_bytes: f64,
    error: f64,
    power: f64,
    agree: Option<u32>,
    right: Option<u32>,
    output_error: f64,
    encode: Duration,
    decode: Duration,
}

impl Tally {
    pub(super) fn crossing(&mut self, sample: &Sample, passed: &Passed) {
        self.samples += 1;
        self.bits += passed.payload_bits;
        self.encode += passed.encode;
        self.decode += passed.decode;
        for (raw, back) in sample.crossing.iter().zip(&passed.tensors) {
            self.raw_bytes += raw.bytes().len() as f64;
            self.elements += raw.bytes().len() as f64 / raw.dtype().size_bytes() as f64;
            if raw.dtype() == DType::F32 {
                let (error, power) = distance(raw, back);
                self.error += error;
                self.power += power;
            }
        }
    }

    pub(super) fn output(&mut self, sample: &Sample, output: &Tensor) {
        let (error, power) = distance(&sample.output, output);
        self.output_error += (error / power.max(f64::MIN_POSITIVE)).sqrt();
        let (Some(expected), Some(got)) = (best_class(&sample.output), best_class(output)) else {
            return;
        };
        *self.agree.get_or_insert(0) += u32::from(expected == got);
        if let Some(class) = sample.class {
            *self.right.get_or_insert(0) += u32::from(class == got);
        }
    }

    pub(super) fn score(&self) -> Score {
        let samples = f64::from(self.samples.max(1));
        let mb_s = |time: Duration| self.raw_bytes / 1e6 / time.as_secs_f64().max(1e-9);
        Score {
            payload_bytes: self.bits / 8.0 / samples,
            bits: self.bits / self.elements.max(1.0),
            relative_error: (self.error / self.power.max(f64::MIN_POSITIVE)).sqrt(),
            agreement: self.agree.map(|agree| f64::from(agree) / samples),
            accuracy: self.right.map(|right| f64::from(right) / samples),
            output_error: self.output_error / samples,
            encode_mb_s: mb_s(self.encode),
            decode_mb_s: mb_s(self.decode),
        }
    }
}

/// Squared distance of two tensors of floats, and the first one's square.
pub fn distance(raw: &Tensor, back: &Tensor) -> (f64, f64) {
    let pairs = raw.as_slice::<f32>().iter().zip(back.as_slice::<f32>());
    pairs.fold((0.0, 0.0), |(error, power), (a, b)| {
        let (a, b) = (f64::from(*a), f64::from(*b));
        (error + (a - b) * (a - b), power + a * a)
    })
}

/// The best class of an output `[1, classes]` of floats; none where it has no classes.
pub fn best_class(output: &Tensor) -> Option<usize> {
    match output.shape() {
        [1, classes] if *classes > 1 && output.dtype() == DType::F32 => {}
        _ => return None,
    }
    let scores = output.as_slice::<f32>().iter().enumerate();
    scores.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(class, _)| class)
}
