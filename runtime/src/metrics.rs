//! What a stage counts.
//!
//! Owns: counters and histograms, and their OpenMetrics text. Must not know: who counts, who asks.
//! Plain atomics: a board without the feature `http` still has them in its status message.

mod serve;

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use serve::serve;

use crate::health::Health;

/// Upper bounds of a histogram's buckets, seconds.
const BUCKETS_S: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 10.0, 60.0];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_S.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS_S) {
            if seconds <= bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

/// Upper bounds of the buckets of batch sizes.
const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// How often how many frames ran together.
#[derive(Debug, Default)]
pub struct Sizes {
    buckets: [AtomicU64; SIZES.len()],
    runs: AtomicU64,
    frames: AtomicU64,
}

impl Sizes {
    /// Counts one run of so many frames.
    pub fn observe(&self, together: usize) {
        for (bucket, bound) in self.buckets.iter().zip(SIZES) {
            bucket.fetch_add(u64::from(together <= bound), Ordering::Relaxed);
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.frames.fetch_add(together as u64, Ordering::Relaxed);
    }

    /// Runs so far.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Frames that they had.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }
}

/// What one stage counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Frames accepted: they outlive what the spool promises to outlive.
    pub accepted: Counter,
    /// Frames handed to the broker, repeats included.
    pub sent: Counter,
    /// Frames handed to the broker again.
    pub resent: Counter,
    /// Frames answered: receipts at a head, runs at a tail.
    pub answered: Counter,
    /// Repeats that were answered from memory.
    pub repeats: Counter,
    /// Frames that can never be answered.
    pub refused: Counter,
    /// Frames dropped unanswered, by the spool's policy.
    pub dropped: Counter,
    /// Objects that could not be fetched.
    pub not_fetched: Counter,
    /// Frames made with the coarser codec, since the link was behind.
    pub coarser: Counter,
    /// From the first send to the receipt.
    pub answer: Histogram,
    /// In the engine.
    pub run: Histogram,
    /// Frames of each run of a stage behind the first.
    pub together: Sizes,
    /// What does not work now.
    pub health: Health,
    waiting_frames: AtomicU64,
    waiting_bytes: AtomicU64,
}

impl Metrics {
    /// Frames without a receipt, and the bytes that they take.
    pub fn waiting(&self, frames: usize, bytes: u64) {
        self.waiting_frames.store(frames as u64, Ordering::Relaxed);
        self.waiting_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Frames without a receipt.
    pub fn waiting_frames(&self) -> u64 {
        self.waiting_frames.load(Ordering::Relaxed)
    }

    fn counters(&self) -> [(&'static str, &'static str, &Counter); 9] {
        [
            ("accepted", "Frames accepted", &self.accepted),
            ("sent", "Frames handed to the broker, repeats included", &self.sent),
            ("resent", "Frames handed to the broker again", &self.resent),
            ("answered", "Frames answered", &self.answered),
            ("repeats", "Repeats answered from memory", &self.repeats),
            ("refused", "Frames that can never be answered", &self.refused),
            ("dropped", "Frames dropped unanswered", &self.dropped),
            ("not_fetched", "Objects that could not be fetched", &self.not_fetched),
            ("coarser", "Frames made coarser, the link being behind", &self.coarser),
        ]
    }

    /// All of it as OpenMetrics text, which Prometheus reads; without the final `# EOF`.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, help, counter) in self.counters() {
            let value = counter.value();
            push(
                &mut out,
                format_args!("# HELP kerf_frames_{name} {help}.\n# TYPE kerf_frames_{name} counter\n"),
            );
            push(&mut out, format_args!("kerf_frames_{name}_total {value}\n"));
        }
        let gauges = [
            ("kerf_waiting_frames", "Frames without a receipt", &self.waiting_frames),
            (
                "kerf_waiting_bytes",
                "Bytes of frames without a receipt",
                &self.waiting_bytes,
            ),
        ];
        for (name, help, gauge) in gauges {
            let value = gauge.load(Ordering::Relaxed);
            push(
                &mut out,
                format_args!("# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}\n"),
            );
        }
        self.troubles(&mut out);
        histogram(
            &mut out,
            "kerf_answer_seconds",
            "From the first send to the receipt",
            &self.answer,
        );
        histogram(&mut out, "kerf_run_seconds", "In the engine", &self.run);
        sizes(&mut out, "kerf_run_frames", "Frames that ran together", &self.together);
        out
    }

    fn troubles(&self, out: &mut String) {
        let name = "kerf_trouble_code";
        let help = "The exit code of what does not work now, 0 where all does";
        push(out, format_args!("# HELP {name} {help}.\n# TYPE {name} gauge\n"));
        let troubles = self.health.troubles();
        for about in ["broker", "spool", "store"] {
            let code = troubles.iter().find(|t| t.about == about).map_or(0, |t| t.code);
            push(out, format_args!("{name}{{about=\"{about}\"}} {code}\n"));
        }
    }

    /// The counters by name, for a status message.
    pub fn document(&self) -> serde_json::Value {
        let mut document: serde_json::Map<String, serde_json::Value> = self
            .counters()
            .into_iter()
            .map(|(name, _, counter)| (name.to_owned(), counter.value().into()))
            .collect();
        document.insert("waiting_frames".to_owned(), self.waiting_frames().into());
        document.insert(
            "waiting_bytes".to_owned(),
            self.waiting_bytes.load(Ordering::Relaxed).into(),
        );
        document.insert("runs".to_owned(), self.together.runs().into());
        document.into()
    }
}

