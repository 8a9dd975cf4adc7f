//! Promise: a head in service answers at an early exit by itself, the rest is answered by the tail, and every answer is
//! the whole model's at that exit.
//!
//! A real mosquitto, two real `kerf-stage` processes, and ONNX Runtime with NumPy's own entropy as the judge.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::{fixture, kerf, kerf_stage, model, python, succeed};
use serde_json::Value;

/// Prints, for each digit, the output that should answer and its numbers.
const JUDGE: &str = "\
import sys, json, os, numpy as np, onnxruntime as o
from PIL import Image
folder = sys.argv[2]
names = sorted(f for f in os.listdir(folder) if f.startswith('d0') and f.endswith('.png'))[:40]
x = np.stack([np.asarray(Image.open(os.path.join(folder, n)).convert('L'), 'float32') / 255 for n in names])[:, None]
s = o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
a, b = s.run(['exit1_logits', 'final_logits'], {'input': x})
p = np.exp(a - a.max(1, keepdims=True)); p /= p.sum(1, keepdims=True)
h = -(p * np.log(np.maximum(p, 1e-30))).sum(1)
say = lambda i: ['exit1_logits', a[i].tolist()] if h[i] <= 0.5 else ['final_logits', b[i].tolist()]
print(json.dumps({n: say(i) for i, n in enumerate(names)}))";

fn stage(bundle: &Path, part: &str, broker: &Mosquitto) -> Command {
    let mut command = kerf_stage();
    command.arg("run").arg("--bundle").arg(bundle);
    command.args(["--part", part, "--device", &format!("board-{part}")]);
    command.args(["--broker", &broker.url(), "--inline-bytes", "8388608"]);
    command
}

fn assert_close(got: &Value, expected: &Value, what: &str) {
    let numbers = |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    let (got, expected) = (numbers(got), numbers(expected));
    let apart = got
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(
        got.len() == expected.len() && apart < 1e-3,
        "{what}: {got:?} {expected:?}"
    );
}

#[test]
fn each_answer_comes_from_the_exit_that_the_rule_says() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    let rule = [
        "--exit",
        "exit1_logits",
        "--exit",
        "final_logits",
        "--exit-policy",
        "entropy:0.5",
    ];
    let image = ["--colour", "grey", "--scale", "255", "-o"];
    succeed(
        kerf()
            .arg("split")
            .arg(model("branchy_lenet"))
            .args(rule)
            .args(image)
            .arg(&bundle),
    );
    let digits = fixture("images/digits");
    let Some(mut python) = python() else { return };
    let judged = succeed(python.args(["-c", JUDGE]).arg(model("branchy_lenet")).arg(&digits));
    let judged: BTreeMap<String, (String, Value)> = serde_json::from_str(&judged).unwrap();
    let taken = judged.values().filter(|(exit, _)| exit == "exit1_logits").count();
    assert!(taken > 0 && taken < judged.len(), "these digits try one way only");

    let broker = Mosquitto::start("");
    let mut tail = Running::start(&mut stage(&bundle, "1", &broker));
    tail.wait_for("event=ready");
    // A reader elsewhere, which sees results alone.
    let elsewhere = folder.path().join("results.jsonl");
    let mut reader = kerf_stage();
    reader.args([
        "results",
        "--broker",
        &broker.url(),
        "--count",
        &judged.len().to_string(),
        "--output",
    ]);
    let mut reader = Running::start(reader.arg(&elsewhere));
    reader.wait_for("event=ready");
    let mut head = stage(&bundle, "0", &broker);
    let printed = succeed(head.arg("--input").args(judged.keys().map(|name| digits.join(name))));
    assert!(reader.wait().success());

    let answers: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), judged.len(), "one answer an input:\n{printed}");
    for answer in &answers {
        let input = Path::new(answer["input"].as_str().unwrap())
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let (output, expected) = &judged[input];
        let early = output == "exit1_logits";
        assert_eq!(answer["exit"].as_str(), early.then_some("exit1_logits"), "{answer}");
        assert_eq!(
            answer["hops"].as_array().unwrap().len(),
            if early { 1 } else { 2 },
            "{answer}"
        );
        let outputs = answer["outputs"].as_array().unwrap();
        let found = outputs.iter().find(|o| o["name"] == output.as_str()).unwrap();
        assert_close(&found["data"], expected, input);
    }
    let frames = |lines: &str, of: &dyn Fn(&Value) -> Value| {
        let mut frames: Vec<String> = lines
            .lines()
            .map(|l| of(&serde_json::from_str(l).unwrap()).to_string())
            .collect();
        frames.sort();
        frames
    };
    let read = std::fs::read_to_string(&elsewhere).unwrap();
    let id = |result: &Value| result["frame"].clone();
    assert_eq!(
        frames(&read, &id),
        frames(&printed, &id),
        "a reader sees every answer once"
    );
}

#[test]
fn one_process_answers_at_the_exit_too() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    let rule = [
        "--exit",
        "exit1_logits",
        "--exit",
        "final_logits",
        "--exit-policy",
        "entropy:10",
    ];
    let image = ["--colour", "grey", "--scale", "255", "-o"];
    succeed(
        kerf()
            .arg("split")
            .arg(model("branchy_lenet"))
            .args(rule)
            .args(image)
            .arg(&bundle),
    );
    let digit = fixture("images/digits/d000.png");
    let said = succeed(kerf().arg("run").arg(&bundle).arg("--input").arg(&digit));
    let said: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(said["exit"], "exit1_logits", "{said}");
    assert_eq!(said["hops"].as_array().unwrap().len(), 1);
    let shown = succeed(kerf().arg("show").arg(&bundle));
    assert!(
        shown.contains("exit1_logits in part 0, answers where its entropy in nat is at most 10"),
        "{shown}"
    );
}
