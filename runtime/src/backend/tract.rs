//! tract: pure Rust, on the CPU, always there.
//!
//! Owns: loading ONNX and tract-nnef artifacts with tract, and running them.
//! Must not know: bundles beyond the artifact, frames. Its rooms: `model` reads an artifact, `refuse` knows what tract
//! cannot or must not run, `plan` compiles for concrete shapes, `convert` moves tensors.

use std::path::Path;

use kerf_wire::manifest::Format;
use kerf_wire::{Dim, Shape, TensorRef, TensorSpec};
use tract_linalg::multithread::Executor;

use super::{Artifact, Backend, BackendError, DeviceInfo, LoadOptions, RunError, Session, Verified, check_call};
use crate::exit::Exit;
use crate::limits::MAX_PLANS;
use crate::memory::Loading;
use crate::panic;
use crate::tensor::Tensor;

mod again;
mod convert;
mod model;
mod plan;
mod refuse;

use again::Again;
use model::Loaded;
use plan::Plan;

/// Its name in manifests.
pub const NAME: &str = "tract";
/// The version that the workspace pins.
pub const VERSION: &str = "0.23.9";

/// The tract backend.
#[derive(Debug)]
pub struct Tract;

impl Backend for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::TractNnef, Format::Onnx]
    }

    fn check(&self, options: &LoadOptions) -> Result<DeviceInfo, BackendError> {
        refuse_options(options)?;
        Ok(DeviceInfo {
            device: format!("CPU ({})", std::env::consts::ARCH),
            version: format!("tract {VERSION}"),
            library: None,
        })
    }

    fn load(&self, artifact: Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        refuse_options(options)?;
        artifact.own_precision(NAME, options)?;
        // tract has unwraps of its own on the way from a model to a plan.
        panic::meaning(Exit::ModelRefused, || {
            load(artifact.into_inner(), executor(options.threads))
        })
    }
}

fn load(artifact: Artifact, executor: Option<Executor>) -> Result<Box<dyn Session>, BackendError> {
    let _loading = Loading::begin();
    let path = artifact.path.clone();
    let fixed = artifact.signature.as_ref().is_some_and(|told| are_fixed(&told.inputs));
    // Not the model itself: its weights would be in memory twice, for shapes that may never come.
    let again = (!fixed).then(|| Again::of(&artifact));
    let loaded = model::load(artifact)?;
    let mut session = TractSession {
        inputs: loaded.signature.inputs.clone(),
        outputs: loaded.signature.outputs.clone(),
        again,
        plans: Vec::new(),
        executor,
    };
    session.prepare(loaded).map_err(|error| refused(&path, &error))?;
    Ok(Box::new(session))
}

/// An artifact in the form that tract loads soonest: decluttered offline, as NNEF in a tar.
///
/// # Errors
/// When tract does not read the artifact, or cannot write one of its operators as NNEF.
pub fn to_nnef(artifact: &Verified<Artifact>) -> Result<Vec<u8>, BackendError> {
    let loaded = model::load((**artifact).clone())?;
    loaded.into_nnef().map_err(|error| refused(&artifact.path, &error))
}

fn refuse_options(options: &LoadOptions) -> Result<(), BackendError> {
    let no = |option: String| Err(BackendError::Option { backend: NAME, option });
    match options {
        LoadOptions { device: Some(d), .. } if d != "CPU" => no(format!("device {d:?}: it runs on the CPU")),
        LoadOptions { library: Some(l), .. } => no(format!("library {}: it is built in", l.display())),
        LoadOptions { threads: Some(n), .. } if *n > 1 && cfg!(not(feature = "threads")) => no(format!(
            "{n} threads: this program was built without the feature `threads`"
        )),
        _ => Ok(()),
    }
}

/// tract's error on one line, of bounded length: it likes to print whole nodes.
fn text(error: &tract_core::prelude::TractError) -> String {
    const LONGEST: usize = 600;
    let line = format!("{error:#}").replace('\n', " ");
    if line.len() <= LONGEST {
        return line;
    }
    let end = (0..=LONGEST).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", line.get(..end).unwrap_or(&line))
}

fn refused(path: &Path, error: &tract_core::prelude::TractError) -> BackendError {
    BackendError::Refused {
        backend: NAME,
        artifact: path.to_owned(),
        why: text(error),
    }
}

