//! What calibration saw of each activation: smallest, largest, and a histogram for percentiles.

use std::collections::BTreeMap;

use super::QuantizeError;
use super::limits::HISTOGRAM_BINS;

/// The real numbers that a value's integers shall cover.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Smallest.
    pub low: f32,
    /// Largest.
    pub high: f32,
}

/// Ranges of every observed value.
#[derive(Debug, Clone, Default)]
pub struct Ranges {
    values: BTreeMap<String, Seen>,
    channels: BTreeMap<String, Channels>,
}

/// How a value's elements belong to channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Channels {
    pub(super) count: usize,
    /// True where the channels are the last axis, else they are the second.
    pub(super) last: bool,
}

#[derive(Debug, Clone)]
struct Seen {
    low: f32,
    high: f32,
    /// Counts over −reach…reach.
    bins: Vec<u64>,
    reach: f32,
    /// Sums over each channel, where channels were asked for.
    sums: Vec<f64>,
    per_channel: u64,
}

impl Ranges {
    pub(super) fn with_channels(channels: BTreeMap<String, Channels>) -> Self {
        Self {
            values: BTreeMap::new(),
            channels,
        }
    }

    /// Adds one run's elements of a value, row-major; `batch` is how many inputs the run held. Elements that are not
    /// finite are left out of the range.
    pub fn observe(&mut self, name: &str, batch: usize, elements: &[f32]) {
        if !self.values.contains_key(name) {
            self.values.insert(name.to_owned(), Seen::new());
        }
        if let Some(seen) = self.values.get_mut(name) {
            seen.add(elements);
            if let Some(channels) = self.channels.get(name) {
                seen.sum(*channels, batch, elements);
            }
        }
    }

    /// The mean of each channel, where channels were asked for and seen.
    pub(super) fn means(&self, name: &str) -> Option<Vec<f32>> {
        let seen = self.values.get(name).filter(|seen| seen.per_channel > 0)?;
        #[allow(clippy::cast_possible_truncation, reason = "a mean of 32-bit floats")]
        let mean = |sum: &f64| (sum / seen.per_channel as f64) as f32;
        Some(seen.sums.iter().map(mean).collect())
    }

    /// The range of a value; `percentile` in (50, 100]: 100 is min-max, less leaves out that share of either tail.
    ///
    /// # Errors
    /// When the value was never observed.
    pub fn range(&self, name: &str, percentile: f64) -> Result<Range, QuantizeError> {
        self.values
            .get(name)
            .filter(|seen| seen.low <= seen.high)
            .map(|seen| seen.range(percentile))
            .ok_or_else(|| QuantizeError::Unseen(name.to_owned()))
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            low: f32::INFINITY,
            high: f32::NEG_INFINITY,
            bins: vec![0; HISTOGRAM_BINS],
            reach: 0.0,
            sums: Vec::new(),
            per_channel: 0,
        }
    }

    fn sum(&mut self, channels: Channels, batch: usize, elements: &[f32]) {
        let whole = channels.count.saturating_mul(batch);
        if whole == 0 || !elements.len().is_multiple_of(whole) {
            return;
        }
        self.sums.resize(channels.count, 0.0);
        let inner = if channels.last { 1 } else { elements.len() / whole };
        for (run, chunk) in elements.chunks(inner.max(1)).enumerate() {
            if let Some(sum) = self.sums.get_mut(run % channels.count) {
                *sum += chunk.iter().map(|&x| f64::from(x)).sum::<f64>();
            }
        }
        self.per_channel += (elements.len() / channels.count) as u64;
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0…bins by construction"
    )]
    fn add(&mut self, elements: &[f32]) {
        let (mut low, mut high) = (self.low, self.high);
        for &x in elements.iter().filter(|x| x.is_finite()) {
            low = low.min(x);
            high = high.max(x);
        }
        (self.low, self.high) = (low, high);
        let largest = low.abs().max(high.abs());
        if !largest.is_finite() {
            return;
        }
        self.widen(largest);
        let per_unit = HISTOGRAM_BINS as f32 / (2.0 * self.reach);
        for &x in elements.iter().filter(|x| x.is_finite()) {
            let bin = ((x + self.reach) * per_unit) as usize;
            if let Some(count) = self.bins.get_mut(bin.min(HISTOGRAM_BINS - 1)) {
                *count += 1;
            }
        }
    }

    /// Doubles the reach until it holds `largest`: two neighbouring bins become one, so nothing is counted anew.
    fn widen(&mut self, largest: f32) {
        if self.reach == 0.0 {
            self.reach = largest.max(f32::MIN_POSITIVE);
            return;
        }
        while self.reach < largest {
            let mut wider = vec![0; HISTOGRAM_BINS];
            for (bin, count) in self.bins.iter().enumerate() {
                if let Some(sum) = wider.get_mut(HISTOGRAM_BINS / 4 + bin / 2) {
                    *sum += count;
                }
            }
            self.bins = wider;
            self.reach *= 2.0;
        }
    }

    fn range(&self, percentile: f64) -> Range {
        let total: u64 = self.bins.iter().sum();
        let tail = total as f64 * (1.0 - percentile / 100.0);
        let width = 2.0 * self.reach / HISTOGRAM_BINS as f32;
        let outside = |bins: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0_u64;
            bins.take_while(|&&count| {
                sum += count;
                sum as f64 <= tail
            })
            .count() as f32
        };
        let low = outside(&mut self.bins.iter()) * width - self.reach;
        let high = self.reach - outside(&mut self.bins.iter().rev()) * width;
        Range {
            low: low.max(self.low),
            high: high.min(self.high),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn min_max_is_exact_and_a_percentile_leaves_the_tail_out() {
        let mut ranges = Ranges::default();
        // 0.1 … 1000 in steps, in two runs of growing size: the second widens the histogram.
        let elements: Vec<f32> = (1..=10_000_u16).map(|i| f32::from(i) * 0.1).collect();
        ranges.observe("x", 1, &elements[..100]);
        ranges.observe("x", 1, &elements[100..]);
        let all = ranges.range("x", 100.0).unwrap();
        assert!((all.low - 0.1).abs() < 1e-6 && (all.high - 1000.0).abs() < 1e-3);
        let most = ranges.range("x", 99.0).unwrap();
        assert!((most.high - 990.0).abs() < 1.5, "{most:?}");
        assert!((most.low - 10.0).abs() < 1.5, "{most:?}");
    }

    #[test]
    fn means_are_of_the_second_axis_or_of_the_last() {
        let of = |last| {
            let mut ranges = Ranges::with_channels([("x".to_owned(), Channels { count: 2, last })].into());
            // Two inputs of [2, 3].
            ranges.observe("x", 2, &[1., 2., 3., 10., 20., 30., 3., 4., 5., 30., 40., 50.]);
            ranges.means("x").unwrap()
        };
        assert_eq!(of(false), [3.0, 30.0]);
        assert_eq!(
            of(true),
            [
                (1. + 3. + 20. + 3. + 5. + 40.) / 6.,
                (2. + 10. + 30. + 4. + 30. + 50.) / 6.
            ]
        );
    }

    #[test]
    fn what_was_never_seen_is_an_error() {
        let mut ranges = Ranges::default();
        ranges.observe("nan", 1, &[f32::NAN]);
        assert!(ranges.range("nan", 100.0).is_err());
        assert!(ranges.range("nothing", 100.0).is_err());
    }
}
