//! A Python user gets both programs from `pip install`: the wheels are built, installed into an empty environment
//! without any index, and run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::process::Command;

use kerf_tests::{python, succeed};

#[test]
#[ignore = "builds each program anew with its own features, minutes of two cores: cargo nextest run --run-ignored only wheel"]
fn both_programs_install_from_wheels_and_find_each_other() {
    let Some(python) = python() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir().unwrap();
    let wheels = folder.path().join("wheels");
    for package in ["runtime", "splitter"] {
        // The dev profile: what is tested is the packaging, and the programs are already built in it.
        let manifest = root.join(package).join("Cargo.toml");
        let mut build = Command::new(python.get_program());
        build.args([
            "-m",
            "maturin",
            "build",
            "--quiet",
            "--profile",
            "dev",
            "--strip",
            "false",
        ]);
        succeed(
            build
                .arg("--manifest-path")
                .arg(manifest)
                .arg("--out")
                .arg(&wheels)
                .current_dir(root.join(package)),
        );
    }
    let environment = folder.path().join("environment");
    succeed(
        Command::new(python.get_program())
            .args(["-m", "venv"])
            .arg(&environment),
    );
    let bin = environment.join("bin");
    let mut install = Command::new(bin.join("python3"));
    install
        .args(["-m", "pip", "install", "--quiet", "--no-index", "--find-links"])
        .arg(&wheels);
    succeed(install.args(["--disable-pip-version-check", "kerf"]));

    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        succeed(Command::new(bin.join("kerf")).arg("--version")).trim(),
        format!("kerf {version}")
    );
    let report = succeed(Command::new(bin.join("kerf")).args(["doctor", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report[0]["name"], "kerf-stage");
    assert_eq!(report[0]["detail"], format!("kerf-stage {version}"));
}
