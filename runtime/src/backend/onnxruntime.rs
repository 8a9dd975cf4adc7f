//! ONNX Runtime, opened at run time: the fast CPU path, and the accelerators of its execution providers.
//!
//! Owns: the backends `onnxruntime` and `tensorrt`. Must not know: bundles beyond the artifact. Its rooms: `library` opens
//! the one library of a process, `device` knows the execution providers, `engine` makes sessions, `session` runs them,
//! `convert` moves tensors, `profile` reads ONNX Runtime's own timings, `tensorrt` its engines. No SDK is needed to build:
//! what is missing is said by [`Backend::check`].

use kerf_wire::manifest::Format;

use super::{Artifact, Backend, BackendError, DeviceInfo, LoadOptions, Session, Verified};

mod convert;
mod device;
mod engine;
mod library;
mod profile;
mod session;
#[cfg(feature = "tensorrt")]
mod tensorrt;

#[cfg(feature = "tensorrt")]
pub use tensorrt::TensorRt;

/// Its name in manifests.
pub const NAME: &str = "onnxruntime";

/// ONNX Runtime with one execution provider a device: `CPU` (default), `XNNPACK`, `ACL`, `CUDA`, `CUDA:1`, or
/// `OPENVINO:` and a device of OpenVINO.
#[derive(Debug)]
pub struct OnnxRuntime;

impl Backend for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx]
    }

    fn check(&self, options: &LoadOptions) -> Result<DeviceInfo, BackendError> {
        let device = device::Device::parse(options)?;
        let (info, _) = engine::prepare(NAME, options, &device)?;
        Ok(info)
    }

    fn runs_literally(&self) -> bool {
        true
    }

    fn load(&self, artifact: Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        let device = device::Device::parse(options)?;
        artifact.own_precision(NAME, options)?;
        Ok(Box::new(engine::open(NAME, &artifact, options, device)?))
    }
}
