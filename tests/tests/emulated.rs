//! Boards' programs, run by qemu: a head for 64-bit Arm with a native tail and a real broker between them, vendors' Arm libraries,
//! static programs in an empty root. The answers are ONNX Runtime's.
//!
//! `cargo xtask emulate aarch64` and `cargo xtask check --all` build the programs and name them; without them these tests skip
//! aloud.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::{fixture, kerf, kerf_stage, model, python, succeed, vendors};
use serde_json::Value;

/// Two processors and two engines agree to this share of the largest output.
const TOLERANCE: f64 = 1e-3;
const ROWS: usize = 3;

/// LeNet in a bundle, inputs, and what ONNX Runtime answers to them.
struct Judged {
    folder: tempfile::TempDir,
    expected: Value,
}

impl Judged {
    /// None, said aloud, where the judge is missing.
    fn new(cuts: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/rows.py");
        let mut judge = python()?;
        judge.arg(script).arg(model("lenet5")).arg(fixture("models/lenet5.npz"));
        judge.arg(folder.path()).arg(ROWS.to_string());
        let expected = serde_json::from_str(&succeed(&mut judge)).unwrap();
        let mut split = kerf();
        split.arg("split").arg(model("lenet5"));
        for cut in cuts {
            split.args(["--at", cut]);
        }
        succeed(split.arg("-o").arg(folder.path().join("bundle")));
        Some(Self { folder, expected })
    }

    fn bundle(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    fn inputs(&self) -> Vec<PathBuf> {
        (0..ROWS)
            .map(|row| self.folder.path().join(format!("row-{row}.npz")))
            .collect()
    }

    /// Holds printed answers, a line each, against the judge's.
    fn hold(&self, printed: &str) {
        let answers: Vec<Value> = printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(answers.len(), ROWS, "{printed}");
        for answer in answers {
            // `run` names the input, `once` calls the frame after it.
            let input = answer.get("input").unwrap_or(&answer["frame"]);
            let input = Path::new(input.as_str().unwrap()).file_name().unwrap();
            let input = input.to_str().unwrap();
            let wanted: Vec<f64> = serde_json::from_value(self.expected[input]["logits"].clone()).unwrap();
            let got: Vec<f64> = serde_json::from_value(answer["outputs"][0]["data"].clone()).unwrap();
            assert_eq!(got.len(), wanted.len());
            let scale = wanted.iter().fold(0.0_f64, |most, b| most.max(b.abs()));
            let apart = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart <= TOLERANCE * scale, "{input}: {apart} apart, largest {scale}");
        }
    }
}

/// What a task of xtask names; says aloud what is skipped where it does not.
fn named(variable: &str, task: &str) -> Option<OsString> {
    let value = env::var_os(variable);
    if value.is_none() {
        eprintln!("SKIPPED: run by `cargo xtask {task}`, which prepares it");
    }
    value
}

/// The Arm program under its emulator.
fn emulated() -> Option<Command> {
    let stage = named("KERF_EMULATED_STAGE_BIN", "emulate aarch64")?;
    let mut command = Command::new(env::var_os("KERF_EMULATOR").expect("named beside the program"));
    command.arg(stage).env("KERF_ALLOW_UNSIGNED", "true");
    Some(command)
}

#[test]
fn an_arm_head_and_a_native_tail() {
    let Some(mut head) = emulated() else { return };
    let Some(judged) = Judged::new(&["/MaxPool_1_output_0"]) else {
        return;
    };
    let broker = Mosquitto::start("");
    let part = |command: &mut Command, part: &str| {
        command.arg("run").arg("--bundle").arg(judged.bundle());
        command.args(["--part", part, "--broker", &broker.url()]);
        command.args(["--device", &format!("board-{part}")]);
    };
    let mut tail = kerf_stage();
    part(&mut tail, "1");
    let mut tail = Running::start(&mut tail);
    tail.wait_for("event=ready");
    part(&mut head, "0");
    judged.hold(&succeed(head.arg("--input").args(judged.inputs())));
}

#[test]
fn vendors_arm_libraries_answer() {
    if named("KERF_EMULATED_VENDORS", "check --all").is_none() {
        return;
    }
    for (backend, library) in [
        ("onnxruntime", vendors::onnxruntime_arm as fn() -> Option<PathBuf>),
        ("openvino", vendors::openvino_arm),
        ("tflite", vendors::tflite_arm),
    ] {
        let Some(mut stage) = emulated() else { return };
        let (Some(library), Some(judged)) = (library(), Judged::new(&[])) else {
            continue;
        };
        if backend == "tflite" {
            // It takes no ONNX: that the library opens, and says its version, is what is shown.
            stage.args(["check", "--backend", backend, "--library"]).arg(library);
            let said = succeed(&mut stage);
            assert!(said.contains("2.9.0"), "{said}");
            continue;
        }
        let answers = judged.inputs().into_iter().map(|input| {
            let mut once = emulated().unwrap();
            once.args(["-q", "once", "--part", "0", "--backend", backend, "--library"]);
            once.arg(&library).arg("--bundle").arg(judged.bundle());
            succeed(once.arg("--input").arg(input))
        });
        judged.hold(&answers.collect::<String>());
    }
}

/// `KERF_STATIC_STAGES`: programs, each with its emulator before it where it needs one, as a path list; `:` between the two of
/// a pair, `,` between pairs.
#[test]
fn static_programs_answer_in_an_empty_root() {
    let Some(stages) = named("KERF_STATIC_STAGES", "check --all") else {
        return;
    };
    let Some(judged) = Judged::new(&[]) else { return };
    for pair in stages.to_str().unwrap().split(',') {
        let root = judged.folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut programs = Vec::new();
        for program in pair.split(':').map(Path::new) {
            let name = program.file_name().unwrap();
            fs::copy(program, root.join(name)).unwrap();
            programs.push(Path::new("/").join(name));
        }
        let bundle = root.join("bundle");
        fs::create_dir(&bundle).unwrap();
        for file in fs::read_dir(judged.bundle()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), bundle.join(file.file_name())).unwrap();
        }
        let answers = judged.inputs().into_iter().map(|input| {
            let name = input.file_name().unwrap();
            fs::copy(&input, root.join(name)).unwrap();
            let mut inside = Command::new("chroot");
            inside.arg(&root).args(&programs).env("KERF_ALLOW_UNSIGNED", "true");
            // Named for the 64-bit suites; the 32-bit emulator has no such processor.
            inside.env_remove("QEMU_CPU");
            inside.args(["-q", "once", "--part", "0", "--bundle", "/bundle", "--input"]);
            succeed(inside.arg(Path::new("/").join(name)))
        });
        judged.hold(&answers.collect::<String>());
        fs::remove_dir_all(&root).unwrap();
    }
}
