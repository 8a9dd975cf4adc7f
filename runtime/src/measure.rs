//! Measuring a loaded part on this machine: the figures of a profile.
//!
//! Owns: warm-up, repetitions, kernel times, what the machine is and how busy. Must not know: graphs, plans, command lines.
//! `kerf profile` and `kerf-stage bench` both measure with [`measure`], so that their figures compare.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kerf_wire::profile::{FORMAT, Kernel, Machine, MeasuredModel, Profile, Sample};
use kerf_wire::{TensorRef, WireError};

use crate::backend::{RunError, Session};
use crate::limits::{MAX_BENCH_RUNS, MIN_MEASURED_RUNS};

mod inputs;
mod kernels;
pub mod link;
mod machine;
pub mod power;
mod runs;
pub mod store;

pub use inputs::random_inputs;
pub use machine::{background_load, memory_bytes, peak_resident_bytes};
use runs::Runs;

/// Runs after which a median may be known well enough: one of fewer has no 95 % interval.
const LEAST_RUNS: usize = 6;
/// Runs with each kernel timed before any other: behind runs without a pause, the first two with one took a sixth longer than those
/// that followed. Their kernels' shares are good all the same.
const LEAST_TIMED: u32 = 3;
/// Of so many further runs one follows a timed one.
const TIMED_EVERY: u32 = 2;
/// Where Linux shows its sensors.
pub const SENSORS: &str = "/sys";

/// How often and how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Runs before anything counts.
    pub warm_up: u32,
    /// Runs that count; half as many are run with each kernel timed.
    pub runs: u32,
    /// After this, and [`MIN_MEASURED_RUNS`] runs, no more are begun.
    pub most: Duration,
    /// No more are begun once the median of the runs is known as well as this.
    pub within: Option<Within>,
    /// Waited before each run: frames that come one by one find caches that others have used.
    pub pause: Duration,
    /// Where the system shows its sensors.
    pub sensors: PathBuf,
}

/// When a median is known well enough: half a 95 % interval of it is below one of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Within {
    /// A share of the median.
    pub share: f64,
    /// Milliseconds: what is no longer than a thread's waking needs no more runs.
    pub ms: f64,
}

/// Where measuring stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The pause is over and a run begins that does not count as a whole: whoever reads an input for each frame does it now.
    WarmUp,
    /// The pause is over and a run begins that counts: the same.
    Before,
    /// So many runs of so many count by now.
    Done(u32, u32),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            warm_up: 5,
            runs: 50,
            most: Duration::from_secs(20),
            within: None,
            pause: Duration::ZERO,
            sensors: PathBuf::from(SENSORS),
        }
    }
}

impl Plan {
    fn is_enough(&self, runs_ms: &[f64]) -> bool {
        let Some(within) = self.within else { return false };
        if runs_ms.len() < LEAST_RUNS {
            return false;
        }
        let sample = Sample::of(runs_ms);
        (sample.high - sample.low) / 2.0 <= (sample.median * within.share).max(within.ms)
    }
}

/// What was measured of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The first run.
    pub first_run_ms: f64,
    /// Warm runs, nothing timed inside.
    pub run_ms: Sample,
    /// Each of them, in order.
    pub runs_ms: Vec<f64>,
    /// Kernels in the engine's order; empty where it has no timings.
    pub kernels: Vec<Kernel>,
    /// Warm runs with each kernel timed.
    pub timed_run_ms: Option<Sample>,
    /// Joules a run and what said so, where something does.
    pub run_joules: Option<(f64, &'static str)>,
    /// Runs that were repeated because others took the CPU meanwhile.
    pub disturbed: u32,
}

