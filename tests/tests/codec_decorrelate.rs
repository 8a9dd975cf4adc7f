//! Promise: `kerf codec decorrelate` changes no answer, and what then crosses takes fewer bytes at the same loss.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;

use kerf_tests::{digits, fail, kerf, model, python, succeed};

const CUT: &str = "/r/r.1/Add_output_0";
const GREY: [&str; 4] = ["--colour", "grey", "--scale", "255"];

/// Full check by ONNX's own checker; then both models in ONNX Runtime, without its fusions, on what they were never fitted on.
const JUDGE: &str = "
import sys, numpy, onnx, onnxruntime
old, new = sys.argv[1:3]
onnx.checker.check_model(new, full_check=True)
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
old, new = (onnxruntime.InferenceSession(f, options, providers=['CPUExecutionProvider']) for f in (old, new))
random = numpy.random.default_rng(7)
for _ in range(8):
    feed = {}
    for i in old.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in i.shape]
        feed[i.name] = random.random(shape, dtype=numpy.float32)
    for a, b in zip(old.run(None, feed), new.run(None, feed), strict=True):
        assert a.shape == b.shape and numpy.abs(a - b).max() <= 1e-4 * numpy.abs(a).max(), (a, b)
    assert [o.name for o in old.get_outputs()] == [o.name for o in new.get_outputs()]
";

fn decorrelate(from: &str, at: &str, data: &Path, to: &Path) -> std::process::Command {
    let mut command = kerf();
    command.args(["codec", "decorrelate"]).arg(model(from));
    command
        .args(["--at", at, "--inputs", "8", "--data"])
        .arg(data)
        .arg("-o")
        .arg(to);
    command
}

fn judged(from: &str, to: &Path) {
    let Some(mut python) = python() else { return };
    succeed(python.args(["-c", JUDGE]).arg(model(from)).arg(to));
}

/// Bytes a frame of a cut with codecs fitted for one loss.
fn fitted_bytes(model: &Path, at: &str, digits: &Path, dir: &Path) -> f64 {
    succeed(
        kerf()
            .arg("split")
            .arg(model)
            .args(["--at", at])
            .args(GREY)
            .arg("-o")
            .arg(dir),
    );
    succeed(kerf().arg("verify").arg(dir).arg("--model").arg(model));
    let mut fit = kerf();
    fit.args(["codec", "fit"])
        .arg(dir)
        .arg("--data")
        .arg(digits)
        .args(["--max-loss", "0.01"]);
    let said = succeed(&mut fit);
    let bytes = said.split(" bytes a frame").next().unwrap().rsplit(' ').next().unwrap();
    bytes.parse().unwrap()
}

#[test]
fn components_take_fewer_bytes_and_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let digits = digits(folder.path(), 200);
    let components = folder.path().join("components.onnx");
    let said = succeed(decorrelate("resnet8_digits", CUT, &digits, &components).args(GREY));
    assert!(said.contains("the best class stays on 100 of 100 inputs"), "{said}");
    judged("resnet8_digits", &components);
    let dir = |name: &str| folder.path().join(name);
    let before = fitted_bytes(&model("resnet8_digits"), CUT, &digits, &dir("before"));
    let after = fitted_bytes(&components, &format!("{CUT}_components"), &digits, &dir("after"));
    assert!(after < 0.8 * before, "{after} bytes, before {before}");
}

/// A dense layer's answer has no rows and columns, a transformer's patches stand in a row: other operators, the same promise.
#[test]
fn values_of_two_and_three_dimensions_are_transformed_too() {
    let folder = tempfile::tempdir().unwrap();
    let digits = digits(folder.path(), 24);
    for (name, at) in [
        ("lenet5", "/f1/Gemm_output_0"),
        ("tiny_vit_digits", "/Reshape_output_0"),
    ] {
        let to = folder.path().join(format!("{name}.onnx"));
        succeed(decorrelate(name, at, &digits, &to).args(GREY));
        judged(name, &to);
    }
}

#[test]
fn a_survey_says_what_it_would_bring() {
    let folder = tempfile::tempdir().unwrap();
    let digits = digits(folder.path(), 40);
    let csv = folder.path().join("rows.csv");
    let mut survey = kerf();
    survey.args(["codec", "survey"]).arg(model("resnet8_digits"));
    survey
        .args(["--at", CUT, "--decorrelate", "--data"])
        .arg(&digits)
        .args(GREY)
        .arg("--csv")
        .arg(&csv);
    succeed(&mut survey);
    let rows = std::fs::read_to_string(csv).unwrap();
    // At the same step, in standard deviations of its own, a component's levels take fewer bits than a channel's.
    let bits = |codec: &str| -> f64 {
        let row = rows
            .lines()
            .find(|row| row.split(',').nth(1) == Some(&format!("\"{codec}\"")))
            .unwrap();
        row.split(',').nth(4).unwrap().parse().unwrap()
    };
    for step in ["0.25", "0.50", "1.00"] {
        let (own, channels) = (
            bits(&format!("(decorrelated dct step {step})")),
            bits(&format!("dct step {step}")),
        );
        assert!(own < channels, "step {step}: {own}, {channels}");
    }
}

#[test]
fn what_cannot_be_transformed_is_refused_with_the_reason_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let digits = digits(folder.path(), 4);
    let to = folder.path().join("none.onnx");
    let refused = |name: &str, at: &str, code: i32, reason: &str| {
        let said = fail(decorrelate(name, at, &digits, &to).args(GREY), code);
        assert!(said.contains(reason), "{said}");
        assert!(!to.exists());
    };
    refused("lenet5", "no such value", 2, "no value");
    // Read by the body of an If.
    refused("branchy_lenet_if", "/MaxPool_output_0", 11, "inside the body");
    // One of two values at a block's end.
    refused("resnet8_digits", "/r/r.1/Relu_output_0", 11, "cut");
    // An answer that somebody reads.
    refused("branchy_lenet", "exit1_logits", 11, "");
}
