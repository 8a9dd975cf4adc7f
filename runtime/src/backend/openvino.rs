//! OpenVINO, opened at run time: Intel's processors, GPUs and NPUs, and Arm's processors through Arm Compute Library.
//!
//! Owns: loading ONNX and OpenVINO IR with OpenVINO 2025.1 or newer, and running them. Must not know: bundles beyond the
//! artifact. Its rooms: `library` opens the one library of a process, `device` reads and checks device names, `model` reads
//! an artifact, `session` runs it, `timed` reads what its kernels took. The Neural Compute Stick needs an older OpenVINO: see `openvino_myriad`.

use kerf_wire::manifest::Format;
use openvino::{Core, DeviceType, RwPropertyKey};

use super::{Artifact, Backend, BackendError, DeviceInfo, LoadOptions, Session, Verified};

mod device;
mod library;
mod model;
mod session;
mod timed;

use device::Device;

/// Its name in manifests.
pub const NAME: &str = "openvino";

/// OpenVINO: devices `CPU` (default), `GPU`, `GPU.1`, `NPU`, and lists: `HETERO:GPU,CPU`, `MULTI:GPU,CPU`, `AUTO:GPU,CPU`.
#[derive(Debug)]
pub struct OpenVino;

impl Backend for OpenVino {
    fn name(&self) -> &'static str {
        NAME
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::OpenvinoIr, Format::Onnx]
    }

    fn check(&self, options: &LoadOptions) -> Result<DeviceInfo, BackendError> {
        let device = Device::parse(options)?;
        let (_, info) = open(options, &device)?;
        Ok(info)
    }

    fn load(&self, artifact: Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        let device = Device::parse(options)?;
        let precision = precision(options)?;
        let (mut core, info) = open(options, &device)?;
        let settings = settings(&device, options, precision);
        for (name, key, value) in &settings {
            core.set_property(&DeviceType::from(name.as_str()), key, value)
                .map_err(missing)?;
        }
        let refused = |why: String| BackendError::Refused {
            backend: NAME,
            artifact: artifact.path.clone(),
            why: why.replace('\n', " "),
        };
        let model = model::read(&mut core, &artifact).map_err(refused)?;
        let compiled = core
            .compile_model(&model, DeviceType::from(device.text.as_str()))
            .map_err(|why| refused(why.to_string()))?;
        device::is_as_told(&compiled, &device, precision)?;
        log::debug!("event=session backend={NAME} device={:?}", info.device);
        let recipe = timed::Recipe {
            settings: settings
                .into_iter()
                .map(|(name, key, value)| (name, key.as_ref().to_owned(), value))
                .collect(),
            device,
            artifact: (*artifact).clone(),
        };
        let session = session::OvSession::new(core, &model, compiled, recipe).map_err(refused)?;
        Ok(Box::new(session))
    }
}

fn missing(what: impl std::fmt::Display) -> BackendError {
    BackendError::Missing {
        backend: NAME,
        what: what.to_string().replace('\n', " "),
    }
}

/// The library and the devices that are named; each must be there.
fn open(options: &LoadOptions, device: &Device) -> Result<(Core, DeviceInfo), BackendError> {
    let (file, version) = library::open(options.library.as_deref()).map_err(missing)?;
    let core = Core::new().map_err(missing)?;
    let names = device::describe(&core, device).map_err(missing)?;
    let info = DeviceInfo {
        device: names,
        version: format!("openvino {version}"),
        library: file,
    };
    Ok((core, info))
}

/// The type in which it computes. Its own default is the quickest that the processor has, often bf16: 2e-3 off.
fn precision(options: &LoadOptions) -> Result<&'static str, BackendError> {
    match options.precision.as_deref() {
        None | Some("f32") => Ok("f32"),
        Some("f16") => Ok("f16"),
        Some(other) => Err(BackendError::Option {
            backend: NAME,
            option: format!("precision {other:?}: it has f32 and f16, and runs int8 models as they are"),
        }),
    }
}

/// What the options say, for every device that may run a part of the model: device, property, value.
fn settings(device: &Device, options: &LoadOptions, precision: &str) -> Vec<(String, RwPropertyKey, String)> {
    let mut all = Vec::new();
    for name in &device.names {
        let mut set = |key: RwPropertyKey, value: &str| all.push((name.clone(), key, value.to_owned()));
        set(RwPropertyKey::HintPerformanceMode, "LATENCY");
        set(RwPropertyKey::HintInferencePrecision, precision);
        if let Some(dir) = &options.cache_dir {
            set(RwPropertyKey::CacheDir, &dir.join("openvino").to_string_lossy());
        }
        match options.threads {
            Some(threads) if name == "CPU" => set(RwPropertyKey::InferenceNumThreads, &threads.to_string()),
            _ => {}
        }
    }
    if device.kind == "AUTO" && device.names.len() > 1 {
        // It would start on the CPU and stay there where the first device fails, both without a word. With both switched
        // off it leaves the CPU out, which a list of the CPU alone does not survive.
        for key in ["ENABLE_STARTUP_FALLBACK", "ENABLE_RUNTIME_FALLBACK"] {
            let key = RwPropertyKey::Other(key.into());
            all.push(("AUTO".to_owned(), key, "NO".to_owned()));
        }
    }
    all
}
