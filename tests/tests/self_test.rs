//! Promise: a bundle proves itself where it is loaded. `kerf split` writes an input with each part's expected output; a
//! stage whose engine gives another answer never starts.
//!
//! The judge of the expected outputs: ONNX Runtime on each part.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;

use kerf_tests::{fail, fixture, kerf, kerf_stage, model, python, succeed};
use kerf_wire::Manifest;
use kerf_wire::manifest::Format;

/// Runs every part on its inputs of the self-test; prints the largest relative difference, and the number of values.
const JUDGE: &str = "\
import sys, json, numpy as np, onnxruntime as o
dir = sys.argv[1]
manifest = json.load(open(dir + '/manifest.json'))
known = np.load(dir + '/' + manifest['self_test']['file'])
worst, count = 0.0, 0
for i, part in enumerate(manifest['parts']):
    s = o.InferenceSession(f'{dir}/part-{i}.onnx', providers=['CPUExecutionProvider'])
    for name, got in zip(part['outputs'], s.run(part['outputs'], {n: known[n] for n in part['inputs']})):
        worst = max(worst, float(np.abs(got - known[name]).max() / np.abs(got).max()))
        count += 1
print(worst, count)";

fn split(name: &str, more: &[&str], bundle: &Path) -> Manifest {
    succeed(kerf().arg("split").arg(model(name)).args(more).arg("-o").arg(bundle));
    Manifest::parse(&std::fs::read(bundle.join("manifest.json")).unwrap()).unwrap()
}

fn judged(bundle: &Path) -> Option<(f64, usize)> {
    let said = succeed(python()?.args(["-c", JUDGE]).arg(bundle));
    let (worst, count) = said.trim().split_once(' ').unwrap();
    Some((worst.parse().unwrap(), count.parse().unwrap()))
}

#[test]
fn the_expected_outputs_are_those_of_onnx_runtime_part_by_part() {
    let dir = tempfile::tempdir().unwrap();
    let cuts: [(&str, &[&str], usize); 4] = [
        ("lenet5", &["--at", "/MaxPool_output_0", "--at", "/Relu_2_output_0"], 3),
        ("two_digit_sum", &["--at", "/Relu_2_output_0"], 4),
        ("tiny_vit_digits", &[], 1),
        ("lstm_digits", &[], 1),
    ];
    for (name, at, values) in cuts {
        let bundle = dir.path().join(name);
        let manifest = split(name, at, &bundle);
        let test = manifest.self_test.unwrap_or_else(|| panic!("{name} has no self-test"));
        assert!(test.tolerance <= 1e-2);
        if let Some((worst, count)) = judged(&bundle) {
            assert!(worst <= 1e-4, "{name}: {worst}");
            assert!(count >= values, "{name}: {count} values were compared");
        }
    }
}

#[test]
fn a_given_picture_is_the_input() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    let digit = fixture("images/digits/d000.png");
    let image = [
        "--colour",
        "grey",
        "--scale",
        "255",
        "--self-test",
        digit.to_str().unwrap(),
    ];
    split("lenet5", &image, &bundle);
    let input = dir.path().join("input.npz");
    let mut make = kerf();
    make.arg("input")
        .arg(&digit)
        .arg("--like")
        .arg(model("lenet5"))
        .args(["--scale", "255", "-o"]);
    succeed(make.arg(&input));
    let array = |file: &Path| {
        let bytes = std::fs::read(file).unwrap();
        kerf_runtime::source::npz::Archive::from_bytes(&bytes)
            .unwrap()
            .read("input")
            .unwrap()
    };
    assert_eq!(array(&bundle.join("self-test.npz")), array(&input));
    let missing = fail(
        kerf()
            .arg("split")
            .arg(model("lenet5"))
            .args(["--self-test", "/nonexistent.png", "-o"])
            .arg(dir.path().join("none")),
        2,
    );
    assert!(missing.contains("/nonexistent.png"), "{missing}");
    assert!(!dir.path().join("none").exists(), "something half-written was left");
}

#[test]
fn a_stage_that_would_answer_otherwise_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    split("lenet5", &["--at", "/Relu_2_output_0"], &bundle);
    let once = || {
        let mut once = kerf_stage();
        once.args(["once", "--part", "1", "--bundle"]).arg(&bundle);
        once.arg("--input").arg(bundle.join("self-test.npz"));
        once
    };
    succeed(&mut once());
    // Other weights in the tail, with the digests that belong to them: only an answer shows it.
    let part = bundle.join("part-1.onnx");
    let mut bytes = std::fs::read(&part).unwrap();
    let text = std::fs::read_to_string(bundle.join("manifest.json")).unwrap();
    let before = kerf_runtime::bundle::digest(&bytes).to_string();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x40);
    let after = kerf_runtime::bundle::digest(&bytes).to_string();
    std::fs::write(&part, &bytes).unwrap();
    std::fs::write(bundle.join("manifest.json"), text.replace(&before, &after)).unwrap();
    let said = fail(&mut once(), 32);
    assert!(said.contains("self-test") && said.contains("logits"), "{said}");
    // Who leaves it out has no such proof.
    let bare = dir.path().join("bare");
    let manifest = split("lenet5", &["--no-self-test"], &bare);
    assert!(manifest.self_test.is_none() && !bare.join("self-test.npz").exists());
}

#[test]
fn a_model_that_no_engine_here_runs_is_split_all_the_same_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    let mut split = kerf();
    // Its operator belongs to ONNX Runtime alone; where that library is, it runs, and there is a test.
    split
        .arg("split")
        .arg(model("lenet5_qoperator_int8"))
        .arg("-o")
        .arg(&bundle);
    let output = split.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let manifest = Manifest::parse(&std::fs::read(bundle.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest.self_test.is_none(), said.contains("no self-test"), "{said}");
}

#[test]
fn what_is_prepared_for_tract_gives_the_same_and_is_verified_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["lenet5", "resnet8_digits", "lenet5_qdq_int8"] {
        let bundle = dir.path().join(name);
        let manifest = split(name, &["--prepare"], &bundle);
        let formats: Vec<Format> = manifest.parts[0].artifacts.iter().map(|a| a.format).collect();
        if name != "lenet5_qdq_int8" {
            assert_eq!(formats, [Format::Onnx, Format::TractNnef], "{name}");
        }
        let said = succeed(kerf().args(["verify", "--backend", "tract"]).arg(&bundle));
        assert_eq!(said.contains("from tract-nnef"), formats.len() == 2, "{name}: {said}");
    }
}
