//! Backends: our drivers of accelerators.
//!
//! Owns: the boundary traits and the one visible list of backends.
//! Must not know: frames, brokers, bundles beyond the artifact that it is given.
//! Start at [`all`]; adding a backend is one file here, one line there, one cargo feature.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kerf_wire::manifest::{Conversion, Format};
use kerf_wire::{Digest, TensorRef, TensorSpec};

use crate::tensor::Tensor;

#[cfg(feature = "edgetpu")]
pub mod edgetpu;
mod error;
#[cfg(any(feature = "onnxruntime", feature = "openvino"))]
mod mapped;
#[cfg(feature = "onnxruntime")]
pub mod onnxruntime;
#[cfg(feature = "openvino")]
pub mod openvino;
#[cfg(feature = "openvino-myriad")]
pub mod openvino_myriad;
#[cfg(feature = "tflite")]
pub mod tflite;
#[cfg(feature = "tract")]
pub mod tract;

pub use error::{BackendError, RunError};

/// Drives one accelerator. Never falls back by itself: a missing driver is an error that names it.
pub trait Backend: Send + Sync {
    /// The name in manifests and on the command line, e.g. `tract`.
    fn name(&self) -> &'static str;
    /// The artifact formats that it loads, best first.
    fn formats(&self) -> &'static [Format];
    /// Opens the driver and the device that the options name: which device, which library.
    ///
    /// # Errors
    /// When the library or the device is missing; the text names it and how to get it.
    fn check(&self, options: &LoadOptions) -> Result<DeviceInfo, BackendError>;
    /// Whether it can run a graph node by node as it is written, see [`LoadOptions::literal`].
    fn runs_literally(&self) -> bool {
        false
    }
    /// Loads one part.
    ///
    /// # Errors
    /// When the driver is missing or refuses the artifact.
    fn load(&self, artifact: Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError>;
}

/// One loaded part. `&mut self`: vendor runtimes are not safe to share between threads.
pub trait Session: Send {
    /// What it needs, in the artifact's order.
    fn inputs(&self) -> &[TensorSpec];
    /// What it gives, in the artifact's order.
    fn outputs(&self) -> &[TensorSpec];
    /// Runs once. `outputs` has one tensor an output; they are reset to what the run gives and reused from call to call.
    ///
    /// # Errors
    /// When an input does not fit its spec, or the engine fails.
    fn run_into(&mut self, inputs: &[TensorRef<'_>], outputs: &mut [Tensor]) -> Result<(), RunError>;
    /// Runs once and times what the engine really ran, in its own order.
    ///
    /// # Errors
    /// As [`Session::run_into`]; [`RunError::Unsupported`] where the engine has no timings.
    fn run_timed(&mut self, _inputs: &[TensorRef<'_>]) -> Result<Vec<KernelTime>, RunError> {
        Err(RunError::Unsupported("per-kernel timings"))
    }
}

/// How long one kernel took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelTime {
    /// The engine's name for it.
    pub kernel: String,
    /// The engine's name of the operation.
    pub op: String,
    /// Nodes or values of the model that the engine says it covers; empty where it does not say.
    pub covers: Vec<String>,
    /// From the end of the kernel before to its end.
    pub time: Duration,
}

/// What a backend runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// e.g. `CPU (AVX2, 2 threads)`.
    pub device: String,
    /// The library's version.
    pub version: String,
    /// The library's file, where it is one.
    pub library: Option<PathBuf>,
}

/// A file that a stage loads, as the manifest or the command line names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub format: Format,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// The file's bytes, the very ones that the digest was taken of: an engine loads these, not the file again.
    pub contents: Arc<Vec<u8>>,
    /// Files beside it that it reads.
    pub companions: Vec<Companion>,
    /// What the manifest says of its inputs and outputs, in the artifact's order; none for a bare model.
    pub signature: Option<Signature>,
    /// How it was converted; none where it is the part as it was cut.
    pub conversion: Option<Conversion>,
}

impl Artifact {
    /// What it calculates in, as far as the manifest says: `f32` where it is the part as it was cut.
    pub fn precision(&self) -> &'static str {
        self.conversion.as_ref().map_or("f32", |made| made.precision.as_str())
    }

    /// What the manifest allows it in the self-test; none where it says nothing of its own.
    pub fn tolerance(&self) -> Option<f64> {
        self.conversion.as_ref().and_then(|made| made.tolerance)
    }

