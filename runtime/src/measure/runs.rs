//! Runs of one session behind pauses, and what they took.

use std::time::{Duration, Instant};

use kerf_wire::TensorRef;
use kerf_wire::profile::Sample;

use super::kernels::KernelTimes;
use super::power::Meter;
use super::{Measured, Moment, Plan, machine, milliseconds};
use crate::backend::{RunError, Session};
use crate::tensor::Tensor;

/// A run that waited for a CPU for more than this share of its time says what others did.
const DISTURBED: f64 = 0.02;

/// All runs of one session.
pub(super) struct Runs<'a> {
    session: &'a mut dyn Session,
    inputs: &'a [TensorRef<'a>],
    outputs: Vec<Tensor>,
    pause: Duration,
    plain_ms: Vec<f64>,
    timed_ms: Vec<f64>,
    timed_done: u32,
    kernels: KernelTimes,
    meter: Option<Meter>,
    joules: Option<f64>,
    disturbed: u32,
    most_disturbed: u32,
}

impl<'a> Runs<'a> {
    pub(super) fn new(
        session: &'a mut dyn Session,
        inputs: &'a [TensorRef<'a>],
        plan: &Plan,
        most_disturbed: u32,
    ) -> Self {
        let meter = Meter::find(&plan.sensors);
        Self {
            outputs: session.outputs().iter().map(|_| Tensor::default()).collect(),
            session,
            inputs,
            pause: plan.pause,
            plain_ms: Vec::new(),
            timed_ms: Vec::new(),
            timed_done: 0,
            kernels: KernelTimes::default(),
            joules: meter.as_ref().map(|_| 0.0),
            meter,
            disturbed: 0,
            most_disturbed,
        }
    }

    /// Plain runs that count.
    pub(super) fn done(&self) -> u32 {
        u32::try_from(self.plain_ms.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn plain_ms(&self) -> &[f64] {
        &self.plain_ms
    }

    pub(super) fn timed_done(&self) -> u32 {
        self.timed_done
    }

    /// A run that does not count, without a pause; milliseconds.
    pub(super) fn once(&mut self) -> Result<f64, RunError> {
        let start = Instant::now();
        self.session.run_into(self.inputs, &mut self.outputs)?;
        Ok(milliseconds(start.elapsed()))
    }

    /// A run with each kernel timed, behind a pause; a plain one where the engine has no timings.
    pub(super) fn timed(&mut self, moment: &mut impl FnMut(Moment)) -> Result<(), RunError> {
        std::thread::sleep(self.pause);
        moment(Moment::WarmUp);
        let (watch, start) = (Watch::start(), Instant::now());
        let kernels = match self.session.run_timed(self.inputs) {
            Ok(each) => Some((milliseconds(start.elapsed()), each)),
            Err(RunError::Unsupported(_)) => None,
            Err(error) => return Err(error),
        };
        if self.was_disturbed(&watch) {
            return Ok(());
        }
        self.timed_done += 1;
        match kernels {
            Some((ms, each)) => {
                self.timed_ms.push(ms);
                self.kernels.add(each);
            }
            None => drop(self.once()?),
        }
        Ok(())
    }

    /// A run that counts, behind a pause; false where it was disturbed, and does not.
    pub(super) fn plain(&mut self, moment: &mut impl FnMut(Moment)) -> Result<bool, RunError> {
        std::thread::sleep(self.pause);
        moment(Moment::Before);
        let counter = |meter: &Option<Meter>| meter.as_ref().and_then(Meter::joules);
        let before = counter(&self.meter);
        let watch = Watch::start();
        let ms = self.once()?;
        let disturbed = self.was_disturbed(&watch);
        // A counter starts again at a bound of its own: such a run does not count.
        let counted = before.zip(counter(&self.meter)).map(|(a, b)| b - a);
        let watts = self.meter.as_ref().and_then(Meter::watts);
        if disturbed {
            return Ok(false);
        }
        self.plain_ms.push(ms);
        let used = counted.or(watts.map(|watts| watts * ms * 1e-3));
        self.joules = self
            .joules
            .zip(used.filter(|used| *used >= 0.0))
            .map(|(sum, used)| sum + used);
        Ok(true)
    }

    fn was_disturbed(&mut self, watch: &Watch) -> bool {
        let disturbed = self.disturbed < self.most_disturbed && watch.is_disturbed();
        self.disturbed += u32::from(disturbed);
        disturbed
    }

    pub(super) fn finish(self, first_run_ms: f64) -> Measured {
        let joules = self.joules.map(|sum| sum / self.plain_ms.len().max(1) as f64);
        Measured {
            first_run_ms,
            run_ms: Sample::of(&self.plain_ms),
            run_joules: joules.zip(self.meter.as_ref().map(Meter::source)),
            runs_ms: self.plain_ms,
            kernels: self.kernels.samples(),
            timed_run_ms: (!self.timed_ms.is_empty()).then(|| Sample::of(&self.timed_ms)),
            disturbed: self.disturbed,
        }
    }
}

/// Sees whether others took the CPU meanwhile.
struct Watch {
    waited_ns: Option<u64>,
    start: Instant,
}

impl Watch {
    fn start() -> Self {
        Self {
            waited_ns: machine::waited_ns(),
            start: Instant::now(),
        }
    }

    /// True when more than [`DISTURBED`] of the time was spent waiting for a CPU; false where the system does not say.
    fn is_disturbed(&self) -> bool {
        let took = self.start.elapsed().as_secs_f64() * 1e9;
        let waited = machine::waited_ns()
            .zip(self.waited_ns)
            .map(|(now, then)| now.saturating_sub(then));
        waited.is_some_and(|waited| waited as f64 > took * DISTURBED)
    }
}
