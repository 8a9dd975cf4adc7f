//! Measuring a loaded part on this machine: the figures of a profile.
//!
//! Owns: warm-up, repetitions, kernel times, what the machine is and how busy. Must not know: graphs, plans, command lines.
//! `kerf profile` and `kerf-stage bench` both measure with [`measure`], so that their figures compare.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kerf_wire::profile::{FORMAT, Kernel, Machine, MeasuredModel, Profile, Sample};
use kerf_wire::{TensorRef, WireError};

use crate::backend::{KernelTime, RunError, Session};
use crate::limits::{MAX_BENCH_RUNS, MIN_MEASURED_RUNS};
use crate::tensor::Tensor;

mod inputs;
pub mod link;
mod machine;
pub mod power;

pub use inputs::random_inputs;
pub use machine::{background_load, peak_resident_bytes};

/// Where Linux shows its sensors.
pub const SENSORS: &str = "/sys";

/// How often and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Runs before anything counts.
    pub warm_up: u32,
    /// Runs that count; as many again are run with each kernel timed.
    pub runs: u32,
    /// After this, and [`MIN_MEASURED_RUNS`] runs, no more are begun.
    pub most: Duration,
    /// Waited before each run: frames that come one by one find caches that others have used.
    pub pause: Duration,
    /// Where the system shows its sensors.
    pub sensors: PathBuf,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            warm_up: 5,
            runs: 50,
            most: Duration::from_secs(20),
            pause: Duration::ZERO,
            sensors: PathBuf::from(SENSORS),
        }
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
}

/// Runs a session again and again. Plain and timed runs take turns, so that a machine that grows slower is slower for both.
///
/// # Errors
/// When a run fails.
pub fn measure(
    session: &mut dyn Session,
    inputs: &[TensorRef<'_>],
    plan: &Plan,
    mut progress: impl FnMut(u32, u32),
) -> Result<Measured, RunError> {
    let mut outputs: Vec<Tensor> = session.outputs().iter().map(|_| Tensor::default()).collect();
    let mut run = |session: &mut dyn Session| {
        let start = Instant::now();
        session.run_into(inputs, &mut outputs)?;
        Ok::<f64, RunError>(milliseconds(start.elapsed()))
    };
    let first_run_ms = run(session)?;
    for _ in 0..plan.warm_up.min(MAX_BENCH_RUNS) {
        run(session)?;
    }
    let total = plan.runs.clamp(MIN_MEASURED_RUNS, MAX_BENCH_RUNS);
    let (mut runs_ms, mut timed_ms, mut kernels) = (Vec::new(), Vec::new(), KernelTimes::default());
    let meter = power::Meter::find(&plan.sensors);
    let (mut joules, start) = (meter.as_ref().map(|_| 0.0), Instant::now());
    for done in 0..total {
        if done >= MIN_MEASURED_RUNS && start.elapsed() >= plan.most {
            break;
        }
        std::thread::sleep(plan.pause);
        let before = meter.as_ref().and_then(power::Meter::joules);
        let run_ms = run(session)?;
        runs_ms.push(run_ms);
        // A counter starts again at a bound of its own: such a run does not count.
        let counted = before
            .zip(meter.as_ref().and_then(power::Meter::joules))
            .map(|(a, b)| b - a);
        let drawn = meter
            .as_ref()
            .and_then(power::Meter::watts)
            .map(|watts| watts * run_ms * 1e-3);
        let used = counted.or(drawn).filter(|used| *used >= 0.0);
        joules = joules.zip(used).map(|(sum, used)| sum + used);
        std::thread::sleep(plan.pause);
        let timed = Instant::now();
        match session.run_timed(inputs) {
            Ok(each) => {
                timed_ms.push(milliseconds(timed.elapsed()));
                kernels.add(each);
            }
            Err(RunError::Unsupported(_)) => {}
            Err(error) => return Err(error),
        }
        progress(done + 1, total);
    }
    Ok(Measured {
        first_run_ms,
        run_ms: Sample::of(&runs_ms),
        run_joules: joules
            .map(|sum| sum / runs_ms.len().max(1) as f64)
            .zip(meter.as_ref().map(power::Meter::source)),
        runs_ms,
        kernels: kernels.samples(),
        timed_run_ms: (!timed_ms.is_empty()).then(|| Sample::of(&timed_ms)),
    })
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

/// Kernel times run for run; the engine's order is the same in each.
#[derive(Default)]
struct KernelTimes {
    kernels: Vec<(KernelTime, Vec<f64>)>,
}

impl KernelTimes {
    fn add(&mut self, times: Vec<KernelTime>) {
        for (index, time) in times.into_iter().enumerate() {
            let ms = milliseconds(time.time);
            match self.kernels.get_mut(index) {
                Some((first, all)) if first.kernel == time.kernel => all.push(ms),
                // A body that ran another number of times: its kernels are not in step, and found by name.
                Some(_) => {
                    if let Some((_, all)) = self.kernels.iter_mut().find(|(k, _)| k.kernel == time.kernel) {
                        all.push(ms);
                    }
                }
                None => self.kernels.push((time, vec![ms])),
            }
        }
    }

    fn samples(self) -> Vec<Kernel> {
        let kernel = |(kernel, all): (KernelTime, Vec<f64>)| Kernel {
            name: kernel.kernel,
            op: kernel.op,
            covers: kernel.covers,
            ms: Sample::of(&all),
        };
        self.kernels.into_iter().map(kernel).collect()
    }
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
