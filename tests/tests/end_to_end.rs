//! Head and tail, two real processes, a real mosquitto between them: every answer is the one that ONNX Runtime gives for the
//! whole model. One value or several across the cut, one model input or two, two stages or three.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::{fixture, kerf, kerf_stage, model, python, succeed};
use serde_json::Value;

/// Two engines agree to this share of the largest output.
const TOLERANCE: f64 = 1e-3;
/// Inputs a model.
const ROWS: usize = 6;

/// Inputs by the judge, with ONNX Runtime's answers; none without a judge.
fn rows(name: &str, folder: &Path) -> Option<Value> {
    let mut python = python()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/rows.py");
    let known = fixture(&format!("models/{name}.npz"));
    python
        .arg(script)
        .arg(model(name))
        .arg(known)
        .arg(folder)
        .arg(ROWS.to_string());
    Some(serde_json::from_str(&succeed(&mut python)).unwrap())
}

fn stage(bundle: &Path, part: usize, broker: &Mosquitto) -> std::process::Command {
    let mut command = kerf_stage();
    command.arg("run").arg("--bundle").arg(bundle);
    command.args(["--part", &part.to_string(), "--device", &format!("board-{part}")]);
    command.args(["--broker", &broker.url(), "--inline-bytes", "8388608"]);
    command
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap_or_else(|| panic!("{number} is no number"))],
    }
}

fn assert_same(got: &Value, expected: &Value, what: &str) {
    let (got, expected) = (numbers(got), numbers(expected));
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0_f64, |most, b| most.max(b.abs()));
    let apart = got
        .iter()
        .zip(&expected)
        .fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    assert!(apart <= TOLERANCE * scale, "{what}: {apart} apart, largest {scale}");
}

/// Cuts a model, runs the chain, compares each answer.
fn answers_are_the_whole_models(name: &str, cuts: &[&[&str]]) {
    let folder = tempfile::tempdir().unwrap();
    let Some(expected) = rows(name, folder.path()) else {
        return;
    };
    let bundle: PathBuf = folder.path().join("bundle");
    let mut split = kerf();
    split.arg("split").arg(model(name));
    for values in cuts {
        split.arg("--at").args(*values);
    }
    succeed(split.arg("-o").arg(&bundle));
    let broker = Mosquitto::start("");
    let behind: Vec<Running> = (1..=cuts.len())
        .map(|part| {
            let mut running = Running::start(&mut stage(&bundle, part, &broker));
            running.wait_for("event=ready");
            running
        })
        .collect();
    let mut head = stage(&bundle, 0, &broker);
    head.arg("--input")
        .args((0..ROWS).map(|row| folder.path().join(format!("row-{row}.npz"))));
    let printed = succeed(&mut head);
    drop(behind);
    let answers: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), ROWS, "one answer an input:\n{printed}");
    let mut inputs: Vec<String> = Vec::new();
    for answer in &answers {
        let input = Path::new(answer["input"].as_str().unwrap())
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let outputs = answer["outputs"].as_array().unwrap();
        let wanted = expected[&input].as_object().unwrap();
        assert_eq!(outputs.len(), wanted.len(), "{answer}");
        for output in outputs {
            let output_name = output["name"].as_str().unwrap();
            assert_same(
                &output["data"],
                &wanted[output_name],
                &format!("{name}, {input}, {output_name}"),
            );
        }
        let hops = answer["hops"].as_array().unwrap();
        assert_eq!(hops.len(), cuts.len() + 1, "a hop a stage: {answer}");
        inputs.push(input);
    }
    inputs.sort();
    inputs.dedup();
    assert_eq!(inputs.len(), ROWS, "each input is answered once");
}

#[test]
fn one_value_crosses() {
    answers_are_the_whole_models("lenet5", &[&["/MaxPool_1_output_0"]]);
}

#[test]
fn a_model_of_two_inputs_and_three_outputs() {
    answers_are_the_whole_models("two_digit_sum", &[&["/Relu_2_output_0"]]);
}

#[test]
fn several_values_cross_where_connections_skip() {
    answers_are_the_whole_models(
        "tiny_unet_denoise",
        &[&[
            "/e1/e1.1/Relu_output_0",
            "/e2/e2.1/Relu_output_0",
            "/m/m.1/Relu_output_0",
        ]],
    );
}

#[test]
fn three_stages_in_a_chain() {
    answers_are_the_whole_models("lenet5", &[&["/MaxPool_output_0"], &["/Relu_2_output_0"]]);
}
