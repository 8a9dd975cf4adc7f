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
    /// The interval takes no distribution for granted: it lies between two order statistics on each side, as 95 % lie between
    /// their levels of confidence in the binomial sign test. Of fewer than six, none has that level: the least and the largest.
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
        let (low, high) = interval(&sorted);
        Self {
            runs: u32::try_from(n).unwrap_or(u32::MAX),
            median,
            p95: at(rank(0.95, n)),
            low,
            high,
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

/// The 95 % interval of the median of numbers in order.
///
/// With gₖ the confidence of [xₖ, xₙ₋ₖ₊₁], gₖ ≥ 0.95 > gₖ₊₁, I = (gₖ − 0.95) / (gₖ − gₖ₊₁) and λ = (n − k) I / (k + (n − 2k) I), its ends
/// are (1 − λ) xₖ + λ xₖ₊₁ and their mirror image (T. P. Hettmansperger, S. J. Sheather, "Confidence intervals based on
/// interpolated order statistics", Statistics & Probability Letters 4 (2), 1986).
fn interval(sorted: &[f64]) -> (f64, f64) {
    const LEVEL: f64 = 0.95;
    let n = sorted.len();
    let from_ends = |k: usize| Some((*sorted.get(k.checked_sub(1)?)?, *sorted.get(n.checked_sub(k)?)?));
    let mut outer = 1.0;
    for (k, of_inner) in confidences(n).enumerate() {
        if of_inner < LEVEL {
            let share = (outer - LEVEL) / (outer - of_inner);
            let (below, above) = (k as f64, n.saturating_sub(k) as f64);
            let lambda = above * share / (below + (above - below) * share);
            let between = |a: f64, b: f64| a + lambda * (b - a);
            let ends = from_ends(k).zip(from_ends(k + 1));
            if let Some(((low, high), (inner_low, inner_high))) = ends {
                return (between(low, inner_low), between(high, inner_high));
            }
            break;
        }
        outer = of_inner;
    }
    from_ends(1).unwrap_or_default()
}

/// The confidence of [x₁, xₙ], of [x₂, xₙ₋₁], and so on: 1 less the chance that fewer than k of n fall below the median, or above.
fn confidences(n: usize) -> impl Iterator<Item = f64> {
    // The binomial weights over the middle one, which no number of runs makes too small.
    let mut weights = vec![1.0];
    let mut weight = 1.0;
    for i in (1..=n / 2).rev() {
        weight *= i as f64 / (n + 1 - i) as f64;
        weights.push(weight);
    }
    weights.reverse();
    let half: f64 = weights.iter().sum();
    let all = if n.is_multiple_of(2) {
        2.0 * half - 1.0
    } else {
        2.0 * half
    };
    weights.into_iter().scan(0.0, move |below, weight| {
        *below += weight;
        Some(1.0 - 2.0 * *below / all)
    })
}

/// Index of the nearest-rank quantile.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at least 0, and an index past the end is held to the last by the caller"
)]
fn rank(quantile: f64, n: usize) -> usize {
    ((quantile * n as f64).ceil() - 1.0).max(0.0) as usize
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
        // By tables of the sign test: from the 40th to the 61st has 96.5 %, from the 41st to the 60th 94.3 %.
        assert!((40.0..41.0).contains(&sample.low), "{}", sample.low);
        assert!((sample.low + sample.high - 101.0).abs() < 1e-12, "{}", sample.high);
    }

    #[test]
    fn confidences_are_those_of_the_tables_of_the_sign_test() {
        let of = |n: usize, k: usize| confidences(n).nth(k - 1).unwrap_or(f64::NAN);
        for (n, k, percent) in [
            (6, 1, 96.875),
            (9, 2, 96.09),
            (20, 6, 95.86),
            (100, 40, 96.48),
            (100, 41, 94.31),
        ] {
            assert!((of(n, k) * 100.0 - percent).abs() < 0.01, "{n} {k} {}", of(n, k));
        }
        assert!(
            (0.9..1.0).contains(&of(3000, 1450)),
            "no weight is lost: {}",
            of(3000, 1450)
        );
    }

    /// What a 95 % interval is: of many samples, 95 in a hundred hold the median of what they are drawn from.
    #[test]
    fn intervals_hold_the_median_as_often_as_they_say() {
        const SAMPLES: u32 = 20_000;
        let mut state = 1_u64;
        let mut uniform = || {
            // Knuth's generator; the upper bits are good.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        for n in [6, 7, 8, 9, 12, 15, 30] {
            // Exponential, as skewed as times that others disturb.
            let held = (0..SAMPLES).filter(|_| {
                let numbers: Vec<f64> = (0..n).map(|_| -uniform().ln()).collect();
                let sample = Sample::of(&numbers);
                (sample.low..=sample.high).contains(&core::f64::consts::LN_2)
            });
            let share = held.count() as f64 / f64::from(SAMPLES);
            assert!((0.94..0.965).contains(&share), "{n}: {share}");
        }
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
