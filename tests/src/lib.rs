//! What the tests share: where fixtures, built programs and the independent judges are.
//!
//! `cargo xtask test` builds the programs first and names them in `KERF_BIN` and `KERF_STAGE_BIN`, and the judges'
//! Python in `KERF_TEST_PYTHON`. Without these, the programs are those beside the test's own binary.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test says what failed by panicking"
)]

pub mod browser;
pub mod certificates;
pub mod cloud_desk;
pub mod conformance;
pub mod disk;
pub mod hostile;
pub mod http;
pub mod judge;
pub mod mosquitto;
pub mod oscar_stub;
pub mod pages;
pub mod process;
pub mod proxy;
pub mod random;
pub mod regret;
pub mod relay;
pub mod s3;
pub mod shaped;
pub mod stages;
pub mod vendors;
pub mod zoo;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file below `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path);
    assert!(file.exists(), "no fixture {}", file.display());
    file
}

/// The photos among the fixtures, in the order of their names.
pub const PHOTOS: [&str; 6] = [
    "astronaut.png",
    "chelsea.png",
    "china.jpg",
    "coffee.png",
    "flower.jpg",
    "rocket.jpg",
];

/// How EfficientNet-Lite's authors make its input from a photo, as `kerf` takes it.
pub const EFFICIENTNET_IMAGE: [&str; 8] = [
    "--crop",
    "centre:0.875",
    "--resize",
    "bicubic",
    "--mean",
    "127",
    "--scale",
    "128",
];

/// A model among the fixtures, by name without `.onnx`.
pub fn model(name: &str) -> PathBuf {
    fixture(&format!("models/{name}.onnx"))
}

/// A new folder with the first pictures of digits and nothing else: the fixtures' folder holds archives too.
pub fn digits(within: &Path, count: usize) -> PathBuf {
    let pictures = within.join("digits");
    std::fs::create_dir(&pictures).expect("a new folder");
    let entries = std::fs::read_dir(fixture("images/digits")).expect("fixtures");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a fixture").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "png"));
    files.sort();
    for path in files.iter().take(count) {
        let name = path.file_name().expect("a file has a name");
        std::fs::copy(path, pictures.join(name)).expect("a copy");
    }
    pictures
}

fn program(variable: &str, name: &str) -> PathBuf {
    let beside_the_test = || {
        let test = std::env::current_exe().expect("a test has a file");
        test.ancestors()
            .nth(2)
            .expect("tests are built in target/PROFILE/deps")
            .join(name)
    };
    let file = std::env::var_os(variable).map_or_else(beside_the_test, PathBuf::from);
    assert!(
        file.exists(),
        "{} is not built: run `cargo xtask test`, or `cargo build --workspace` first",
        file.display()
    );
    file
}

/// The `kerf` program, ready for arguments.
pub fn kerf() -> Command {
    Command::new(program("KERF_BIN", "kerf"))
}

/// The `kerf-stage` program, ready for arguments; it takes the unsigned bundles that tests make.
pub fn kerf_stage() -> Command {
    let mut stage = strict_stage();
    stage.env("KERF_ALLOW_UNSIGNED", "true");
    stage
}

/// The `kerf-stage` program as a board has it: without keys it takes no bundle.
pub fn strict_stage() -> Command {
    Command::new(program("KERF_STAGE_BIN", "kerf-stage"))
}

/// The program behind `cargo xtask`, ready for arguments.
pub fn xtask() -> Command {
    Command::new(program("KERF_XTASK_BIN", "xtask"))
}

/// `PATH` with the built programs in front.
pub fn tool_path() -> std::ffi::OsString {
    let programs = [program("KERF_BIN", "kerf"), program("KERF_STAGE_BIN", "kerf-stage")];
    let folders = programs.iter().filter_map(|file| file.parent()).map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(folders.chain(std::env::split_paths(&path))).expect("no folder of the PATH has a colon")
}

/// The judges' Python (onnx, onnxruntime, numpy …), or none, said aloud; under `CI=true` it must be there.
pub fn python() -> Option<Command> {
    if let Some(python) = std::env::var_os("KERF_TEST_PYTHON") {
        return Some(Command::new(python));
    }
    assert!(std::env::var_os("CI").is_none(), "KERF_TEST_PYTHON is not set under CI");
    eprintln!("SKIPPED: KERF_TEST_PYTHON is not set; build-scripts/test sets it");
    None
}

/// Runs a command that must succeed; gives its standard output.
pub fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|why| panic!("{command:?} did not start: {why}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} failed with {}:\n{stderr}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that must fail with this exit code; gives its standard error.
pub fn fail(command: &mut Command, code: i32) -> String {
    let output = command
        .output()
        .unwrap_or_else(|why| panic!("{command:?} did not start: {why}"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?} said:\n{stderr}");
    stderr
}

/// Locks, whatever a panicking test left behind.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Rewrites a bundle's manifest with a self-test of these tensors; a signature does not fit it any more.
pub fn with_self_test(bundle: &Path, tensors: &[(&str, &kerf_runtime::tensor::Tensor)]) {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let arrays = tensors.iter().map(|(name, tensor)| (*name, tensor.view()));
    kerf_runtime::source::npz::write(arrays, &mut bytes).expect("tensors in memory");
    let bytes = bytes.into_inner();
    std::fs::write(bundle.join("self-test.npz"), &bytes).expect("a bundle that may be written");
    let path = bundle.join("manifest.json");
    let manifest = std::fs::read(&path).expect("a manifest");
    let mut manifest = kerf_wire::Manifest::parse(&manifest).expect("a sound manifest");
    manifest.self_test = Some(kerf_wire::manifest::SelfTest {
        file: "self-test.npz".into(),
        sha256: kerf_runtime::bundle::digest(&bytes),
        bytes: bytes.len() as u64,
        tolerance: 1e-4,
    });
    std::fs::write(path, manifest.to_json().expect("a manifest")).expect("a bundle that may be written");
}

/// A bundle of a fixture, cut once in the middle of its legal values, made by `kerf` itself below `folder`.
pub fn bundle_of(name: &str, folder: &Path) -> PathBuf {
    let bundle = folder.join("bundle");
    let layers = succeed(kerf().args(["layers", "--json"]).arg(model(name)));
    let layers: serde_json::Value = serde_json::from_str(&layers).expect("JSON");
    let values = layers["values"].as_array().expect("values");
    let legal: Vec<&str> = values
        .iter()
        .filter(|value| value["legal"] == true)
        .filter_map(|value| value["name"].as_str())
        .collect();
    let at = legal.get(legal.len() / 2).expect("a legal cut");
    succeed(
        kerf()
            .arg("split")
            .arg(model(name))
            .args(["--at", at, "-o"])
            .arg(&bundle),
    );
    bundle
}
