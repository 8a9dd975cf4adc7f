//! How long OpenVINO's kernels take: the model is compiled once more, with its counters on, and run.
//!
//! Owns: how often it is run, and what the counters mean. Must not know: how tensors travel in a usual run (`session`).
//! A counter is the mean of all runs since the model was compiled, in whole µs. The first runs, which allocate, are taken off
//! again; what is left is the mean of [`RUNS`] warm ones, at most 2 µs off a kernel.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kerf_wire::manifest::Format;
use kerf_wire::{Dim, TensorRef, TensorSpec};

use super::device::Device;
use crate::backend::{Artifact, KernelTime};

mod sys;

use sys::{Core, Counter, Request};

/// Runs that do not count.
const WARM_UP: i64 = 2;
/// Runs that count.
const RUNS: i64 = 8;

/// What it takes to compile the model as the session has it.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) device: Device,
    /// Each a device, a property and its value.
    pub(super) settings: Vec<(String, String, String)>,
    pub(super) artifact: Artifact,
}

impl Recipe {
    /// Compiles, runs and reads.
    pub(super) fn times(&self, specs: &[TensorSpec], inputs: &[TensorRef<'_>]) -> Result<Vec<KernelTime>, String> {
        let folder = tempfile::tempdir().map_err(|why| why.to_string())?;
        let (model, weights) = self.lay_out(folder.path())?;
        let core = Core::new()?;
        for (device, property, value) in &self.settings {
            core.set(device, property, value)?;
        }
        for device in &self.device.names {
            core.set(device, "PERF_COUNT", "YES")?;
        }
        let mut request = core.compile(&model, weights.as_deref(), &self.device.text)?;
        for (index, (spec, input)) in specs.iter().zip(inputs).enumerate() {
            let is_open = spec.shape.iter().any(|dim| matches!(dim, Dim::Dynamic));
            request.write(index, is_open.then_some(input.shape), input.bytes)?;
        }
        let before = after(&mut request, WARM_UP)?;
        let all = after(&mut request, RUNS)?;
        Ok(all.iter().map(|counter| time(counter, &before)).collect())
    }

    /// The verified bytes as files: OpenVINO finds an IR's and a model's external weights by name.
    fn lay_out(&self, folder: &Path) -> Result<(PathBuf, Option<PathBuf>), String> {
        let write = |name: &str, contents: &[u8]| {
            let file = folder.join(name);
            std::fs::write(&file, contents).map_err(|why| why.to_string())?;
            Ok::<PathBuf, String>(file)
        };
        let mut companions = Vec::new();
        for companion in &self.artifact.companions {
            companions.push(write(&companion.name, &companion.contents)?);
        }
        let is_ir = self.artifact.format == Format::OpenvinoIr;
        let model = write(if is_ir { "model.xml" } else { "model.onnx" }, &self.artifact.contents)?;
        Ok((model, companions.pop().filter(|_| is_ir)))
    }
}

/// Runs so often, then reads what was executed.
fn after(request: &mut Request, runs: i64) -> Result<Vec<Counter>, String> {
    for _ in 0..runs {
        request.infer()?;
    }
    request.counters()
}

/// The mean of the runs since `before`. A kernel that was not there then was put aside in the first runs.
fn time(counter: &Counter, before: &[Counter]) -> KernelTime {
    let first = before.iter().find(|b| b.node == counter.node).map_or(0, |b| b.micros);
    let sum = (WARM_UP + RUNS) * counter.micros - WARM_UP * first;
    let nanos = u64::try_from(sum.max(0) * 1000 / RUNS).unwrap_or(0);
    KernelTime {
        kernel: counter.node.clone(),
        op: counter.op.clone(),
        covers: vec![counter.node.clone()],
        time: Duration::from_nanos(nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_runs_are_taken_off_a_mean_of_all() {
        let counter = |micros| Counter {
            node: "conv".to_owned(),
            op: "Convolution".to_owned(),
            micros,
        };
        // Two runs of 7000 µs, then eight of 100: a mean of 1480.
        let time = time(&counter(1480), &[counter(7000)]);
        assert_eq!(time.time, Duration::from_micros(100));
        // Rounded down twice it may be less than nothing.
        assert_eq!(super::time(&counter(0), &[counter(1)]).time, Duration::ZERO);
    }
}