fn histogram(out: &mut String, name: &str, help: &str, histogram: &Histogram) {
    push(
        out,
        format_args!("# HELP {name} {help}.\n# TYPE {name} histogram\n# UNIT {name} seconds\n"),
    );
    for (bucket, bound) in histogram.buckets.iter().zip(BUCKETS_S) {
        let count = bucket.load(Ordering::Relaxed);
        push(out, format_args!("{name}_bucket{{le=\"{bound}\"}} {count}\n"));
    }
    let count = histogram.count.load(Ordering::Relaxed);
    let sum_s = Duration::from_micros(histogram.sum_us.load(Ordering::Relaxed)).as_secs_f64();
    push(
        out,
        format_args!("{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum_s}\n{name}_count {count}\n"),
    );
}

fn sizes(out: &mut String, name: &str, help: &str, sizes: &Sizes) {
    push(
        out,
        format_args!("# HELP {name} {help}.\n# TYPE {name} histogram\n# UNIT {name} frames\n"),
    );
    for (bucket, bound) in sizes.buckets.iter().zip(SIZES) {
        let count = bucket.load(Ordering::Relaxed);
        push(out, format_args!("{name}_bucket{{le=\"{bound}\"}} {count}\n"));
    }
    let (runs, frames) = (sizes.runs(), sizes.frames());
    push(
        out,
        format_args!("{name}_bucket{{le=\"+Inf\"}} {runs}\n{name}_sum {frames}\n{name}_count {runs}\n"),
    );
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _never_fails = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_counter_and_cumulative_buckets() {
        let metrics = Metrics::default();
        metrics.accepted.add(3);
        metrics.answer.observe(Duration::from_millis(3));
        metrics.answer.observe(Duration::from_hours(1));
        metrics.waiting(2, 100);
        metrics.together.observe(1);
        metrics.together.observe(8);
        let text = metrics.text();
        for line in [
            "kerf_frames_accepted_total 3",
            "kerf_waiting_bytes 100",
            "kerf_answer_seconds_bucket{le=\"0.002\"} 0",
            "kerf_answer_seconds_bucket{le=\"0.005\"} 1",
            "kerf_answer_seconds_bucket{le=\"60\"} 1",
            "kerf_answer_seconds_bucket{le=\"+Inf\"} 2",
            "kerf_answer_seconds_count 2",
            "kerf_run_frames_bucket{le=\"4\"} 1",
            "kerf_run_frames_bucket{le=\"8\"} 2",
            "kerf_run_frames_sum 9",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line:?} in\n{text}");
        }
        assert_eq!(metrics.document()["accepted"], 3);
    }
}
