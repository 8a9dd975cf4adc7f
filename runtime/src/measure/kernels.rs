//! Runs with each kernel timed, and what they say of each kernel.

use std::time::{Duration, Instant};

use kerf_wire::TensorRef;
use kerf_wire::profile::{Kernel, Sample};

use super::{Watch, milliseconds};
use crate::backend::{KernelTime, RunError, Session};

/// A run with each kernel timed.
pub(super) struct Timed {
    /// Milliseconds of all of it, and its kernels; nothing where the engine has no timings.
    pub(super) kernels: Option<(f64, Vec<KernelTime>)>,
    pub(super) was_disturbed: bool,
}

/// One such run, behind a pause.
pub(super) fn timed_run(
    session: &mut dyn Session,
    inputs: &[TensorRef<'_>],
    pause: Duration,
) -> Result<Timed, RunError> {
    std::thread::sleep(pause);
    let (watch, start) = (Watch::start(), Instant::now());
    let kernels = match session.run_timed(inputs) {
        Ok(each) => Some((milliseconds(start.elapsed()), each)),
        Err(RunError::Unsupported(_)) => None,
        Err(error) => return Err(error),
    };
    Ok(Timed {
        kernels,
        was_disturbed: watch.is_disturbed(),
    })
}

/// Kernel times run for run; the engine's order is the same in each.
#[derive(Default)]
pub(super) struct KernelTimes {
    kernels: Vec<(KernelTime, Vec<f64>)>,
}

impl KernelTimes {
    pub(super) fn add(&mut self, times: Vec<KernelTime>) {
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

    pub(super) fn samples(self) -> Vec<Kernel> {
        let kernel = |(kernel, all): (KernelTime, Vec<f64>)| Kernel {
            name: kernel.kernel,
            op: kernel.op,
            covers: kernel.covers,
            ms: Sample::of(&all),
        };
        self.kernels.into_iter().map(kernel).collect()
    }
}
