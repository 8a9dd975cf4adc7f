//! The Neural Compute Stick 2, through OpenVINO 2022's old C API: the last OpenVINO that drives it.
//!
//! Owns: loading MYRIAD blobs, OpenVINO IR and ONNX for the stick, and running them. Must not know: bundles beyond the
//! artifact. Its rooms: `sys` opens the library, `network` knows what goes in and out, `session` runs, `stick` says why no
//! stick is seen. The crate for newer OpenVINO cannot stand beside one for this: both link the same C library.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kerf_wire::manifest::Format;

use super::{Artifact, Backend, BackendError, DeviceInfo, LoadOptions, Session, Verified};

mod network;
mod session;
mod stick;
mod sys;

use sys::{Api, Core};

/// Its name in manifests.
pub const NAME: &str = "openvino-myriad";
/// Names the library where the options do not.
const VARIABLE: &str = "KERF_OPENVINO_MYRIAD_LIBRARY";
const HOW: &str = "get OpenVINO 2022 with `pip download --no-deps --only-binary=:all: --python-version 3.8 \
     onnxruntime-openvino==1.13.1`, unpack it and name the file: --library …/onnxruntime/capi/libopenvino_c.so, or \
     KERF_OPENVINO_MYRIAD_LIBRARY; on Arm, Intel's archive of 2022.3.1";

/// OpenVINO 2022: devices `MYRIAD` (default), `CPU`, `GPU`, and lists: `HETERO:MYRIAD,CPU`, `MULTI:MYRIAD,CPU`.
#[derive(Debug)]
pub struct OpenVinoMyriad;

impl Backend for OpenVinoMyriad {
    fn name(&self) -> &'static str {
        NAME
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::MyriadBlob, Format::OpenvinoIr, Format::Onnx]
    }

    fn check(&self, options: &LoadOptions) -> Result<DeviceInfo, BackendError> {
        let device = device(options)?;
        open(options, &device).map(|(_, info)| info)
    }

    fn load(&self, artifact: Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        let device = device(options)?;
        let (core, info) = open(options, &device)?;
        let refused = |why: String| BackendError::Refused {
            backend: NAME,
            artifact: artifact.path.clone(),
            why,
        };
        if device.contains("CPU") {
            // Its own default on processors that have it is bf16: 9e-3 off.
            let threads = options.threads.unwrap_or(0).to_string();
            let settings = [("ENFORCE_BF16", "NO"), ("CPU_THREADS_NUM", &threads)];
            core.set("CPU", &settings).map_err(refused)?;
        }
        let session = load(&core, &artifact, &device).map_err(refused)?;
        log::debug!("event=session backend={NAME} device={:?}", info.device);
        Ok(Box::new(session))
    }
}

/// The device that the options name, with what it cannot do refused.
fn device(options: &LoadOptions) -> Result<String, BackendError> {
    let name = options.device.as_deref().unwrap_or("MYRIAD");
    let no = |option: String| Err(BackendError::Option { backend: NAME, option });
    let (kind, list) = name.split_once(':').unwrap_or(("", name));
    let known = |device: &str| ["MYRIAD", "CPU", "GPU"].contains(&device.split('.').next().unwrap_or(device));
    let lists = ["HETERO", "MULTI"].contains(&kind);
    if !(lists || kind.is_empty() && !list.contains(',')) || !list.split(',').all(known) {
        return no(format!(
            "device {name:?}: it has MYRIAD, CPU, GPU, HETERO:MYRIAD,CPU and MULTI:MYRIAD,CPU"
        ));
    }
    match options.precision.as_deref() {
        None => {}
        Some("f16") if name.starts_with("MYRIAD") => {}
        Some("f32") if name == "CPU" => {}
        Some(precision) => {
            return no(format!(
                "precision {precision:?} on {name}: the stick computes in f16, the CPU in f32"
            ));
        }
    }
    if options.threads.is_some_and(|threads| threads > 1) && name != "CPU" {
        return no(format!("threads on {name}: they are the CPU's"));
    }
    Ok(name.to_owned())
}

static OPENED: Mutex<Option<(PathBuf, Api)>> = Mutex::new(None);

/// The one library of this process, and the devices that are named; each must be there.
fn open(options: &LoadOptions, device: &str) -> Result<(Core, DeviceInfo), BackendError> {
    let missing = |what: String| BackendError::Missing { backend: NAME, what };
    let (file, api) = library(options.library.as_deref()).map_err(missing)?;
    let core = api
        .core()
        .map_err(|why| missing(format!("{}: {why}", file.display())))?;
    let seen = core
        .devices()
        .map_err(|why| missing(format!("{}: {why}", file.display())))?;
    let list = device.split_once(':').map_or(device, |(_, list)| list);
    for name in list.split(',') {
        let is_it = |s: &String| s == name || s.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        if seen.iter().any(is_it) {
            continue;
        }
        let why = if name.starts_with("MYRIAD") {
            stick::why_not()
        } else {
            "it is not there".to_owned()
        };
        let seen = seen.join(", ");
        return Err(missing(format!(
            "device {name} is not opened: {why}; OpenVINO sees {seen} here"
        )));
    }
    let info = DeviceInfo {
        device: device.to_owned(),
        version: format!("openvino {}", api.version()),
        library: Some(file),
    };
    Ok((core, info))
}

fn library(wanted: Option<&Path>) -> Result<(PathBuf, Api), String> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((file, api)) = opened.as_ref() {
        if let Some(other) = wanted.filter(|wanted| wanted != file) {
            let (file, other) = (file.display(), other.display());
            return Err(format!(
                "{file} is open; one process has one, {other} cannot be opened too"
            ));
        }
        return Ok((file.clone(), *api));
    }
    let told = wanted
        .map(Path::to_owned)
        .or(std::env::var_os(VARIABLE).map(PathBuf::from));
    let file = told.unwrap_or_else(|| PathBuf::from("libopenvino_c.so"));
    let api = Api::open(&file).map_err(|why| format!("{why}; {HOW}"))?;
    *opened = Some((file.clone(), api));
    Ok((file, api))
}

fn load(core: &Core, artifact: &Artifact, device: &str) -> Result<session::MyriadSession, String> {
    if artifact.format == Format::MyriadBlob {
        let signature = artifact.signature.clone();
        let signature = signature.ok_or("a MYRIAD blob needs the manifest of its bundle")?;
        let request = core.import(&artifact.contents, device)?;
        return Ok(session::MyriadSession { request, signature });
    }
    let mut network = read(core, artifact)?;
    let signature = network::settle(&mut network, artifact)?;
    let request = core.load(&network, device)?;
    Ok(session::MyriadSession { request, signature })
}

/// Reads from the verified bytes, laid out anew in a folder that ends with the call: this OpenVINO reads no ONNX from
/// memory.
fn read(core: &Core, artifact: &Artifact) -> Result<network::sys::Network, String> {
    let folder = tempfile::tempdir().map_err(|why| why.to_string())?;
    let write = |name: &str, contents: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, contents).map_err(|why| why.to_string())?;
        file.to_str()
            .map(str::to_owned)
            .ok_or_else(|| "the temporary folder's name is not UTF-8".to_owned())
    };
    let mut weights = String::new();
    for companion in &artifact.companions {
        weights = write(&companion.name, &companion.contents)?;
    }
    if artifact.format == Format::OpenvinoIr {
        return core.read_files(&write("model.xml", &artifact.contents)?, &weights);
    }
    core.read_files(&write("model.onnx", &artifact.contents)?, "")
}
