//! Where TensorRT's engines are kept between starts, and for which machine they were built.
//!
//! An engine belongs to the GPU and to the library version that built it, and TensorRT takes another's for granted or fails
//! in ways that name neither. So each folder of engines says for which machine it is, and is emptied on another.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::backend::mapped::mapped;
use crate::backend::{Artifact, LoadOptions};

/// What a folder of engines was built for.
const STAMP: &str = "built-for.txt";

/// The folder of one artifact's engines in one precision on one device.
pub(super) fn folder(cache: &Path, artifact: &Artifact, options: &LoadOptions) -> PathBuf {
    let digest = artifact.sha256.to_string();
    let short = digest.get(..16).unwrap_or(&digest);
    let precision = options.precision.as_deref().unwrap_or("f32");
    let device = options.device.as_deref().unwrap_or("GPU").replace(':', "");
    cache.join("tensorrt").join(format!("{short}-{precision}-{device}"))
}

/// What an engine belongs to: the libraries' versions and the GPU, as far as the system says them.
pub(super) fn machine(version: &str) -> String {
    let mut lines = vec![version.to_owned()];
    let library = mapped("libnvinfer.so");
    let real = library.and_then(|file| file.canonicalize().ok());
    let name = real.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    lines.extend(name.map(str::to_owned));
    let first_line = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.lines().next()?.trim_end_matches('\0').to_owned())
    };
    lines.extend(first_line("/proc/driver/nvidia/version"));
    lines.extend(first_line("/proc/device-tree/model"));
    lines.extend(gpus("/proc/driver/nvidia/gpus"));
    lines.join("\n")
}

/// The models of the GPUs that the driver lists, in its order.
fn gpus(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let model = |entry: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(entry.ok()?.path().join("information")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Model:"))?;
        Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let mut models: Vec<String> = entries.filter_map(model).collect();
    models.sort();
    models
}

/// Makes the folder ready: engines of this machine stay, others go, and that is said.
///
/// # Errors
/// When the folder cannot be read or written.
pub(super) fn prepare(folder: &Path, machine: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let stamp = folder.join(STAMP);
    let built_for = std::fs::read_to_string(&stamp).ok();
    if built_for.as_deref() == Some(machine) {
        log::info!("event=engines-kept backend=tensorrt folder={}", folder.display());
        return Ok(());
    }
    let mut removed = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    if removed > 0 {
        log::warn!(
            "event=engines-rebuilt backend=tensorrt files={removed} built_for={:?} here={machine:?}",
            built_for.unwrap_or_else(|| "unknown".to_owned())
        );
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(machine.as_bytes())?;
    file.persist(&stamp)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_engine_of_another_machine_goes_and_one_of_this_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tensorrt/0123-f16-GPU");
        let engine = folder.join("graph_sm87.engine");
        prepare(&folder, "onnxruntime 1.19\nlibnvinfer.so.10.3.0\nOrin").unwrap();
        std::fs::write(&engine, b"engine").unwrap();
        prepare(&folder, "onnxruntime 1.19\nlibnvinfer.so.10.3.0\nOrin").unwrap();
        assert!(engine.exists(), "the same machine keeps its engine");
        prepare(&folder, "onnxruntime 1.19\nlibnvinfer.so.10.4.0\nOrin").unwrap();
        assert!(!engine.exists(), "another library's engine goes");
        std::fs::write(&engine, b"engine").unwrap();
        prepare(&folder, "onnxruntime 1.19\nlibnvinfer.so.10.4.0\nNano").unwrap();
        assert!(!engine.exists(), "another GPU's engine goes");
        // Engines without a word of where they come from are not trusted either.
        std::fs::write(&engine, b"engine").unwrap();
        std::fs::remove_file(folder.join(STAMP)).unwrap();
        prepare(&folder, "x").unwrap();
        assert!(!engine.exists());
    }

    #[test]
    fn the_drivers_own_words_name_the_gpus() {
        let dir = tempfile::tempdir().unwrap();
        for (bus, model) in [("0000:01:00.0", "RTX A2000"), ("0000:02:00.0", "Quadro P400")] {
            let folder = dir.path().join(bus);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("information"), format!("Model: \t\t {model}\nIRQ: 1\n")).unwrap();
        }
        let found = gpus(dir.path().to_str().unwrap());
        assert_eq!(found, ["Model: Quadro P400", "Model: RTX A2000"]);
        assert!(gpus("/nonexistent").is_empty());
    }
}
