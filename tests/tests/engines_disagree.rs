//! Promise: an engine that answers wrongly is found before a board relies on it, by name: by `kerf verify` across engines, by
//! the bundle's self-test at every load, or at load where the pattern is known.
//!
//! The wrong answers are real ones: tract's of DequantizeLinear → Softmax → QuantizeLinear, OpenVINO 2026's of a Softmax over a
//! thousand equal values.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_splitter::onnx::proto::ModelProto;
use kerf_tests::{bundle_of, fail, fixture, kerf, kerf_stage, model, succeed, vendors, zoo};
use prost::Message as _;

/// `kerf` that finds the libraries of both vendors.
fn with_engines(onnxruntime: &Path, openvino: Option<&Path>) -> Command {
    let mut command = kerf();
    command.env("ORT_DYLIB_PATH", onnxruntime);
    match openvino {
        Some(library) => drop(command.env("KERF_OPENVINO_LIBRARY", library)),
        None => drop(command.env_remove("KERF_OPENVINO_LIBRARY")),
    }
    command
}

fn uncut(name: &str, folder: &Path) -> PathBuf {
    let bundle = folder.join(name);
    succeed(kerf().arg("split").arg(model(name)).arg("-o").arg(&bundle));
    bundle
}

#[test]
fn two_engines_are_compared_on_the_whole_and_on_the_parts() {
    let Some(onnxruntime) = vendors::onnxruntime() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle_of("resnet8_digits", dir.path());
    let said = succeed(
        with_engines(&onnxruntime, None)
            .arg("verify")
            .arg(&bundle)
            .arg("--json"),
    );
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    let comparisons = report["comparisons"].as_array().unwrap();
    // The wholes with each other, and the parts of each with both wholes.
    assert_eq!(comparisons.len(), 5, "{said}");
    assert!(comparisons.iter().all(|c| c["holds"] == true), "{said}");
    let across = comparisons.iter().filter(|c| c["whole"] != c["parts"]).count();
    assert_eq!(across, 3, "{said}");
    assert!(report["skipped"].as_array().unwrap().is_empty(), "{said}");
}

#[test]
fn what_tract_answers_wrongly_it_refuses_and_the_other_engine_proves() {
    let Some(onnxruntime) = vendors::onnxruntime() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let name = "mobilenet_v2_160_dogs_qdq_softmax_int8";
    let bundle = dir.path().join("bundle");
    let mut split = with_engines(&onnxruntime, None);
    split
        .args(["split", "--no-self-test", "-o"])
        .arg(&bundle)
        .arg(model(name));
    succeed(&mut split);
    let said = succeed(
        with_engines(&onnxruntime, None)
            .arg("verify")
            .arg(&bundle)
            .args(["--runs", "1"]),
    );
    let skipped = said.lines().find(|line| line.starts_with("skipped tract"));
    let skipped = skipped.unwrap_or_else(|| panic!("tract was not skipped:\n{said}"));
    assert!(skipped.contains("Softmax"), "{skipped}");
    assert!(said.contains("equal   parts on onnxruntime"), "{said}");
    // Asked for alone, it is refused by the node's name, not answered.
    let refused = fail(
        with_engines(&onnxruntime, None)
            .arg("verify")
            .arg(&bundle)
            .args(["--backend", "tract"]),
        10,
    );
    assert!(refused.contains("Softmax"), "{refused}");
}

/// `kerf verify` with ONNX Runtime on this bundle.
fn verify(onnxruntime: &Path, bundle: &Path) -> Command {
    let mut verify = with_engines(onnxruntime, None);
    verify.arg("verify").arg(bundle).arg("--no-proof");
    verify
}

