//! Promise: what `kerf cloud bundle` writes is taken by OSCAR, Kubernetes, KEDA and kustomize as it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::process::Command;

use kerf_tests::{bundle_of, fail, fixture, kerf, python, succeed};

#[test]
fn every_manifest_passes_its_own_schema() {
    let desk = tempfile::tempdir().unwrap();
    let bundle = bundle_of("lenet5", desk.path());
    let cloud = desk.path().join("cloud");
    let said = succeed(
        kerf()
            .args([
                "cloud",
                "bundle",
                "--image",
                "ghcr.io/example/tail:1",
                "--oscar",
                "my-cluster",
                "--cpu",
                "1.5",
            ])
            .args([
                "--memory",
                "512Mi",
                "--max-replicas",
                "4",
                "--broker",
                "mqtts://broker.example:8884",
                "-o",
            ])
            .args([&cloud, &bundle]),
    );
    assert_eq!(said.lines().count(), 14, "{said}");
    assert!(cloud.join("bundle/manifest.json").exists());
    let Some(mut python) = python() else { return };
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/manifests.py");
    python.arg(judge).args([&cloud, &fixture("oscar/definitions.json")]);
    if kustomize() {
        python.arg("kubectl");
    }
    let said = succeed(&mut python);
    assert!(said.ends_with("agreed\n"), "{said}");
}

/// kubectl from 1.27 has a kustomize that knows `labels`.
fn kustomize() -> bool {
    let version = Command::new("kubectl")
        .args(["version", "--client", "-o", "json"])
        .output();
    let version = version
        .map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
        .unwrap_or_default();
    let minor = version
        .split("\"minor\": \"")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok());
    let there = minor.is_some_and(|minor| minor >= 27);
    if !there {
        eprintln!("SKIPPED in part: no kubectl of 1.27 or later, so no overlay was built by kustomize");
    }
    there
}

#[test]
fn nothing_is_overwritten_and_wrong_words_are_refused() {
    let desk = tempfile::tempdir().unwrap();
    let bundle = bundle_of("lenet5", desk.path());
    let run = |arguments: &[&str]| {
        let mut kerf = kerf();
        kerf.current_dir(desk.path())
            .args(["cloud", "bundle"])
            .arg(&bundle)
            .args(arguments);
        fail(&mut kerf, 2)
    };
    std::fs::create_dir(desk.path().join("there")).unwrap();
    assert!(run(&["--image", "a/b", "-o", "there"]).contains("there is there already"));
    assert!(run(&["--image", "a: b", "-o", "new"]).contains("REGISTRY/NAME:TAG"));
    assert!(run(&["--image", "a/b", "--name", "x\ny", "-o", "new"]).contains("lower-case letters"));
    assert!(
        run(&[
            "--image",
            "a/b",
            "--min-replicas",
            "9",
            "--max-replicas",
            "2",
            "-o",
            "new"
        ])
        .contains("is more than")
    );
    // Nothing is left behind, not even a temporary folder.
    let left: Vec<_> = std::fs::read_dir(desk.path())
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
