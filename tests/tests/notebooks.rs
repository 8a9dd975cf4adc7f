//! The notebooks run from the first cell to the last, and the split answers as the framework does.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::Path;

use kerf_tests::{python, succeed, tool_path};

fn run(name: &str) {
    let Some(mut python) = python() else { return };
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

#[test]
fn from_scikit_learn_to_a_split() {
    run("scikit-learn.ipynb");
}

#[test]
#[ignore = "needs PyTorch, 200 MB and more: pip install torch into the judges' Python, then --run-ignored"]
fn from_pytorch_to_a_split() {
    run("pytorch.ipynb");
}
