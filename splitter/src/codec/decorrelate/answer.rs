//! A model's answer as numbers whose change is harm.

use kerf_runtime::tensor::Tensor;
use kerf_wire::DType;

use super::DecorrelateError;
use crate::codec::best_class;

/// The best classes of an answer are what a small error can change.
const BEST: usize = 10;
/// Elements of an answer that is no class; more of them say nothing new.
const MOST: usize = 4096;
/// Probabilities below this are as good as zero.
const LEAST_SHARE: f64 = 1e-9;

/// What an answer was with raw tensors, and which of its numbers count.
pub(super) struct Answer {
    /// Indices, of weights 1 / their number.
    counted: Vec<usize>,
    scores: Vec<f64>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Class scores: only their differences matter.
    Scores,
    /// Probabilities: so do those of their logarithms.
    Shares,
    Elements,
}

impl Answer {
    pub(super) fn of(output: &Tensor) -> Result<Self, DecorrelateError> {
        if output.dtype() != DType::F32 {
            return Err(DecorrelateError::Answer);
        }
        let elements = output.as_slice::<f32>();
        let sum: f64 = elements.iter().map(|x| f64::from(*x)).sum();
        let is_share = |x: &f32| (0.0..=1.0).contains(x);
        let kind = match best_class(output) {
            None => Kind::Elements,
            Some(_) if (sum - 1.0).abs() < 1e-3 && elements.iter().all(is_share) => Kind::Shares,
            Some(_) => Kind::Scores,
        };
        let mut counted: Vec<usize> = (0..elements.len()).collect();
        match kind {
            Kind::Elements => {
                let apart = elements.len().div_ceil(MOST).max(1);
                counted = counted.into_iter().step_by(apart).collect();
            }
            Kind::Scores | Kind::Shares => {
                let score = |index: &usize| elements.get(*index).copied().unwrap_or_default();
                counted.sort_by(|a, b| score(b).total_cmp(&score(a)));
                counted.truncate(BEST);
            }
        }
        let scores = counted.iter().map(|index| number(elements, *index, kind)).collect();
        Ok(Self { counted, scores, kind })
    }

    /// How each counted number of another answer differs, times the root of its weight: the sum of their squares is the harm.
    pub(super) fn change(&self, output: &Tensor) -> Result<Vec<f64>, DecorrelateError> {
        let elements = output.as_slice::<f32>();
        let pairs = self.counted.iter().zip(&self.scores);
        let mut change: Vec<f64> = pairs
            .map(|(index, score)| number(elements, *index, self.kind) - score)
            .collect();
        let count = change.len().max(1) as f64;
        // All scores moving together change no answer.
        let together = match self.kind {
            Kind::Elements => 0.0,
            Kind::Scores | Kind::Shares => change.iter().sum::<f64>() / count,
        };
        change.iter_mut().for_each(|x| *x = (*x - together) / count.sqrt());
        match change.iter().all(|x| x.is_finite()) {
            true => Ok(change),
            false => Err(DecorrelateError::NoReaction),
        }
    }
}

fn number(elements: &[f32], index: usize, kind: Kind) -> f64 {
    let x = elements.get(index).copied().map_or(f64::NAN, f64::from);
    match kind {
        Kind::Shares => x.max(LEAST_SHARE).ln(),
        Kind::Scores | Kind::Elements => x,
    }
}