#[test]
fn a_cut_through_what_an_engine_fuses_is_proven_as_written_and_within_the_models_own_rounding() {
    let Some(onnxruntime) = vendors::onnxruntime() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    // Between a Conv and the QuantizeLinear that ONNX Runtime fuses it with.
    let mut split = with_engines(&onnxruntime, None);
    split
        .args(["split", "--no-self-test", "--at", "Conv1_relu6", "-o"])
        .arg(&bundle);
    succeed(split.arg(model("mobilenet_v2_160_dogs_qdq_softmax_int8")));
    let said = succeed(verify(&onnxruntime, &bundle).arg("--json"));
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    let comparisons = report["comparisons"].as_array().unwrap();
    let of_parts = |written: bool| {
        let of = |c: &&serde_json::Value| {
            c["of_wholes"] == false && c["parts"].as_str().unwrap().ends_with("as written") == written
        };
        comparisons
            .iter()
            .find(of)
            .unwrap_or_else(|| panic!("no such comparison: {said}"))
    };
    assert!(
        of_parts(true)["difference_relative"].as_f64().unwrap() <= 1e-4,
        "{said}"
    );
    assert_eq!(of_parts(true)["allowed"], 0.0, "{said}");
    // As it runs it differs by steps of the output, 1/255 each: more than before was allowed, and less than is now.
    let (far, allowed) = (&of_parts(false)["difference_max"], &of_parts(false)["allowed"]);
    let steps = |difference: &serde_json::Value| difference.as_f64().unwrap() * 255.0;
    assert!(
        steps(far) > 0.9 && steps(far) <= steps(allowed) && steps(allowed) < 60.0,
        "{said}"
    );
    let noise = &report["quantised"][0];
    assert!((steps(&noise["step"]) - 1.0).abs() < 0.1, "{said}");
    let refused = fail(verify(&onnxruntime, &bundle).args(["--tolerance", "1e-4"]), 12);
    assert!(refused.contains("the parts on onnxruntime"), "{refused}");
}

#[test]
fn rounding_never_excuses_an_engine_that_is_wrong() {
    let Some(onnxruntime) = vendors::onnxruntime() else {
        return;
    };
    // tract drops the Identity, and what it then fuses it answers with a certain class 0; the pattern that it refuses at
    // load has none.
    let bytes = std::fs::read(model("repro_softmax_qdq_both")).unwrap();
    let mut whole = ModelProto::decode(bytes.as_slice()).unwrap();
    let nodes = &mut whole.graph.as_mut().unwrap().node;
    let at = nodes.iter().position(|node| node.op_type() == "Softmax").unwrap();
    let before = std::mem::replace(&mut nodes[at].input[0], "between".to_owned());
    nodes.insert(at, zoo::node("Identity", &[&before], &["between"]));
    let dir = tempfile::tempdir().unwrap();
    let (file, bundle) = (dir.path().join("softmax.onnx"), dir.path().join("bundle"));
    std::fs::write(&file, whole.encode_to_vec()).unwrap();
    let mut split = with_engines(&onnxruntime, None);
    succeed(split.args(["split", "--no-self-test", "-o"]).arg(&bundle).arg(&file));
    let said = fail(&mut verify(&onnxruntime, &bundle), 12);
    assert!(
        said.contains("tract") && said.contains("one of the engines is wrong"),
        "{said}"
    );
}

#[test]
fn an_engine_that_is_wrong_is_named_by_verify_and_refused_by_the_self_test() {
    let (Some(onnxruntime), Some(openvino)) = (vendors::onnxruntime(), vendors::openvino()) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let bundle = uncut("light_squeezenet", dir.path());
    let mut verify = with_engines(&onnxruntime, Some(&openvino));
    verify
        .arg("verify")
        .arg(&bundle)
        .args(["--backend", "onnxruntime", "--backend", "openvino"]);
    let said = fail(&mut verify, 12);
    assert!(said.contains("one of the engines is wrong"), "{said}");
    assert!(
        said.contains("onnxruntime 1.") && said.contains("openvino 2026"),
        "{said}"
    );
    // The stage itself needs no second engine: the bundle carries an answer.
    let mut once = kerf_stage();
    once.args(["-q", "once", "--bundle"]).arg(&bundle);
    once.arg("--input").arg(fixture("models/light_squeezenet.npz"));
    once.args(["--backend", "openvino", "--library"]).arg(&openvino);
    let said = fail(&mut once, 32);
    assert!(
        said.contains("backend openvino answers the self-test wrongly"),
        "{said}"
    );
    // And with a second engine in the list it steps down, and says so.
    let mut list = kerf_stage();
    list.args(["-q", "once", "--bundle"]).arg(&bundle);
    list.arg("--input").arg(fixture("models/light_squeezenet.npz"));
    list.args(["--backend", "openvino,tract", "--library"]).arg(&openvino);
    let result: serde_json::Value = serde_json::from_str(&succeed(&mut list)).unwrap();
    assert_eq!(result["hops"][0]["backend"], "tract");
    assert!(
        result["warnings"][0].as_str().unwrap().contains("self-test"),
        "{result}"
    );
}
