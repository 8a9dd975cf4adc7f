//! Runs a session of ONNX Runtime.

use kerf_wire::{TensorRef, TensorSpec};

use super::device::Device;
use super::{convert, engine, profile};
use crate::backend::{Artifact, KernelTime, LoadOptions, RunError, Session, Verified, check_call};
use crate::tensor::Tensor;

/// One loaded part.
pub(super) struct OrtSession {
    pub(super) backend: &'static str,
    pub(super) engine: ort::session::Session,
    pub(super) inputs: Vec<TensorSpec>,
    pub(super) outputs: Vec<TensorSpec>,
    /// For a second session that writes a profile.
    pub(super) options: LoadOptions,
    pub(super) device: Device,
    pub(super) artifact: Verified<Artifact>,
}

impl Session for OrtSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn run_into(&mut self, inputs: &[TensorRef<'_>], outputs: &mut [Tensor]) -> Result<(), RunError> {
        check_call(self, inputs, outputs.len())?;
        let engine = |error: ort::Error| RunError::Engine(error.to_string().replace('\n', " "));
        let values = inputs
            .iter()
            .map(convert::value)
            .collect::<ort::Result<Vec<_>>>()
            .map_err(engine)?;
        let results = self.engine.run(values.as_slice()).map_err(engine)?;
        for (result, output) in results.values().zip(outputs) {
            convert::read(&result, output).map_err(engine)?;
        }
        Ok(())
    }

    fn run_timed(&mut self, inputs: &[TensorRef<'_>]) -> Result<Vec<KernelTime>, RunError> {
        check_call(self, inputs, self.outputs.len())?;
        let failed = |what: &dyn std::fmt::Display| RunError::Engine(format!("profile: {what}"));
        let dir = tempfile::tempdir().map_err(|why| failed(&why))?;
        let (_, builder) = engine::prepare(self.backend, &self.options, &self.device).map_err(|why| failed(&why))?;
        let builder = builder
            .with_profiling(dir.path().join("profile"))
            .map_err(|why| failed(&why))?;
        let mut engine = engine::commit(builder, &self.artifact).map_err(|why| failed(&why))?;
        let mut run = || {
            let values = inputs.iter().map(convert::value).collect::<ort::Result<Vec<_>>>()?;
            engine.run(values.as_slice()).map(drop)
        };
        // The first run allocates; only the second is read.
        run().and_then(|()| run()).map_err(|why| failed(&why))?;
        let file = engine.end_profiling().map_err(|why| failed(&why))?;
        profile::read(std::path::Path::new(&file)).map_err(|why| failed(&why))
    }
}
