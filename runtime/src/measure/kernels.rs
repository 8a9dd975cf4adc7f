//! What runs with each kernel timed say of each kernel.

use kerf_wire::profile::{Kernel, Sample};

use super::milliseconds;
use crate::backend::KernelTime;

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
