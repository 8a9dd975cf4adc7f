//! The notebooks run from the first cell to the last, and the split answers as the framework does.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::Path;
use std::process::Command;

use kerf_tests::{python, succeed, tool_path};

/// In the repository; made by `cargo xtask setup --frameworks`.
const KERAS: &str = "../.venv-keras/bin/python3";
/// Debian's, with Debian's PyTorch.
const PYTORCH: &str = "/usr/bin/python3";

fn run(name: &str, mut python: Command) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    python.env("PATH", tool_path()).arg(here.join("judges/notebook.py"));
    python.arg(here.join("../docs/notebooks").join(name)).arg(folder.path());
    let said = succeed(&mut python);
    assert!(
        said.contains("the split answers as") && said.contains(": True"),
        "{said}"
    );
    assert!(said.ends_with("agreed\n"), "{said}");
}

/// A Python with a framework in it. Without one the test skips aloud, and fails under CI.
fn python_with(program: &Path, package: &str) -> Option<Command> {
    let find = format!("import importlib.util as u, sys; sys.exit(u.find_spec('{package}') is None)");
    let is_there = Command::new(program).args(["-c", &find]).status();
    if is_there.is_ok_and(|status| status.success()) {
        return Some(Command::new(program));
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} has no {package} under CI",
        program.display()
    );
    eprintln!("SKIPPED: no {package}; `cargo xtask setup --frameworks` gets it");
    None
}

#[test]
fn from_scikit_learn_to_a_split() {
    let Some(python) = python() else { return };
    run("scikit-learn.ipynb", python);
}

#[test]
fn from_pytorch_to_a_split() {
    let Some(python) = python_with(Path::new(PYTORCH), "torch") else {
        return;
    };
    run("pytorch.ipynb", python);
}

#[test]
fn from_keras_to_a_split() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(KERAS);
    let Some(python) = python_with(&program, "tf2onnx") else {
        return;
    };
    run("keras.ipynb", python);
}
