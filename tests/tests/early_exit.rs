//! Early exits: found from the structure, measured on labelled digits, cut so that each exit belongs to a part.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use kerf_tests::{fail, fixture, kerf, kerf_stage, model, python, succeed};
use kerf_wire::manifest::{ExitMeasure, Manifest};
use serde_json::Value;

#[test]
fn the_threshold_of_the_fixture_gives_its_known_exit_rate_and_accuracy() {
    let digits = fixture("images/digits");
    let labels = fixture("images/digits/labels.csv");
    let arguments = ["--scale", "255", "--threshold", "0.5", "--json", "--data"];
    let out = succeed(
        kerf()
            .arg("exits")
            .arg(model("branchy_lenet"))
            .args(arguments)
            .arg(&digits)
            .arg("--labels")
            .arg(&labels),
    );
    let report: Value = serde_json::from_str(&out).unwrap();
    let exit = &report["exits"][0];
    assert_eq!(exit["output"], "exit1_logits");
    let measured = &exit["measured"];
    assert_eq!(measured["inputs"], 200);
    let point = measured["curve"].as_array().unwrap().last().unwrap();
    // The judge: the same 200 digits through ONNX Runtime and NumPy's own entropy.
    let Some(mut python) = python() else { return };
    let judge = "import sys, json, csv, os, numpy as np, onnxruntime as o\n\
        from PIL import Image\n\
        rows = list(csv.DictReader(open(sys.argv[2] + '/labels.csv')))\n\
        x = np.stack([np.asarray(Image.open(os.path.join(sys.argv[2], r['file'])).convert('L'), 'float32') / 255 for r in rows])[:, None]\n\
        y = np.array([int(r['label']) for r in rows])\n\
        a, b = o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']).run(['exit1_logits', 'final_logits'], {'input': x})\n\
        p = np.exp(a - a.max(1, keepdims=True)); p /= p.sum(1, keepdims=True)\n\
        leave = -(p * np.log(np.maximum(p, 1e-30))).sum(1) <= 0.5\n\
        print(json.dumps([float(leave.mean()), float((np.where(leave, a.argmax(1), b.argmax(1)) == y).mean())]))";
    let judged = succeed(python.args(["-c", judge]).arg(model("branchy_lenet")).arg(&digits));
    let judged: Vec<f64> = serde_json::from_str(judged.trim()).unwrap();
    let ours = ["exit_rate", "accuracy"].map(|key| point[key].as_f64().unwrap());
    for (ours, judged) in ours.iter().zip(&judged) {
        assert!((ours - judged).abs() < 1e-9, "{point} {judged:?}");
    }
    // 2,000 digits gave 89.5 % and 98.15 %; these are 200 of them.
    assert!((ours[0] - 0.895).abs() < 0.06 && ours[1] > 0.95, "{point}");
}

#[test]
fn a_split_at_an_exit_says_which_part_it_belongs_to_and_when_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    let arguments = [
        "--exit",
        "exit1_logits",
        "--exit",
        "final_logits",
        "--exit-policy",
        "entropy:0.5",
        "-o",
    ];
    succeed(
        kerf()
            .arg("split")
            .arg(model("branchy_lenet"))
            .args(arguments)
            .arg(&bundle),
    );
    let manifest = Manifest::parse(&std::fs::read(bundle.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest.parts.len(), 2);
    let exit = manifest
        .exits
        .iter()
        .find(|exit| exit.output == "exit1_logits")
        .unwrap();
    assert_eq!(exit.part, 0);
    assert_eq!(exit.policy.unwrap().measure, ExitMeasure::Entropy);
    assert!(manifest.parts[0].outputs.contains(&"exit1_logits".to_owned()));
    assert!(manifest.parts[1].outputs.contains(&"final_logits".to_owned()));
    succeed(
        kerf()
            .arg("verify")
            .arg(&bundle)
            .arg("--model")
            .arg(model("branchy_lenet"))
            .args(["--runs", "2", "--dim", "N=1"]),
    );
}

#[test]
fn each_exit_taken_equals_the_whole_models_output_there() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, first) = (model("branchy_lenet"), fixture("images/digits/d000.png"));
    let input = dir.path().join("input.npz");
    succeed(
        kerf()
            .arg("input")
            .arg(first)
            .arg("--like")
            .arg(&whole)
            .args(["--scale", "255", "-o"])
            .arg(&input),
    );
    let answer = |out: &str| -> Value { serde_json::from_str(out.lines().last().unwrap()).unwrap() };
    let expected = answer(&succeed(
        kerf_stage()
            .args(["once", "--model"])
            .arg(&whole)
            .arg("--input")
            .arg(&input),
    ));
    // A threshold that every input meets, and one that none meets.
    for (threshold, output) in [("10", "exit1_logits"), ("0", "final_logits")] {
        let (bundle, head) = (dir.path().join(output), dir.path().join(format!("{output}.npz")));
        let rule = format!("entropy:{threshold}");
        let arguments = [
            "--exit",
            "exit1_logits",
            "--exit",
            "final_logits",
            "--exit-policy",
            &rule,
            "-o",
        ];
        succeed(kerf().arg("split").arg(&whole).args(arguments).arg(&bundle));
        let once = |part: &str| {
            let mut command = kerf_stage();
            command.arg("once").arg("--bundle").arg(&bundle).args(["--part", part]);
            command
        };
        let said = succeed(once("0").arg("--input").arg(&input).arg("--output").arg(&head));
        let got = if threshold == "10" {
            assert!(!head.exists(), "an answered input goes no further");
            let got = answer(&said);
            assert_eq!(got["exit"], output);
            got
        } else {
            answer(&succeed(once("1").arg("--input").arg(&head)))
        };
        let find = |of: &Value| {
            let outputs = of["outputs"].as_array().unwrap();
            outputs
                .iter()
                .find(|o| o["name"] == output)
                .unwrap_or_else(|| panic!("{of}"))["data"]
                .clone()
        };
        let numbers =
            |data: Value| -> Vec<f64> { data.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
        let (got, expected) = (numbers(find(&got)), numbers(find(&expected)));
        let most = got
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(got.len() == 10 && most < 1e-4, "{output}: {got:?} {expected:?}");
    }
}

#[test]
fn what_is_no_exit_is_said() {
    let one = fail(kerf().arg("exits").arg(model("lenet5")), 11);
    assert!(one.contains("one output"), "{one}");
    let last = fail(
        kerf()
            .args(["exits", "--exit", "final_logits"])
            .arg(model("branchy_lenet")),
        11,
    );
    assert!(last.contains("final_logits"), "{last}");
    let none = fail(kerf().args(["exits", "--exit", "nope"]).arg(model("branchy_lenet")), 11);
    assert!(none.contains("exit1_logits"), "{none}");
}
