//! A head for 64-bit Arm, run by qemu, and a native tail, with a real broker between them: the answers are ONNX Runtime's.
//! `cargo xtask emulate aarch64` builds the head and names it; without it this skips aloud.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::process::Command;

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::{fixture, kerf, kerf_stage, model, python, succeed};
use serde_json::Value;

/// Two processors and two engines agree to this share of the largest output.
const TOLERANCE: f64 = 1e-3;

#[test]
fn an_arm_head_and_a_native_tail() {
    let (Some(emulator), Some(stage)) = (
        std::env::var_os("KERF_EMULATOR"),
        std::env::var_os("KERF_EMULATED_STAGE_BIN"),
    ) else {
        eprintln!("SKIPPED: run by `cargo xtask emulate aarch64`, which builds the head");
        return;
    };
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/rows.py");
    python
        .arg(script)
        .arg(model("lenet5"))
        .arg(fixture("models/lenet5.npz"))
        .arg(folder.path())
        .arg("3");
    let expected: Value = serde_json::from_str(&succeed(&mut python)).unwrap();
    let bundle = folder.path().join("bundle");
    let mut split = kerf();
    split
        .arg("split")
        .arg(model("lenet5"))
        .args(["--at", "/MaxPool_1_output_0", "-o"])
        .arg(&bundle);
    succeed(&mut split);
    let broker = Mosquitto::start("");
    let with = |mut command: Command, part: &str| {
        command
            .arg("run")
            .arg("--bundle")
            .arg(&bundle)
            .args(["--part", part, "--broker", &broker.url()]);
        command.args(["--device", &format!("board-{part}")]);
        command
    };
    let mut tail = Running::start(&mut with(kerf_stage(), "1"));
    tail.wait_for("event=ready");
    let mut emulated = Command::new(emulator);
    emulated.arg(stage).env("KERF_ALLOW_UNSIGNED", "true");
    let mut head = with(emulated, "0");
    head.arg("--input")
        .args((0..3).map(|row| folder.path().join(format!("row-{row}.npz"))));
    let printed = succeed(&mut head);
    let answers: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 3, "{printed}");
    for answer in answers {
        let input = Path::new(answer["input"].as_str().unwrap())
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let wanted: Vec<f64> = serde_json::from_value(expected[input]["logits"].clone()).unwrap();
        let got: Vec<f64> = serde_json::from_value(answer["outputs"][0]["data"].clone()).unwrap();
        assert_eq!(got.len(), wanted.len());
        let scale = wanted.iter().fold(0.0_f64, |most, b| most.max(b.abs()));
        let apart = got
            .iter()
            .zip(&wanted)
            .fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(apart <= TOLERANCE * scale, "{input}: {apart} apart, largest {scale}");
    }
}