    /// Refuses a precision that is not the artifact's own, for engines that run what they are given.
    pub(crate) fn own_precision(&self, backend: &'static str, options: &LoadOptions) -> Result<(), BackendError> {
        match options.precision.as_deref() {
            Some(asked) if asked != self.precision() => Err(BackendError::Option {
                backend,
                option: format!(
                    "precision {asked:?}: it runs the artifact's own, which is {}",
                    self.precision()
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// A file that an artifact reads, e.g. external weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// The file.
    pub path: PathBuf,
    /// The name by which the artifact asks for it.
    pub name: String,
    /// The file's bytes.
    pub contents: Arc<Vec<u8>>,
}

/// What goes into an artifact and what comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Its inputs, in order.
    pub inputs: Vec<TensorSpec>,
    /// Its outputs, in order.
    pub outputs: Vec<TensorSpec>,
}

/// Something whose digest and bounds were checked; only checking code makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// For the checks only.
    pub(crate) fn new(checked: T) -> Self {
        Self(checked)
    }

    /// The thing itself, for who gives its memory back before he is done.
    #[cfg_attr(
        not(feature = "tract"),
        expect(dead_code, reason = "the other engines keep or copy the bytes")
    )]
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// How a part is loaded. Every backend honours what it can and refuses what it cannot, never ignores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads inside the engine; its own default where none.
    pub threads: Option<usize>,
    /// The device within the backend, e.g. `GPU` or `HETERO:GPU,CPU`.
    pub device: Option<String>,
    /// `f32`, `f16` or `int8`; the artifact's own where none.
    pub precision: Option<String>,
    /// Where compiled engines are kept between starts.
    pub cache_dir: Option<PathBuf>,
    /// The vendor's library where it is not on the loader's path.
    pub library: Option<PathBuf>,
    /// Nodes are run one by one as they are written, none fused or rewritten: slow, for whoever compares a cut with the
    /// whole. [`crate::step::Step`] refuses it for a backend that does not say [`Backend::runs_literally`].
    pub literal: bool,
}

impl LoadOptions {
    /// What holds for the entries of a list of backends after the first: the number of threads. Device, precision,
    /// cache and library are those of the first, and mean nothing to another engine.
    #[must_use]
    pub fn for_fallback(&self) -> Self {
        Self {
            threads: self.threads,
            ..Self::default()
        }
    }
}

/// Every backend that this program was built with.
pub fn all() -> &'static [&'static dyn Backend] {
    &[
        #[cfg(feature = "tract")]
        &tract::Tract,
        #[cfg(feature = "tflite")]
        &tflite::Tflite,
        #[cfg(feature = "edgetpu")]
        &edgetpu::EdgeTpu,
        #[cfg(feature = "onnxruntime")]
        &onnxruntime::OnnxRuntime,
        #[cfg(feature = "tensorrt")]
        &onnxruntime::TensorRt,
        #[cfg(feature = "openvino")]
        &openvino::OpenVino,
        #[cfg(feature = "openvino-myriad")]
        &openvino_myriad::OpenVinoMyriad,
    ]
}

/// Checks a call against a session's specs; every backend calls it first.
///
/// # Errors
/// When the number of tensors is wrong or one does not fit its spec.
pub fn check_call(session: &dyn Session, inputs: &[TensorRef<'_>], outputs: usize) -> Result<(), RunError> {
    let count = |what, expected, got| {
        if expected == got {
            Ok(())
        } else {
            Err(RunError::Count { what, expected, got })
        }
    };
    count("inputs", session.inputs().len(), inputs.len())?;
    count("outputs", session.outputs().len(), outputs)?;
    for (spec, tensor) in session.inputs().iter().zip(inputs) {
        if !spec.accepts(tensor.dtype, tensor.shape) {
            return Err(RunError::Mismatch {
                name: spec.name.to_string(),
                expected: spec.to_string(),
                got: format!("{}{:?}", tensor.dtype, tensor.shape),
            });
        }
        // A bool that is neither 0 nor 1 would be undefined behaviour in an engine.
        if tensor.dtype == kerf_wire::DType::Bool && tensor.bytes.iter().any(|b| *b > 1) {
            return Err(RunError::Mismatch {
                name: spec.name.to_string(),
                expected: "bytes of 0 and 1".to_owned(),
                got: "another byte".to_owned(),
            });
        }
    }
    Ok(())
}

/// The backend of this name.
///
/// # Errors
/// When the program was built without it; the text lists those that it has.
pub fn named(name: &str) -> Result<&'static dyn Backend, UnknownBackend> {
    all()
        .iter()
        .copied()
        .find(|b| b.name() == name)
        .ok_or_else(|| UnknownBackend {
            name: name.to_owned(),
            known: all().iter().map(|b| b.name()).collect::<Vec<_>>().join(", "),
        })
}

/// A backend that this program was not built with.
#[derive(Debug, thiserror::Error)]
#[error("no backend {name:?} in this program; it has: {known}")]
pub struct UnknownBackend {
    name: String,
    known: String,
}
