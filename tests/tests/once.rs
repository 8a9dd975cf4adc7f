//! Promise: `kerf-stage once` answers from files what ONNX Runtime answers, part by part.
//!
//! The judge: the outputs that ONNX Runtime 1.32 gave (`NAME.npz` beside each model).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};

use kerf_runtime::source::npz::Archive;
use kerf_runtime::tensor::Tensor;
use kerf_tests::{fail, fixture, kerf, kerf_stage, model, succeed, with_self_test};
use kerf_wire::DType;

/// Models that tract must refuse, each with a word of the reason.
const REFUSED: &[(&str, &str)] = &[
    ("lenet5_qoperator_int8", "QGemm"),
    ("mobilenet_v2_160_dogs_qdq_softmax_int8", "Softmax"),
    ("repro_softmax_qdq_both", "Softmax"),
    ("node_loop11", "Loop"),
    ("node_range_int32_type_negative_delta_expanded", "Loop"),
];

fn arrays(path: &Path) -> Vec<(String, Tensor)> {
    let bytes = std::fs::read(path).unwrap();
    Archive::from_bytes(&bytes).unwrap().read_all().unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    match tensor.dtype() {
        DType::F32 => tensor.as_slice::<f32>().iter().map(|x| f64::from(*x)).collect(),
        DType::I64 => tensor.as_slice::<i64>().iter().map(|x| *x as f64).collect(),
        DType::I32 => tensor.as_slice::<i32>().iter().map(|x| f64::from(*x)).collect(),
        DType::U8 | DType::Bool => tensor.bytes().iter().map(|x| f64::from(*x)).collect(),
        other => panic!("no fixture has an output of {other}"),
    }
}

/// max|a − b| / max|b|
fn difference(got: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(got.shape(), expected.shape());
    let (a, b) = (numbers(got), numbers(expected));
    let largest = b.iter().fold(1e-30_f64, |max, x| max.max(x.abs()));
    a.iter().zip(&b).fold(0.0_f64, |max, (a, b)| max.max((a - b).abs())) / largest
}

fn stems() -> Vec<String> {
    let files = std::fs::read_dir(fixture("models")).unwrap();
    let stem = |path: PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(".onnx")?.to_owned());
    let mut stems: Vec<String> = files.filter_map(|f| stem(f.unwrap().path())).collect();
    stems.sort();
    stems
}

#[test]
fn every_fixture_answers_as_onnx_runtime_did_or_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for stem in stems() {
        let known = fixture(&format!("models/{stem}.npz"));
        let output = dir.path().join(format!("{stem}.npz"));
        let mut once = kerf_stage();
        once.args(["-q", "once", "--model"]).arg(model(&stem));
        once.arg("--input").arg(&known).arg("--output").arg(&output);
        if let Some((_, word)) = REFUSED.iter().find(|(name, _)| *name == stem) {
            let said = fail(&mut once, 10);
            assert!(said.contains(word), "{stem}: {said}");
            assert!(!output.exists());
            continue;
        }
        succeed(&mut once);
        let known = arrays(&known);
        for (index, (name, got)) in arrays(&output).iter().enumerate() {
            let expected = known.iter().find(|(n, _)| *n == format!("out_{index}"));
            let relative = difference(got, &expected.expect("every output is known").1);
            assert!(relative <= 1e-4, "{stem} {name}: {relative:e}");
            compared += 1;
        }
    }
    assert!(compared >= 25, "only {compared} outputs were compared");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count() + REFUSED.len(),
        stems().len()
    );
}

#[test]
fn a_head_and_a_tail_joined_by_files_answer_as_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    let values = succeed(kerf().arg("layers").arg(model("resnet8_digits")).arg("--json"));
    let values: serde_json::Value = serde_json::from_str(&values).unwrap();
    let legal = values["values"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v["legal"] == true);
    let names: Vec<&str> = legal.map(|v| v["name"].as_str().unwrap()).collect();
    let cut = names[names.len() / 2];
    succeed(
        kerf()
            .arg("split")
            .arg(model("resnet8_digits"))
            .args(["--at", cut, "-o"])
            .arg(&bundle),
    );
    let known = fixture("models/resnet8_digits.npz");
    for ending in ["npz", "frame"] {
        let head = dir.path().join(format!("head.{ending}"));
        let answer = dir.path().join(format!("answer-{ending}.npz"));
        let part = |number: &str, input: &Path, output: &Path| {
            let mut once = kerf_stage();
            once.args(["-q", "once", "--part", number, "--bundle"]).arg(&bundle);
            once.arg("--input").arg(input).arg("--output").arg(output);
            once
        };
        succeed(&mut part("0", &known, &head));
        succeed(&mut part("1", &head, &answer));
        let expected = arrays(&known).into_iter().find(|(name, _)| name == "out_0").unwrap().1;
        let relative = difference(&arrays(&answer)[0].1, &expected);
        assert!(relative <= 1e-4, "{ending}: {relative:e}");
    }
    // The head's file is no frame for the head itself, and a part that is not there is named.
    let mut wrong = kerf_stage();
    wrong
        .args(["once", "--part", "7", "--bundle"])
        .arg(&bundle)
        .arg("--input")
        .arg(&known);
    assert!(fail(&mut wrong, 2).contains("no part 7"));
    let artifact = std::fs::read_dir(&bundle).unwrap().map(|f| f.unwrap().path());
    let artifact = artifact.filter(|f| f.file_name().unwrap().to_str().unwrap().starts_with("part-0"));
    for file in artifact {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let mut damaged = kerf_stage();
    damaged
        .args(["once", "--part", "0", "--bundle"])
        .arg(&bundle)
        .arg("--input")
        .arg(&known);
    assert!(fail(&mut damaged, 20).contains("SHA-256"));
}

