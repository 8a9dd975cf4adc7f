//! ONNX Runtime, opened at run time: the fast CPU path, and NVIDIA's GPUs through its execution providers.
//!
//! Owns: finding and opening libonnxruntime, sessions, tensors in and out.
//! Must not know: bundles beyond the artifact. Its rooms: `library` opens the one library of a process, `convert` moves
//! tensors, `profile` reads its own timings. No SDK is needed to build: what is missing is said by [`Backend::check`].

use std::path::PathBuf;

use kerf_wire::manifest::Format;
use kerf_wire::{Dim, TensorRef, TensorSpec};
use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::ValueType;

use super::{
    Artifact, Backend, BackendError, DeviceInfo, KernelTime, LoadOptions, RunError, Session, Verified, check_call,
};
use crate::tensor::Tensor;

mod convert;
mod library;
mod profile;

/// Its name in manifests.
pub const NAME: &str = "onnxruntime";

/// ONNX Runtime with one execution provider a device: `CPU` (default), `XNNPACK`, `CUDA` or `CUDA:1`.
#[derive(Debug)]
pub struct OnnxRuntime;

/// ONNX Runtime with TensorRT.
#[cfg(feature = "tensorrt")]
#[derive(Debug)]
pub struct TensorRt;

impl Backend for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx]
    }

    fn check(&self) -> Result<DeviceInfo, BackendError> {
        info(NAME, "CPU")
    }

    fn load(&self, artifact: &Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        let device = options.device.as_deref().unwrap_or("CPU");
        let (kind, number) = device.split_once(':').unwrap_or((device, "0"));
        let no_such = || BackendError::Option {
            backend: NAME,
            option: format!("device {device:?}: it has CPU, XNNPACK, CUDA and CUDA:N"),
        };
        let number: i32 = number.parse().map_err(|_| no_such())?;
        let providers: Providers = match kind {
            "CPU" => Box::new(Vec::new),
            "XNNPACK" => Box::new(|| vec![ep::XNNPACK::default().build()]),
            "CUDA" => Box::new(move || vec![ep::CUDA::default().with_device_id(number).build()]),
            _ => return Err(no_such()),
        };
        open(NAME, artifact, options, providers)
    }
}

#[cfg(feature = "tensorrt")]
impl Backend for TensorRt {
    fn name(&self) -> &'static str {
        "tensorrt"
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx]
    }

    fn check(&self) -> Result<DeviceInfo, BackendError> {
        let info = info(self.name(), "TensorRT")?;
        // Registering is the only question that has an honest answer: "available" only says "compiled with".
        let builder = builder(self.name(), &LoadOptions::default())?;
        register(self.name(), builder, vec![ep::TensorRT::default().build()])?;
        Ok(info)
    }

    fn load(&self, artifact: &Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        let mut provider = ep::TensorRT::default();
        match options.precision.as_deref() {
            None | Some("f32") => {}
            Some("f16") => provider = provider.with_fp16(true),
            Some("int8") => provider = provider.with_int8(true),
            Some(other) => {
                return Err(BackendError::Option {
                    backend: self.name(),
                    option: format!("precision {other:?}: it has f32, f16 and int8"),
                });
            }
        }
        if let Some(dir) = &options.cache_dir {
            let dir = dir.to_string_lossy().into_owned();
            provider = provider
                .with_engine_cache(true)
                .with_engine_cache_path(&dir)
                .with_timing_cache(true)
                .with_timing_cache_path(&dir);
        }
        let options = LoadOptions {
            precision: None,
            ..options.clone()
        };
        log::info!("event=compile backend=tensorrt note=\"building an engine takes minutes the first time\"");
        let start = std::time::Instant::now();
        let session = open(
            self.name(),
            artifact,
            &options,
            Box::new(move || vec![provider.clone().build()]),
        )?;
        log::info!(
            "event=compiled backend=tensorrt seconds={:.1}",
            start.elapsed().as_secs_f64()
        );
        Ok(session)
    }
}

fn info(backend: &'static str, device: &str) -> Result<DeviceInfo, BackendError> {
    let (library, _) = library::open(None).map_err(|what| BackendError::Missing { backend, what })?;
    Ok(DeviceInfo {
        device: device.to_owned(),
        version: library::version(),
        library: Some(library),
    })
}

