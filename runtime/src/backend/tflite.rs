//! TensorFlow Lite through its C library, opened at run time: TFLite artifacts on the CPU.
//!
//! Owns: loading TFLite artifacts and running them. Must not know: bundles beyond the artifact, frames.
//! Its rooms: `library` finds and opens the C library, `sys` calls it, `delegate` holds a vendor's delegate, `bind` moves
//! tensors: the part's values keep their own type and axes, and where the artifact's are int8 or NHWC they are quantised,
//! dequantised and turned here, with the scales that the artifact itself carries.

use kerf_wire::TensorRef;
use kerf_wire::TensorSpec;
use kerf_wire::manifest::Format;

use super::{Artifact, Backend, BackendError, DeviceInfo, LoadOptions, RunError, Session, Verified, check_call};
use crate::tensor::Tensor;

mod bind;
mod delegate;
mod library;
mod sys;

use bind::Bound;
use sys::{Interpreter, Side, TfLite};
#[cfg_attr(
    not(feature = "edgetpu"),
    allow(unused_imports, reason = "for those who bring a delegate")
)]
pub(super) use {delegate::Delegate, library::find, library::open, library::text};

/// Its name in manifests.
pub const NAME: &str = "tflite";

/// The TensorFlow Lite backend.
#[derive(Debug)]
pub struct Tflite;

impl Backend for Tflite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Tflite]
    }

    fn check(&self, options: &LoadOptions) -> Result<DeviceInfo, BackendError> {
        let missing = |what| BackendError::Missing { backend: NAME, what };
        let (library, path) = library::find(options.library.as_deref()).map_err(missing)?;
        Ok(DeviceInfo {
            device: format!("CPU ({})", std::env::consts::ARCH),
            version: format!("tflite {}", library.version()),
            library: Some(path),
        })
    }

    fn load(&self, artifact: Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        if let Some(device) = options.device.as_deref().filter(|d| *d != "CPU") {
            return Err(BackendError::Option {
                backend: NAME,
                option: format!("device {device:?}: it runs on the CPU"),
            });
        }
        let (library, _) =
            library::find(options.library.as_deref()).map_err(|what| BackendError::Missing { backend: NAME, what })?;
        load(NAME, library, &artifact, options, None)
    }
}

/// Loads an artifact, with a delegate where there is one. One thread unless told otherwise: two interpreters' threads on
/// shared cores were 30 times slower than one each.
pub(super) fn load(
    backend: &'static str,
    library: TfLite,
    artifact: &Verified<Artifact>,
    options: &LoadOptions,
    delegate: Option<Delegate>,
) -> Result<Box<dyn Session>, BackendError> {
    let no = |option: String| BackendError::Option { backend, option };
    artifact.own_precision(backend, options)?;
    let threads = i32::try_from(options.threads.unwrap_or(1)).map_err(|_| no("so many threads".to_owned()))?;
    let refused = |why: String| BackendError::Refused {
        backend,
        artifact: artifact.path.clone(),
        why,
    };
    let interpreter = Interpreter::new(library, &artifact.contents, threads, delegate).map_err(refused)?;
    let inputs = bind::bind(&interpreter, Side::Input, artifact).map_err(refused)?;
    let outputs = bind::bind(&interpreter, Side::Output, artifact).map_err(refused)?;
    let specs = |bound: &[Bound]| bound.iter().map(|b| b.spec.clone()).collect::<Vec<_>>();
    Ok(Box::new(TfliteSession {
        input_specs: specs(&inputs),
        output_specs: specs(&outputs),
        interpreter,
        inputs,
        outputs,
    }))
}

struct TfliteSession {
    interpreter: Interpreter,
    inputs: Vec<Bound>,
    outputs: Vec<Bound>,
    input_specs: Vec<TensorSpec>,
    output_specs: Vec<TensorSpec>,
}

impl Session for TfliteSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.input_specs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.output_specs
    }

    fn run_into(&mut self, inputs: &[TensorRef<'_>], outputs: &mut [Tensor]) -> Result<(), RunError> {
        check_call(self, inputs, outputs.len())?;
        let gone = || RunError::Engine("a tensor has no memory".to_owned());
        for (index, (bound, tensor)) in self.inputs.iter().zip(inputs).enumerate() {
            let memory = self.interpreter.input_bytes(index).ok_or_else(gone)?;
            bound.write(tensor.bytes, memory).map_err(RunError::Engine)?;
        }
        self.interpreter.invoke().map_err(RunError::Engine)?;
        for (index, (bound, output)) in self.outputs.iter().zip(outputs).enumerate() {
            let memory = self.interpreter.output_bytes(index).ok_or_else(gone)?;
            bound.read(memory, output).map_err(RunError::Engine)?;
        }
        Ok(())
    }
}