#[test]
fn what_cannot_be_run_ends_with_its_code_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(model("lenet5")).unwrap();
    let cut_short = dir.path().join("cut.onnx");
    std::fs::write(&cut_short, &whole[..whole.len() / 2]).unwrap();
    let text = dir.path().join("text.onnx");
    std::fs::write(&text, "no model").unwrap();
    let known = fixture("models/lenet5.npz");
    let photo = fixture("images/photos/coffee.png");
    let missing = dir.path().join("missing.onnx");
    let lenet = model("lenet5");
    for (model, input, code) in [
        (&missing, &known, 2),
        (&cut_short, &known, 10),
        (&text, &known, 10),
        (&lenet, &photo, 2),
        (&lenet, &missing, 2),
        (&lenet, &fixture("models/efficientnet_lite0.npz"), 2),
    ] {
        let output = dir.path().join("out.npz");
        let mut once = kerf_stage();
        once.args(["-q", "once", "--model"]).arg(model);
        once.arg("--input").arg(input).arg("--output").arg(&output);
        let said = fail(&mut once, code);
        assert_eq!(said.lines().count(), 1, "one clear line: {said}");
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        2,
        "something was left behind"
    );
}

#[test]
fn a_backend_that_fails_the_bundles_self_test_never_answers() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    succeed(kerf().arg("split").arg(model("lenet5")).arg("-o").arg(&bundle));
    let file = fixture("models/lenet5.npz");
    let known = arrays(&file);
    let of = |name: &str| known.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let (input, right) = (of("in_0"), of("out_0"));
    let once = || {
        let mut once = kerf_stage();
        once.args(["-q", "once", "--bundle"])
            .arg(&bundle)
            .arg("--input")
            .arg(&file);
        once
    };
    with_self_test(&bundle, &[("input", &input), ("logits", &right)]);
    succeed(&mut once());
    let mut wrong = right.clone();
    wrong.as_slice_mut::<f32>()[3] += 0.1;
    with_self_test(&bundle, &[("input", &input), ("logits", &wrong)]);
    assert!(fail(&mut once(), 32).contains("logits"));
    with_self_test(&bundle, &[("logits", &right)]);
    fail(&mut once(), 20);
}

#[test]
fn the_form_that_is_prepared_offline_answers_as_the_model() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["lenet5", "resnet8_digits", "mobilenet_v2_tiny_digits"] {
        let bundle = dir.path().join(name);
        succeed(kerf().arg("split").arg(model(name)).arg("-o").arg(&bundle));
        let whole = kerf_runtime::bundle::open_model(&model(name)).unwrap();
        let prepared = kerf_runtime::backend::tract::to_nnef(&whole).unwrap();
        std::fs::write(bundle.join("part-0.nnef.tar"), &prepared).unwrap();
        let path = bundle.join("manifest.json");
        let mut manifest = kerf_wire::Manifest::parse(&std::fs::read(&path).unwrap()).unwrap();
        // Only this form is left: what answers is what was prepared.
        manifest.parts[0].artifacts = vec![kerf_wire::manifest::Artifact {
            file: "part-0.nnef.tar".into(),
            format: kerf_wire::manifest::Format::TractNnef,
            sha256: kerf_runtime::bundle::digest(&prepared),
            bytes: prepared.len() as u64,
            companions: Vec::new(),
            compiled_for: None,
            conversion: None,
        }];
        std::fs::write(path, manifest.to_json().unwrap()).unwrap();
        let (known, output) = (
            fixture(&format!("models/{name}.npz")),
            dir.path().join(format!("{name}.npz")),
        );
        let mut once = kerf_stage();
        once.args(["-q", "once", "--bundle"]).arg(&bundle);
        succeed(once.arg("--input").arg(&known).arg("--output").arg(&output));
        let expected = arrays(&known).into_iter().find(|(n, _)| n == "out_0").unwrap().1;
        let relative = difference(&arrays(&output)[0].1, &expected);
        assert!(relative <= 1e-4, "{name}: {relative:e}");
    }
}
