//! What goes wrong is said in one line on standard error, ends with its own exit code, and leaves nothing half-written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use kerf_tests::{fail, kerf, kerf_stage, model, succeed};

/// Runs a command that must fail; its complaint must be one line. Lines of the log have a level.
fn complains(command: &mut Command, code: i32) -> String {
    let said = fail(command, code);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("kerf: ") || line.starts_with("kerf-stage: "))
        .collect();
    assert_eq!(lines.len(), 1, "expected one line, got:\n{said}");
    let others = said
        .lines()
        .filter(|line| !line.starts_with("kerf") && !line.contains("level="));
    assert_eq!(others.count(), 0, "more than one line:\n{said}");
    lines[0].to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn split(model: &Path, at: &str, out: &Path) -> Command {
    let mut command = kerf();
    command.arg("split").arg(model).args(["--at", at]).arg("-o").arg(out);
    command
}

#[test]
fn a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let line = complains(
        &mut split(&folder.path().join("no.onnx"), "x", &folder.path().join("bundle")),
        2,
    );
    assert!(line.contains("no.onnx"), "{line}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_wrong_value_name_suggests_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    let line = complains(&mut split(&model("lenet5"), "/MaxPol_1_output_0", &out), 2);
    assert!(line.contains("/MaxPool_1_output_0"), "{line}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_illegal_cut_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let line = complains(
        &mut split(
            &model("tiny_unet_denoise"),
            "/MaxPool_output_0",
            &folder.path().join("bundle"),
        ),
        11,
    );
    assert!(line.contains("/MaxPool_output_0") || line.contains("/e1/"), "{line}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_truncated_model() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(model("lenet5")).unwrap();
    let file = folder.path().join("cut-short.onnx");
    for share in [0, 1, 3, 7, 9] {
        fs::write(&file, &whole[..whole.len() * share / 10]).unwrap();
        let line = complains(
            &mut split(&file, "/MaxPool_1_output_0", &folder.path().join("bundle")),
            10,
        );
        assert!(line.contains("cut-short"), "{line}");
        assert_eq!(names(folder.path()), ["cut-short.onnx"]);
    }
}

#[test]
fn a_refused_split_leaves_the_old_bundle_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    succeed(&mut split(&model("lenet5"), "/MaxPool_1_output_0", &out));
    let manifest = fs::read(out.join("manifest.json")).unwrap();
    complains(&mut split(&model("lenet5"), "/nothing", &out), 2);
    assert_eq!(fs::read(out.join("manifest.json")).unwrap(), manifest);
    assert_eq!(names(folder.path()), ["bundle"]);
}

#[test]
fn a_damaged_bundle_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    succeed(&mut split(&model("lenet5"), "/MaxPool_1_output_0", &out));
    let part = out.join("part-1.onnx");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    let mut once = kerf_stage();
    once.arg("once")
        .arg("--bundle")
        .arg(&out)
        .args(["--part", "1", "--input", "nothing.npz"]);
    let line = complains(&mut once, 20);
    assert!(line.contains("part-1.onnx") && line.contains("SHA-256"), "{line}");
}

#[test]
fn a_bundle_of_another_version_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    succeed(&mut split(&model("lenet5"), "/MaxPool_1_output_0", &out));
    let manifest = out.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let ours = concat!("\"kerf ", env!("CARGO_PKG_VERSION"), "\"");
    let theirs = text
        .replace("\"format\": 1,", "\"format\": 9,")
        .replace(ours, "\"kerf 7.0.0\"");
    assert_ne!(theirs, text);
    fs::write(&manifest, theirs).unwrap();
    let mut once = kerf_stage();
    once.arg("once")
        .arg("--bundle")
        .arg(&out)
        .args(["--part", "1", "--input", "x.npz"]);
    let line = complains(&mut once, 20);
    for word in ["format 9", "kerf 7.0.0", env!("CARGO_PKG_VERSION"), "reads format 1"] {
        assert!(line.contains(word), "no {word:?}: {line}");
    }
}

#[test]
fn a_broker_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    succeed(&mut split(&model("lenet5"), "/MaxPool_1_output_0", &out));
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut run = kerf_stage();
    run.arg("run")
        .arg("--bundle")
        .arg(&out)
        .args(["--part", "1", "--broker", &format!("mqtt://127.0.0.1:{port}")]);
    let line = complains(&mut run, 40);
    assert!(line.contains(&port.to_string()), "{line}");
}