fn builder(backend: &'static str, options: &LoadOptions) -> Result<SessionBuilder, BackendError> {
    let missing = |what| BackendError::Missing { backend, what };
    let (_, environment) = library::open(options.library.as_deref()).map_err(missing)?;
    let build = || -> Result<SessionBuilder, String> {
        let text = |error: ort::Error<SessionBuilder>| error.to_string();
        let mut builder = ort::session::Session::builder(&environment).map_err(|error| error.to_string())?;
        builder = builder
            .with_optimization_level(GraphOptimizationLevel::All)
            .map_err(text)?;
        if let Some(threads) = options.threads {
            builder = builder.with_intra_threads(threads).map_err(text)?;
        }
        Ok(builder)
    };
    build().map_err(missing)
}

/// Registers providers; one that cannot be had is an error, and so is a node that it would leave to the CPU.
fn register(
    backend: &'static str,
    builder: SessionBuilder,
    providers: Vec<ExecutionProviderDispatch>,
) -> Result<SessionBuilder, BackendError> {
    if providers.is_empty() {
        return Ok(builder);
    }
    let missing = |error: ort::Error<SessionBuilder>| BackendError::Missing {
        backend,
        what: error.to_string().replace('\n', " "),
    };
    let strict: Vec<_> = providers
        .into_iter()
        .map(ExecutionProviderDispatch::error_on_failure)
        .collect();
    let builder = builder.with_execution_providers(strict).map_err(missing)?;
    builder.with_disable_cpu_fallback().map_err(missing)
}

/// Makes the execution providers of a session: a builder cannot be kept, for it may not change threads.
type Providers = Box<dyn Fn() -> Vec<ExecutionProviderDispatch> + Send>;

fn open(
    backend: &'static str,
    artifact: &Verified<Artifact>,
    options: &LoadOptions,
    providers: Providers,
) -> Result<Box<dyn Session>, BackendError> {
    if let Some(precision) = options.precision.as_ref().filter(|p| *p != "f32") {
        return Err(BackendError::Option {
            backend,
            option: format!("precision {precision:?}: it runs the artifact's own types"),
        });
    }
    let refused = |why: String| BackendError::Refused {
        backend,
        artifact: artifact.path.clone(),
        why: why.replace('\n', " "),
    };
    let built = register(backend, builder(backend, options)?, providers())?;
    let engine = commit(built, artifact).map_err(|error| refused(error.to_string()))?;
    let inputs = specs(engine.inputs()).map_err(refused)?;
    let outputs = specs(engine.outputs()).map_err(refused)?;
    if let Some(told) = &artifact.signature {
        let names = |specs: &[TensorSpec]| specs.iter().map(|s| s.name.to_string()).collect::<Vec<_>>();
        if names(&told.inputs) != names(&inputs) || names(&told.outputs) != names(&outputs) {
            return Err(refused(format!(
                "its inputs and outputs are {:?} and {:?}, the manifest says otherwise",
                names(&inputs),
                names(&outputs)
            )));
        }
    }
    Ok(Box::new(OrtSession {
        backend,
        engine,
        inputs,
        outputs,
        options: options.clone(),
        providers,
        artifact: artifact.clone(),
    }))
}

/// Loads from the verified bytes; only external weights, which lie beside the file, need the file itself.
fn commit(mut builder: SessionBuilder, artifact: &Artifact) -> ort::Result<ort::session::Session> {
    if artifact.companions.is_empty() {
        builder.commit_from_memory(&artifact.contents)
    } else {
        builder.commit_from_file(&artifact.path)
    }
}

fn specs(outlets: &[ort::value::Outlet]) -> Result<Vec<TensorSpec>, String> {
    let one = |outlet: &ort::value::Outlet| {
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return Err(format!("value {:?} is no tensor", outlet.name()));
        };
        let dtype = convert::dtype(*ty).ok_or_else(|| format!("value {:?} is of type {ty}", outlet.name()))?;
        let dims = shape
            .iter()
            .map(|dim| u32::try_from(*dim).map_or(Dim::Dynamic, Dim::Fixed));
        TensorSpec::new(outlet.name(), dtype, dims).map_err(|why| format!("value {:?}: {why}", outlet.name()))
    };
    outlets.iter().map(one).collect()
}

struct OrtSession {
    backend: &'static str,
    engine: ort::session::Session,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    /// For a second session that writes a profile.
    options: LoadOptions,
    providers: Providers,
    artifact: Verified<Artifact>,
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
        let prefix: PathBuf = dir.path().join("profile");
        let builder = builder(self.backend, &self.options)
            .and_then(|builder| register(self.backend, builder, (self.providers)()))
            .map_err(|why| failed(&why))?
            .with_profiling(&prefix)
            .map_err(|why| failed(&why))?;
        let mut engine = commit(builder, &self.artifact).map_err(|why| failed(&why))?;
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
