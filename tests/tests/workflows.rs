//! The workflows say nothing that a desk cannot do: each step is `cargo xtask` or a script over it, boards come from `targets/`,
//! and GitHub's own schema takes the files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_tests::{python, succeed, xtask};
use serde_json::Value;

fn workflows() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/workflows");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    files
}

#[test]
fn every_step_is_one_of_ours() {
    for file in workflows() {
        let text = std::fs::read_to_string(&file).unwrap();
        let runs: Vec<&str> = text
            .lines()
            .filter_map(|line| {
                line.trim()
                    .strip_prefix("- run: ")
                    .or(line.trim().strip_prefix("run: "))
            })
            .collect();
        assert!(!runs.is_empty(), "{} runs nothing", file.display());
        for run in runs {
            let ours = run.starts_with("cargo xtask ") || run.starts_with("build-scripts/");
            assert!(ours && !run.contains("&&"), "{}: {run}", file.display());
            // Each exists, with these options: a workflow is not tried until it is too late.
            if let Some(arguments) = run.strip_prefix("cargo xtask ") {
                let task = arguments.split(' ').next().unwrap();
                let help = succeed(xtask().args([task, "--help"]));
                for option in arguments.split(' ').filter(|word| word.starts_with("--")) {
                    assert!(help.contains(option), "{}: {run}: no {option}", file.display());
                }
            }
        }
    }
}

#[test]
fn githubs_schema_takes_them() {
    let Some(python) = python() else { return };
    let checker = Path::new(python.get_program()).with_file_name("check-jsonschema");
    let check = |file: &Path| {
        let mut command = Command::new(&checker);
        command.args(["--builtin-schema", "vendor.github-workflows"]).arg(file);
        command
    };
    for file in workflows() {
        succeed(&mut check(&file));
    }
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yml");
    let text = std::fs::read_to_string(&workflows()[0]).unwrap();
    std::fs::write(&broken, text.replace("runs-on:", "runs_on:")).unwrap();
    assert!(
        !check(&broken).output().unwrap().status.success(),
        "a broken one is taken"
    );
}

#[test]
fn the_matrix_is_the_folder_of_targets() {
    let line = succeed(xtask().args(["matrix", "--github"]));
    let matrix: Value = serde_json::from_str(line.trim().strip_prefix("matrix=").expect("one output")).unwrap();
    let names: Vec<&str> = matrix["include"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|t| t["name"].as_str())
        .collect();
    assert!(
        names.contains(&"raspberry-pi-4") && names.contains(&"cloud-amd64"),
        "{names:?}"
    );
    for name in names {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../targets")
            .join(name)
            .join("target.toml");
        assert!(file.is_file(), "{}", file.display());
    }
}
