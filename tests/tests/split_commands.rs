//! Promise: `kerf split` in every form, and errors in one line with their exit codes, nothing half-written left behind.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};

use kerf_tests::judge::{Job, judge};
use kerf_tests::{fail, kerf, kerf_stage, model, python, succeed};
use serde_json::Value;

fn job(name: &str, bundles: Vec<PathBuf>) -> Job {
    Job {
        model: model(name),
        inputs: Some(model(name).with_extension("npz")),
        bundles,
    }
}

#[test]
fn a_set_holds_every_cut_and_its_weights_once() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    succeed(
        kerf()
            .arg("split")
            .arg(model("resnet8_digits"))
            .arg("--all")
            .arg("-o")
            .arg(&set),
    );
    let list: Value = serde_json::from_slice(&std::fs::read(set.join("set.json")).unwrap()).unwrap();
    let cuts = list["cuts"].as_array().unwrap();
    assert_eq!(cuts.len(), 10);
    let weights = std::fs::metadata(set.join("weights.bin")).unwrap().len();
    let parts = std::fs::read_dir(&set).unwrap().map(|e| e.unwrap());
    let onnx = parts.filter(|e| e.path().extension().is_some_and(|x| x == "onnx"));
    let most = onnx.map(|e| e.metadata().unwrap().len()).max().unwrap();
    assert!(10 * most < weights, "a part has {most} bytes, the weights {weights}");
    let manifests = cuts.iter().map(|c| set.join(c["manifest"].as_str().unwrap())).collect();
    judge(&[job("resnet8_digits", manifests)], 1e-4);
    let said = succeed(kerf().arg("verify").arg(&set));
    assert_eq!(said.matches("equal").count(), 10, "{said}");
    let shown = succeed(kerf().arg("show").arg(&set));
    assert_eq!(shown.lines().count(), 11, "{shown}");
    for cut in cuts {
        assert!(shown.contains(cut["manifest"].as_str().unwrap()), "{shown}");
    }
    // What takes one bundle says what to name.
    let said = fail(kerf().arg("run").arg(&set).arg("--input").arg("x.npz"), 2);
    assert!(said.contains("manifest-ID.json"), "{said}");
}

#[test]
fn exits_are_found_from_the_graph() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    let split = [
        "--exit",
        "final_logits",
        "--exit",
        "exit1_logits",
        "--exit-policy",
        "entropy:0.5",
        "-o",
    ];
    succeed(kerf().arg("split").arg(model("branchy_lenet")).args(split).arg(&bundle));
    let manifest: Value = serde_json::from_slice(&std::fs::read(bundle.join("manifest.json")).unwrap()).unwrap();
    let part_of = |output: &str| {
        let exits = manifest["exits"].as_array().unwrap();
        exits.iter().find(|e| e["output"] == output).unwrap()["part"].as_u64()
    };
    assert_eq!((part_of("exit1_logits"), part_of("final_logits")), (Some(0), Some(1)));
    judge(&[job("branchy_lenet", vec![bundle])], 1e-4);
    let files = dir.path().join("files");
    let split = [
        "--exit",
        "exit1_logits",
        "--exit",
        "final_logits",
        "--layout",
        "reference",
        "-o",
    ];
    succeed(kerf().arg("split").arg(model("branchy_lenet")).args(split).arg(&files));
    for file in ["ee_base_model.onnx", "ee_exit1_logits.onnx", "ee_final_logits.onnx"] {
        assert!(files.join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn the_reference_layout_has_its_folders() {
    let dir = tempfile::tempdir().unwrap();
    let all = dir.path().join("all");
    succeed(
        kerf()
            .arg("split")
            .arg(model("lenet5"))
            .args(["--all", "--layout", "reference", "-o"])
            .arg(&all),
    );
    let half = all.join("split_0_on_-c1-Conv_output_0");
    assert!(half.join("first_half.onnx").is_file() && half.join("second_half.onnx").is_file());
}

/// Reads `.npz` files with NumPy and gives the largest relative difference of the arrays `name`.
fn difference(a: &Path, b: &Path, name: &str) -> Option<f64> {
    let script = "import sys, numpy as np\na, b = (np.load(f) for f in sys.argv[1:3])\nx = a[sys.argv[3]]\n\
                  y = b['out_0'] if 'out_0' in b else b[sys.argv[3]]\nprint(np.abs(x - y).max() / np.abs(y).max())";
    let text = succeed(python()?.args(["-c", script]).arg(a).arg(b).arg(name));
    text.trim().parse().ok()
}

#[test]
fn three_parts_by_files_alone_equal_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    let at = ["--at", "/MaxPool_output_0", "--at", "/Relu_2_output_0", "-o"];
    succeed(kerf().arg("split").arg(model("lenet5")).args(at).arg(&bundle));
    // One image with its known answer, and a batch of all digits with what ONNX Runtime gives for it.
    let one = model("lenet5").with_extension("npz");
    let (batch, expected) = (dir.path().join("batch.npz"), dir.path().join("expected.npz"));
    let mut digits = kerf();
    digits.arg("input").arg(kerf_tests::fixture("images/digits"));
    digits.arg("--like").arg(model("lenet5")).args(["--scale", "255", "-o"]);
    succeed(digits.arg(&batch));
    let script = "import sys, numpy as np, onnxruntime as o\n\
                  x = next(iter(np.load(sys.argv[2]).values()))\n\
                  assert len(x) > 100, x.shape\n\
                  s = o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])\n\
                  np.savez(sys.argv[3], out_0=s.run(None, {s.get_inputs()[0].name: x})[0])";
    let Some(mut judge) = python() else { return };
    succeed(
        judge
            .args(["-c", script])
            .arg(model("lenet5"))
            .arg(&batch)
            .arg(&expected),
    );
    for (name, input, expected) in [("one", &one, &one), ("batch", &batch, &expected)] {
        let mut input = input.clone();
        for part in 0..3 {
            let output = dir.path().join(format!("{name}{part}.npz"));
            let mut once = kerf_stage();
            once.arg("once")
                .arg("--bundle")
                .arg(&bundle)
                .args(["--part", &part.to_string()]);
            succeed(once.arg("--input").arg(&input).arg("--output").arg(&output));
            input = output;
        }
        let difference = difference(&input, expected, "logits").unwrap();
        assert!(difference <= 1e-4, "{name}: {difference}");
    }
}

#[test]
fn run_names_what_is_on_the_photos() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    let mut split = kerf();
    split
        .arg("split")
        .arg(model("efficientnet_lite0"))
        .args(["--at", "/_blocks.8/_expand_conv/Conv_output_0"]);
    split.args(["--colour", "rgb"]).args(kerf_tests::EFFICIENTNET_IMAGE);
    split
        .arg("--labels")
        .arg(kerf_tests::fixture("models/imagenet_labels.txt"));
    succeed(split.arg("-o").arg(&bundle));
    let photos = kerf_tests::fixture("images/photos");
    let said = succeed(kerf().arg("run").arg(&bundle).arg("--input").arg(&photos));
    for (photo, word) in [("chelsea", "cat"), ("coffee", "espresso"), ("rocket", "missile")] {
        let line = said.lines().find(|line| line.contains(photo)).expect("a line a photo");
        let result: Value = serde_json::from_str(line).expect("JSON");
        let label = result["top"][0]["label"].as_str().unwrap().to_lowercase();
        assert!(label.contains(word), "{photo}: {label}");
    }
}

