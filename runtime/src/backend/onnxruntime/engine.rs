//! Makes sessions of ONNX Runtime: the library, the execution provider, the model's bytes.

use std::path::Path;

use kerf_wire::{Dim, TensorSpec};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::ValueType;

use super::device::Device;
use super::session::OrtSession;
use super::{convert, library};
use crate::backend::{Artifact, BackendError, DeviceInfo, LoadOptions, Verified};

/// Opens the library and registers the device's provider: only that tells whether the device is there.
pub(super) fn prepare(
    backend: &'static str,
    options: &LoadOptions,
    device: &Device,
) -> Result<(DeviceInfo, SessionBuilder), BackendError> {
    let missing = |what: String| BackendError::Missing { backend, what };
    let (file, environment) = library::open(options.library.as_deref()).map_err(missing)?;
    let builder = build(&environment, options).map_err(missing)?;
    let builder = register(builder, device).map_err(|why| {
        let (file, why) = (file.display(), why.replace('\n', " "));
        missing(format!("{file}: {}{}", why.trim_end_matches(['.', ' ']), device.how()))
    })?;
    let info = DeviceInfo {
        device: device.describe(),
        version: library::version(&file),
        library: Some(file),
    };
    Ok((info, builder))
}

fn build(environment: &ort::environment::Environment, options: &LoadOptions) -> Result<SessionBuilder, String> {
    let text = |error: ort::Error<SessionBuilder>| error.to_string();
    let mut builder = ort::session::Session::builder(environment).map_err(|error| error.to_string())?;
    let level = if options.literal {
        GraphOptimizationLevel::Disable
    } else {
        GraphOptimizationLevel::All
    };
    builder = builder.with_optimization_level(level).map_err(text)?;
    if let Some(threads) = options.threads {
        builder = builder.with_intra_threads(threads).map_err(text)?;
        // Threads that spin while they wait take the processor from everything else on a board.
        builder = builder.with_intra_op_spinning(threads == 1).map_err(text)?;
    }
    Ok(builder)
}

/// Registers the provider; one that cannot be had is an error, and so is a node that it would leave to the CPU.
fn register(builder: SessionBuilder, device: &Device) -> Result<SessionBuilder, String> {
    let Some(provider) = device.provider() else {
        return Ok(builder);
    };
    let text = |error: ort::Error<SessionBuilder>| error.to_string();
    let builder = builder
        .with_execution_providers([provider.error_on_failure()])
        .map_err(text)?;
    if device.is_strict() {
        return builder.with_disable_cpu_fallback().map_err(text);
    }
    Ok(builder)
}

/// A session of the artifact on a device.
pub(super) fn open(
    backend: &'static str,
    artifact: &Verified<Artifact>,
    options: &LoadOptions,
    device: Device,
) -> Result<OrtSession, BackendError> {
    let refused = |why: String| BackendError::Refused {
        backend,
        artifact: artifact.path.clone(),
        why: why.replace('\n', " "),
    };
    let (info, builder) = prepare(backend, options, &device)?;
    let engine = commit(builder, artifact).map_err(refused)?;
    let inputs = specs(engine.inputs()).map_err(refused)?;
    let outputs = specs(engine.outputs()).map_err(refused)?;
    if let Some(told) = &artifact.signature {
        same_names("inputs", &told.inputs, &inputs).map_err(refused)?;
        same_names("outputs", &told.outputs, &outputs).map_err(refused)?;
    }
    log::debug!(
        "event=session backend={backend} device={:?} version={:?}",
        info.device,
        info.version
    );
    Ok(OrtSession {
        backend,
        engine,
        inputs,
        outputs,
        options: options.clone(),
        device,
        artifact: artifact.clone(),
    })
}

fn same_names(what: &str, told: &[TensorSpec], own: &[TensorSpec]) -> Result<(), String> {
    let names = |specs: &[TensorSpec]| specs.iter().map(|s| s.name.to_string()).collect::<Vec<_>>();
    let (told, own) = (names(told), names(own));
    if told == own {
        return Ok(());
    }
    Err(format!("the manifest's {what} are {told:?}, the model's {own:?}"))
}

/// Loads from the verified bytes. ONNX Runtime reads external weights by their file's name only, so these are laid out
/// anew from the verified bytes, in a folder of our own that ends with the call.
pub(super) fn commit(mut builder: SessionBuilder, artifact: &Artifact) -> Result<ort::session::Session, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    if artifact.companions.is_empty() {
        return builder
            .commit_from_memory(&artifact.contents)
            .map_err(|error| text(&error));
    }
    let folder = tempfile::tempdir().map_err(|error| text(&error))?;
    let write = |name: &Path, contents: &[u8]| std::fs::write(folder.path().join(name), contents);
    for companion in &artifact.companions {
        write(Path::new(&companion.name), &companion.contents).map_err(|error| text(&error))?;
    }
    let model = Path::new("model.onnx");
    write(model, &artifact.contents).map_err(|error| text(&error))?;
    let session = builder.commit_from_file(folder.path().join(model));
    session.map_err(|error| text(&error))
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
