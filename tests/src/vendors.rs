//! Where the vendors' libraries are that the tests run on: in the judges' Python, and in `.vendor`, which
//! `cargo xtask setup` fills.

use std::path::{Path, PathBuf};

/// The first file below the judges' Python's packages whose path there begins so.
fn in_python(folder: &str, prefix: &str) -> Option<PathBuf> {
    let mut python = crate::python()?;
    let code = "import sysconfig; print(sysconfig.get_paths()['platlib'])";
    let packages = crate::succeed(python.args(["-c", code]));
    first(&Path::new(packages.trim()).join(folder), prefix)
}

/// The first file of a folder, in the order of names, that begins so.
fn first(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|file| {
            file.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with(prefix))
        })
        .collect();
    files.sort();
    files.into_iter().next()
}

fn vendor(package: &str, folder: &str, prefix: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    first(&root.join(".vendor").join(package).join(folder), prefix)
}

/// Says aloud which library is missing; under `CI=true` it must be there.
fn or_said(what: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{what} is missing under CI");
        eprintln!("SKIPPED: no {what}; `cargo xtask setup` gets it");
    }
    found
}

/// ONNX Runtime with its own CPU kernels only.
pub fn onnxruntime() -> Option<PathBuf> {
    or_said("onnxruntime", in_python("onnxruntime/capi", "libonnxruntime.so."))
}

/// ONNX Runtime with OpenVINO's execution provider.
pub fn onnxruntime_openvino() -> Option<PathBuf> {
    let found = vendor("onnxruntime-openvino", "onnxruntime/capi", "libonnxruntime.so.");
    or_said("onnxruntime-openvino", found)
}

/// OpenVINO's C library.
pub fn openvino() -> Option<PathBuf> {
    or_said("openvino", vendor("openvino", "openvino/libs", "libopenvino_c.so."))
}

/// A folder as `kerf convert setup openvino` leaves it, with a Python that has OpenVINO: the judges', which has ONNX Runtime,
/// with the vendored package, of the version that `kerf` pins. Made below `folder`.
pub fn openvino_converter(folder: &Path) -> Option<PathBuf> {
    let package = openvino()?.ancestors().nth(3)?.to_owned();
    let python = crate::python()?.get_program().to_owned();
    let all = folder.join("converters");
    let place = all.join("openvino/bin");
    std::fs::create_dir_all(&place).expect("a folder of our own");
    let (python, package) = (Path::new(&python).display(), package.display());
    let script = format!("#!/bin/sh\nPYTHONPATH='{package}' exec '{python}' \"$@\"\n");
    let file = place.join("python3");
    std::fs::write(&file, script).expect("a folder of our own");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&file, executable).expect("a file of our own");
    let pinned = kerf_splitter::convert::Tool::Openvino.requirements().join("\n") + "\n";
    std::fs::write(all.join("openvino/kerf-requirements.txt"), pinned).expect("a folder of our own");
    Some(all)
}

/// OpenVINO 2022.2's C library, the last that a wheel has with the MYRIAD plugin.
pub fn openvino_2022() -> Option<PathBuf> {
    let found = vendor("openvino-2022", "onnxruntime/capi", "libopenvino_c.so");
    or_said("openvino 2022.2", found)
}

/// ONNX Runtime for 64-bit Arm, which `cargo xtask check --all` gets.
pub fn onnxruntime_arm() -> Option<PathBuf> {
    let found = vendor("aarch64/onnxruntime", "onnxruntime/capi", "libonnxruntime.so.");
    or_said("onnxruntime for aarch64", found)
}

/// OpenVINO's C library for 64-bit Arm, which `cargo xtask check --all` gets.
pub fn openvino_arm() -> Option<PathBuf> {
    let found = vendor("aarch64/openvino", "openvino/libs", "libopenvino_c.so.");
    or_said("openvino for aarch64", found)
}

/// TensorFlow Lite's C library for 64-bit Arm.
pub fn tflite_arm() -> Option<PathBuf> {
    or_said(
        "tflite for aarch64",
        vendor("tflite", "linux_arm64", "libtensorflowlite_c.so"),
    )
}

/// TensorFlow Lite's C library.
pub fn tflite() -> Option<PathBuf> {
    let arch = if cfg!(target_arch = "aarch64") {
        "linux_arm64"
    } else {
        "linux_amd64"
    };
    or_said("tflite", vendor("tflite", arch, "libtensorflowlite_c.so"))
}

/// TensorFlow Lite's C library beside a `libedgetpu.so.1` that has an Edge TPU's two functions and XNNPACK inside, built here
/// from `tests/delegate.c` into `folder`. The path of the former.
pub fn tflite_with_delegate(folder: &Path) -> Option<PathBuf> {
    let library = tflite()?;
    let headers = library.parent()?.parent()?.join("include");
    let beside = folder.join("libtensorflowlite_c.so");
    std::fs::copy(&library, &beside).expect("a folder of our own");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("delegate.c");
    let mut cc = std::process::Command::new("cc");
    cc.args([
        "-shared",
        "-fPIC",
        "-O1",
        "-Wl,-rpath,$ORIGIN",
        "-Wl,-soname,libedgetpu.so.1",
        "-I",
    ]);
    cc.arg(headers)
        .arg(source)
        .arg(&beside)
        .arg("-o")
        .arg(folder.join("libedgetpu.so.1"));
    crate::succeed(&mut cc);
    Some(beside)
}