/// Runs a session again and again: a few runs with each kernel timed, which bring the machine into the state in which it finds a
/// frame now and then, then plain ones; later on, each other plain run follows a timed one, so that a machine that grows slower is
/// slower for both. A run during which this thread had to wait for a CPU does not count and is repeated, as often as there are runs.
///
/// # Errors
/// When a run fails.
pub fn measure(
    session: &mut dyn Session,
    inputs: &[TensorRef<'_>],
    plan: &Plan,
    mut moment: impl FnMut(Moment),
) -> Result<Measured, RunError> {
    let total = plan.runs.clamp(MIN_MEASURED_RUNS, MAX_BENCH_RUNS);
    let mut runs = Runs::new(session, inputs, plan, total);
    let first_run_ms = runs.once()?;
    for _ in 0..plan.warm_up.min(MAX_BENCH_RUNS) {
        runs.once()?;
    }
    let start = Instant::now();
    loop {
        let done = runs.done();
        let is_over = done >= MIN_MEASURED_RUNS && start.elapsed() >= plan.most;
        if done >= total || is_over || plan.is_enough(runs.plain_ms()) {
            return Ok(runs.finish(first_run_ms));
        }
        let of_these = LEAST_TIMED.max((done + 1) / TIMED_EVERY);
        while runs.timed_done() < of_these && (runs.timed_done() == 0 || start.elapsed() < plan.most) {
            runs.timed(&mut moment)?;
        }
        if runs.plain(&mut moment)? {
            moment(Moment::Done(runs.done(), total));
        }
    }
}

/// A profile without energy and codecs, of what was measured.
pub fn profile(tool: &str, machine: Machine, model: MeasuredModel, load: Duration, measured: &Measured) -> Profile {
    Profile {
        format: FORMAT,
        tool: tool.to_owned(),
        machine,
        model,
        load_ms: milliseconds(load),
        first_run_ms: measured.first_run_ms,
        run_ms: measured.run_ms,
        kernels: measured.kernels.clone(),
        timed_run_ms: measured.timed_run_ms,
        memory_bytes: peak_resident_bytes(),
        energy: None,
        input: None,
        answer_bytes: None,
        codecs: std::collections::BTreeMap::new(),
    }
}

/// A duration as the profile writes it.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Why inputs could not be made up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A shape that overflows.
    #[error("input {name}: {why}")]
    Shape {
        /// The input.
        name: String,
        /// The cause.
        why: WireError,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

    use kerf_wire::TensorSpec;

    use super::*;
    use crate::backend::KernelTime;
    use crate::tensor::Tensor;

    /// Takes these milliseconds, one after the other, as long as there are any; then always the last.
    struct Scripted {
        plain: Vec<u64>,
        timed: u32,
    }

    impl Session for Scripted {
        fn inputs(&self) -> &[TensorSpec] {
            &[]
        }

        fn outputs(&self) -> &[TensorSpec] {
            &[]
        }

        fn run_into(&mut self, _: &[TensorRef<'_>], _: &mut [Tensor]) -> Result<(), RunError> {
            let ms = if self.plain.len() > 1 {
                self.plain.remove(0)
            } else {
                self.plain[0]
            };
            std::thread::sleep(Duration::from_millis(ms));
            Ok(())
        }

        fn run_timed(&mut self, _: &[TensorRef<'_>]) -> Result<Vec<KernelTime>, RunError> {
            self.timed += 1;
            Ok(Vec::new())
        }
    }

    fn runs(plain: &[u64], within: Option<Within>) -> (usize, u32, u32) {
        let mut session = Scripted {
            plain: plain.to_vec(),
            timed: 0,
        };
        let plan = Plan {
            warm_up: 0,
            runs: 18,
            within,
            ..Plan::default()
        };
        let mut before = 0;
        let measured = measure(&mut session, &[], &plan, |moment| {
            before += u32::from(moment == Moment::Before);
        });
        (measured.unwrap().runs_ms.len(), session.timed, before)
    }

    #[test]
    fn measuring_ends_once_the_median_is_known_well_enough() {
        let close = |ms| Some(Within { share: 0.0, ms });
        // A first run that is none of them, then steady ones: six are enough, and every other is timed too.
        let (count, timed, before) = runs(&[1], close(50.0));
        assert!(count == 6 && before >= 6 && timed >= 3, "{count} {timed} {before}");
        // Two times that take turns: the median of such is never known within a millisecond.
        let apart: Vec<u64> = std::iter::once(1).chain((0..40).map(|run| (run % 2) * 30)).collect();
        assert_eq!(runs(&apart, close(1.0)).0, 18);
        assert_eq!(runs(&[1], None).0, 18, "asked for all runs");
    }
}
