//! The Edge TPU: its delegate over TensorFlow Lite.
//!
//! Owns: finding libedgetpu and a device. Must not know: how TFLite runs (`tflite`).
//! Only artifacts that `edgetpu_compiler` wrote are loaded: any other would run on the CPU without a word. What the
//! compiler left behind does run on the CPU, and its log counts it.

use std::path::{Path, PathBuf};

use kerf_wire::manifest::Format;
use libloading::Library;

use super::tflite::{self, Delegate};
use super::{Artifact, Backend, BackendError, DeviceInfo, LoadOptions, Session, Verified};

mod sys;

/// Its name in manifests.
pub const NAME: &str = "edgetpu";
/// Names the delegate's library where nothing else does.
const VARIABLE: &str = "KERF_EDGETPU_LIBRARY";
/// What the loader is asked for where it does not lie beside TensorFlow Lite.
const LIBRARY: &str = "libedgetpu.so.1";

/// The Edge TPU backend. Devices: `usb`, `pci`, `usb:N`, `pci:N` and `:N`, as libedgetpu names them; any where none is named.
#[derive(Debug)]
pub struct EdgeTpu;

fn missing(what: String) -> BackendError {
    BackendError::Missing { backend: NAME, what }
}

/// libedgetpu: what the variable names, else beside TensorFlow Lite, else what the loader finds.
fn library(tflite: &Path, version: &str) -> Result<(&'static Library, PathBuf), BackendError> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let beside = tflite
        .parent()
        .map(|dir| dir.join(LIBRARY))
        .filter(|file| file.is_file());
    let path = named.or(beside).unwrap_or_else(|| PathBuf::from(LIBRARY));
    let library = tflite::open(&path).map_err(|why| {
        missing(format!(
            "{why}; it is in libedgetpu1-std of https://coral.ai/software (release 16.0 is built with TensorFlow 2.5; builds \
             with later ones: https://github.com/feranick/libedgetpu) and must match TensorFlow Lite, which is {version} here; \
             put it beside libtensorflowlite_c.so, or name it in {VARIABLE}"
        ))
    })?;
    Ok((library, path))
}

impl Backend for EdgeTpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::EdgetpuTflite]
    }

    fn check(&self, options: &LoadOptions) -> Result<DeviceInfo, BackendError> {
        let (tflite, path) = tflite::find(options.library.as_deref()).map_err(missing)?;
        let (library, path) = library(&path, &tflite.version())?;
        let devices = sys::devices(library);
        if devices.as_ref().is_some_and(Vec::is_empty) {
            return Err(missing(no_device(&path, "it lists none")));
        }
        let version = sys::version(library).unwrap_or_else(|| "libedgetpu of unknown version".to_owned());
        Ok(DeviceInfo {
            device: devices.map_or_else(|| "Edge TPU".to_owned(), |d| d.join(", ")),
            version: format!("{version}, tflite {}", tflite.version()),
            library: Some(path),
        })
    }

    fn load(&self, artifact: Verified<Artifact>, options: &LoadOptions) -> Result<Box<dyn Session>, BackendError> {
        let device = options.device.as_deref();
        if let Some(device) = device.filter(|d| !is_device(d)) {
            return Err(BackendError::Option {
                backend: NAME,
                option: format!("device {device:?}: expected usb, pci, usb:N, pci:N or :N"),
            });
        }
        if !crate::bundle::has_edgetpu_operator(&artifact.contents) {
            return Err(BackendError::Refused {
                backend: NAME,
                artifact: artifact.path.clone(),
                why: "it was not compiled by edgetpu_compiler, and would run on the CPU".to_owned(),
            });
        }
        let (tflite, path) = tflite::find(options.library.as_deref()).map_err(missing)?;
        let (library, path) = library(&path, &tflite.version())?;
        let settings: Vec<(&str, &str)> = device.map(|d| ("device", d)).into_iter().collect();
        let delegate = Delegate::create(library, &settings).map_err(|why| missing(no_device(&path, &why)))?;
        tflite::load(NAME, tflite, &artifact, options, Some(delegate))
    }
}

fn no_device(library: &Path, why: &str) -> String {
    format!(
        "{} finds no Edge TPU ({why}): on USB, `lsusb` shows 1a6e:089a or 18d1:9302 and the group of its udev rule must be ours; \
         on PCIe there is /dev/apex_0",
        library.display()
    )
}

fn is_device(name: &str) -> bool {
    let (kind, number) = name.split_once(':').unwrap_or((name, "0"));
    let known = matches!(kind, "usb" | "pci") || (kind.is_empty() && name.len() > 1);
    known && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #[test]
    fn devices_are_named_as_libedgetpu_names_them() {
        for good in ["usb", "pci", "usb:0", "pci:12", ":1"] {
            assert!(super::is_device(good), "{good}");
        }
        for bad in ["", ":", "USB", "usb:", "usb:x", "gpu:0"] {
            assert!(!super::is_device(bad), "{bad}");
        }
    }
}