/// Threads for the matrix kernels, one pool a session; none is tract's own default, one thread.
#[cfg(feature = "threads")]
fn executor(threads: Option<usize>) -> Option<Executor> {
    threads.filter(|n| *n > 1).map(Executor::multithread)
}

/// One thread is all that there is: more were refused by [`refuse_options`].
#[cfg(not(feature = "threads"))]
fn executor(_: Option<usize>) -> Option<Executor> {
    None
}

struct TractSession {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    /// For further input shapes; none where the only possible plan is made.
    again: Option<Again>,
    /// Compiled for concrete shapes, the last used one last.
    plans: Vec<(Vec<Shape>, Plan)>,
    executor: Option<Executor>,
}

impl TractSession {
    /// Compiles at load where the shapes are known, so that a model that cannot run is refused now. A batch that is
    /// left open is taken as 1, the usual case; other open dimensions wait for the first input.
    fn prepare(&mut self, loaded: Loaded) -> tract_core::prelude::TractResult<()> {
        let only_batch = self.inputs.iter().all(|spec| spec.shape.iter().skip(1).all(is_fixed));
        if !only_batch {
            return Ok(());
        }
        let concrete = |spec: &TensorSpec| {
            let dim = |dim: &Dim| match dim {
                Dim::Fixed(n) => *n,
                Dim::Dynamic => 1,
            };
            spec.shape.iter().map(dim).collect::<Shape>()
        };
        let shapes: Vec<Shape> = self.inputs.iter().map(concrete).collect();
        let plan = Plan::compile(loaded, &shapes, self.executor.as_ref())?;
        self.plans.push((shapes, plan));
        Ok(())
    }

    /// The plan for the shapes of these inputs, compiled now where they are new.
    fn plan(&mut self, inputs: &[TensorRef<'_>]) -> Result<&mut Plan, RunError> {
        let fits = |shapes: &[Shape]| shapes.iter().zip(inputs).all(|(shape, t)| shape == t.shape);
        match self.plans.iter().position(|(shapes, _)| fits(shapes)) {
            Some(at) if at + 1 == self.plans.len() => {}
            Some(at) => {
                let plan = self.plans.remove(at);
                self.plans.push(plan);
            }
            None => {
                let _loading = Loading::begin();
                let again = self.again.as_ref().ok_or(RunError::Unsupported("other input shapes"))?;
                let artifact = again.read().map_err(|why| RunError::Engine(why.to_string()))?;
                let loaded = model::load(artifact).map_err(|why| RunError::Engine(why.to_string()))?;
                let shape = |t: &TensorRef<'_>| t.shape.iter().copied().collect::<Shape>();
                let shapes: Vec<Shape> = inputs.iter().map(shape).collect();
                log::info!("backend=tract event=compile shapes={shapes:?}");
                let plan = Plan::compile(loaded, &shapes, self.executor.as_ref())
                    .map_err(|error| RunError::Engine(text(&error)))?;
                if self.plans.len() == MAX_PLANS {
                    self.plans.remove(0);
                }
                self.plans.push((shapes, plan));
            }
        }
        let last = self.plans.last_mut().map(|(_, plan)| plan);
        last.ok_or(RunError::Unsupported("plans"))
    }
}

fn are_fixed(specs: &[TensorSpec]) -> bool {
    specs.iter().all(|spec| spec.shape.iter().all(is_fixed))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "for `Iterator::all`")]
fn is_fixed(dim: &Dim) -> bool {
    matches!(dim, Dim::Fixed(_))
}

impl Session for TractSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn run_into(&mut self, inputs: &[TensorRef<'_>], outputs: &mut [Tensor]) -> Result<(), RunError> {
        check_call(self, inputs, outputs.len())?;
        let engine = |error| RunError::Engine(text(&error));
        let results = self.plan(inputs)?.run(inputs).map_err(engine)?;
        for (result, output) in results.iter().zip(outputs) {
            convert::read(result, output).map_err(engine)?;
        }
        Ok(())
    }

    fn run_timed(&mut self, inputs: &[TensorRef<'_>]) -> Result<Vec<super::KernelTime>, RunError> {
        check_call(self, inputs, self.outputs.len())?;
        let plan = self.plan(inputs)?;
        plan.run_timed(inputs).map_err(|error| RunError::Engine(text(&error)))
    }
}
