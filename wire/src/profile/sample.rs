//! Repeated measurements of one thing, in the five numbers that plans need.

use serde::{Deserialize, Serialize};

use super::{ProfileError, number};

/// Repeated measurements of one duration, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// How many runs.
    pub runs: u32,
    /// The middle one (lower middle and upper middle averaged).
    pub median: f64,
    /// 95 of 100 are not above it (nearest rank).
    pub p95: f64,
    /// Lower end of the 95 % confidence interval of the median.
    pub low: f64,
    /// Upper end of the 95 % confidence interval of the median.
    pub high: f64,
}

impl Sample {
    /// The statistics of these measurements; all zero of none.
    ///
    /// The interval takes no distribution for granted: the order statistics at `n/2 ± 1.96·√n/2`, the normal
    /// approximation of the binomial sign test (Conover, Practical Nonparametric Statistics, 3rd ed., § 3.2).
    pub fn of(measured_ms: &[f64]) -> Self {
        let mut sorted = measured_ms.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| {
            sorted
                .get(index.min(sorted.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0.0)
        };
        let n = sorted.len();
        let median = f64::midpoint(at(n.saturating_sub(1) / 2), at(n / 2));
        let half = 0.98 * root(n);
        Self {
            runs: u32::try_from(n).unwrap_or(u32::MAX),
            median,
            p95: at(rank(0.95, n)),
            low: at(floor(half_of(n) - half)),
            high: at(floor(half_of(n) + half)),
        }
    }

    /// A time that is known without measuring, e.g. given by hand.
    pub fn exact(ms: f64) -> Self {
        Self {
            runs: 1,
            median: ms,
            p95: ms,
            low: ms,
            high: ms,
        }
    }

    /// Half the width of the interval relative to the median; 0 where the median is 0.
    pub fn relative_noise(&self) -> f64 {
        if self.median > 0.0 {
            ((self.high - self.low) / 2.0 / self.median).max(0.0)
        } else {
            0.0
        }
    }

    pub(super) fn check(&self, field: &str) -> Result<(), ProfileError> {
        [self.median, self.p95, self.low, self.high]
            .into_iter()
            .try_for_each(|value| number(field, value))
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of runs are far below 2^52")]
fn half_of(n: usize) -> f64 {
    n as f64 / 2.0
}

fn root(n: usize) -> f64 {
    (2.0 * half_of(n)).sqrt()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped at 0; an index past the end is held to the last by the caller"
)]
fn floor(position: f64) -> usize {
    position.max(0.0).floor() as usize
}

/// Index of the nearest-rank quantile.
fn rank(quantile: f64, n: usize) -> usize {
    floor((quantile * 2.0 * half_of(n)).ceil() - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_numbers() {
        let numbers: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let sample = Sample::of(&numbers);
        assert_eq!(sample.runs, 100);
        assert!((sample.median - 50.5).abs() < 1e-12);
        assert!((sample.p95 - 95.0).abs() < 1e-12);
        // The rule rounds 50 ± 9.8 up: the 41st and the 60th of 100.
        assert!((sample.low - 41.0).abs() < 1e-12, "{}", sample.low);
        assert!((sample.high - 60.0).abs() < 1e-12, "{}", sample.high);
    }

    #[test]
    fn of_few_and_of_none() {
        assert_eq!(Sample::of(&[]).runs, 0);
        let one = Sample::of(&[4.0]);
        assert_eq!((one.low, one.high), (one.median, one.p95));
        let two = Sample::of(&[1.0, 3.0]);
        assert!((two.median - 2.0).abs() < 1e-12 && two.low <= 1.0 && two.high >= 3.0);
    }
}