#[test]
fn errors_are_one_line_with_their_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("bundle");
    let cases: [(&str, &[&str], i32, &str); 6] = [
        ("/nonexistent/m.onnx", &[], 2, "no such file"),
        ("lenet5", &["--at", "/Relu_9_output_0"], 2, "/Relu_1_output_0"),
        ("resnet8_digits", &["--at", "/r/r.0/Relu_output_0"], 11, "is missing"),
        ("lenet5", &["--at", "logits"], 11, "nothing runs behind"),
        (
            "lenet5",
            &["--at", "/Relu_2_output_0", "--at", "/Relu_output_0"],
            11,
            "does not lie behind",
        ),
        ("node_loop11", &["--exit", "nothing"], 2, "no value"),
    ];
    for (name, arguments, code, says) in cases {
        let file = if name.starts_with('/') {
            PathBuf::from(name)
        } else {
            model(name)
        };
        let stderr = fail(kerf().arg("split").arg(file).args(arguments).arg("-o").arg(&out), code);
        assert!(stderr.contains(says) && stderr.lines().count() == 1, "{name}: {stderr}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert!(left.is_empty(), "{name} left {left:?}");
    }
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    fail(kerf().arg("split").arg(model("lenet5")).arg("-o").arg(dir.path()), 2);
    assert!(dir.path().join("thesis.txt").is_file());
}

#[test]
fn verify_finds_a_part_that_differs() {
    let dir = tempfile::tempdir().unwrap();
    let (right, wrong) = (dir.path().join("right"), dir.path().join("wrong"));
    for (out, name) in [(&right, "lenet5"), (&wrong, "lenet5_op21")] {
        succeed(
            kerf()
                .arg("split")
                .arg(model(name))
                .args(["--at", "/Relu_2_output_0", "-o"])
                .arg(out),
        );
    }
    succeed(kerf().arg("verify").arg(&right));
    let proven: Value = serde_json::from_slice(&std::fs::read(right.join("manifest.json")).unwrap()).unwrap();
    assert!(
        proven["proofs"].as_array().is_some_and(|p| !p.is_empty()),
        "no proof was written"
    );
    // Another weight in the tail, with the digest that belongs to it: only running it shows the difference.
    let part = right.join("part-1.onnx");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x40);
    let text = std::fs::read_to_string(right.join("manifest.json")).unwrap();
    let before = kerf_runtime::bundle::digest(&std::fs::read(&part).unwrap()).to_string();
    let after = kerf_runtime::bundle::digest(&bytes).to_string();
    std::fs::write(&part, &bytes).unwrap();
    std::fs::write(right.join("manifest.json"), text.replace(&before, &after)).unwrap();
    let stderr = fail(kerf().arg("verify").arg(&right), 12);
    assert!(stderr.contains("differ"), "{stderr}");
}
