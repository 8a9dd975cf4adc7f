//! A manifest from outside is refused, by name of what is wrong, unless it holds together.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what failed by panicking"
)]

use kerf_wire::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError};
use kerf_wire::{CutId, Digest};
use serde_json::{Value, json};

fn manifest() -> Value {
    let digest = Digest::of(b"abc").to_string();
    let artifact = |file: &str| json!({"file": file, "format": "onnx", "sha256": digest, "bytes": 3});
    json!({
        "format": 1,
        "tool": "kerf 0.1.0",
        "model": {"name": "m", "sha256": digest, "bytes": 3, "inputs": ["in"], "outputs": ["out"]},
        "parts": [
            {"inputs": ["in"], "outputs": ["mid"], "artifacts": [artifact("part-0.onnx")]},
            {"inputs": ["mid"], "outputs": ["out"], "artifacts": [artifact("part-1.onnx")], "backends": ["tract"]}
        ],
        "cuts": [{"id": CutId::of(["mid"]).to_string(), "values": ["mid"], "codecs": {"mid": {"name": "f16"}}}],
        "values": {
            "in": {"dtype": "u8", "shape": ["N", 3, 32, 32]},
            "mid": {"dtype": "f32", "shape": [1, 8, 4, 4]},
            "out": {"dtype": "f32", "shape": [1, 10]}
        },
        "preprocess": {
            "input": "in", "colour": "rgb", "resize": "bicubic", "crop": {"kind": "centre", "fraction": 0.875},
            "width": 32, "height": 32, "mean": [127.0], "scale": [128.0, 128.0, 128.0], "layout": "nchw"
        },
        "exits": [{"output": "out", "part": 1, "policy": {"measure": "max-prob", "threshold": 0.9}}],
        "self_test": {"file": "self-test.npz", "sha256": digest, "bytes": 3, "tolerance": 1e-4}
    })
}

fn parse(document: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(document.to_string().as_bytes())
}

/// Sets one place of a good manifest and gives the refusal's text.
fn refusal(pointer: &str, value: Value) -> String {
    let mut document = manifest();
    if let Some(place) = document.pointer_mut(pointer) {
        *place = value;
    } else {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap();
        parent.as_object_mut().unwrap().insert(key.to_owned(), value);
    }
    match parse(&document) {
        Ok(_) => format!("{pointer}: was taken"),
        Err(why) => why.to_string(),
    }
}

#[test]
fn a_good_one_is_taken_and_written_as_it_was() {
    let read = parse(&manifest()).unwrap();
    let again = Manifest::parse(read.to_json().unwrap().as_bytes()).unwrap();
    assert_eq!(read, again);
    assert_eq!(serde_json::to_value(&read).unwrap()["cuts"], manifest()["cuts"]);
}

#[test]
fn another_format_is_named_before_anything_else_is_read() {
    let text = r#"{"format": 7, "tool": "kerf 9.0.0", "unheard": true}"#;
    let why = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(why.contains('7') && why.contains("kerf 9.0.0"), "{why}");
}

#[test]
fn file_names_cannot_leave_the_folder() {
    for bad in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/etc/passwd",
        ".hidden",
        "C:x",
        "a\0b",
        "*/_ORT_MEM_ADDR_/*",
        "é.onnx",
    ] {
        for place in ["/parts/0/artifacts/0/file", "/self_test/file"] {
            let why = refusal(place, json!(bad));
            assert!(why.contains("is not a plain name"), "{bad:?} at {place}: {why}");
        }
        let digest = Digest::of(b"").to_string();
        let companion = json!([{"file": bad, "sha256": digest, "bytes": 1}]);
        let why = refusal("/parts/0/artifacts/0/companions", companion);
        assert!(why.contains("is not a plain name"), "{bad:?} as a companion: {why}");
    }
}

#[test]
fn what_does_not_hold_together_is_refused_by_name() {
    let other_cut = CutId::of(["else"]).to_string();
    for (place, value, expected) in [
        ("/parts", json!([]), "0 parts"),
        ("/cuts", json!([]), "0 cuts for 2 parts"),
        ("/cuts/0/id", json!("xyz"), "is not 32 hexadecimal digits"),
        ("/cuts/0/id", json!(other_cut), "is not that of its values"),
        ("/cuts/0/values", json!([]), "crosses 0 values"),
        ("/cuts/0/values", json!(["mid", "mid"]), "names \"mid\" twice"),
        ("/cuts/0/codecs", json!({"out": {"name": "f16"}}), "does not cross"),
        ("/parts/1/inputs", json!(["in"]), "does not reach it"),
        ("/parts/1/inputs", json!(["mid", "mid"]), "names \"mid\" twice"),
        ("/parts/1/outputs", json!(["mid"]), "should leave part 1"),
        ("/parts/0/outputs", json!(["out"]), "should leave part 0"),
        ("/model/outputs", json!(["nowhere"]), "is used and not described"),
        ("/values/mid/shape", json!([1, 1, 1, 1, 1, 1, 1, 1, 1]), "has rank 9"),
        ("/preprocess/input", json!("mid"), "which is no input"),
        ("/preprocess/width", json!(0), "0 × 32 pixels"),
        ("/preprocess/mean", json!([1.0, 2.0]), "2 numbers for mean"),
        ("/preprocess/scale", json!([0.0]), "scale of 0"),
        ("/preprocess/crop/fraction", json!(1.5), "crop fraction is 1.5"),
        ("/exits/0/part", json!(0), "is not made by part 0"),
        ("/exits/0/policy/threshold", json!(-1.0), "exit threshold is -1"),
        ("/self_test/tolerance", json!(-1e-9), "self-test tolerance"),
        ("/model/sha256", json!("00"), "64 hexadecimal digits"),
        ("/values/mid/dtype", json!("f33"), "f33"),
        ("/parts/0/artifacts/0/format", json!("exe"), "exe"),
        ("/surprise", json!(1), "surprise"),
    ] {
        let why = refusal(place, value);
        assert!(why.contains(expected), "{place}: expected {expected:?} in {why:?}");
    }
}

#[test]
fn counts_are_bounded() {
    let part = manifest()["parts"][0].clone();
    let why = refusal("/parts", Value::Array(vec![part; 9]));
    assert!(why.contains("9 parts, expected 1 to 8"), "{why}");
    let value = manifest()["values"]["mid"].clone();
    let many: serde_json::Map<_, _> = (0..4097).map(|i| (format!("v{i}"), value.clone())).collect();
    let why = refusal("/values", Value::Object(many));
    assert!(why.contains("4097 values, the limit is 4096"), "{why}");
    let names: Vec<_> = (0..65).map(|i| format!("v{i}")).collect();
    let mut document = manifest();
    for name in &names {
        document["values"][name] = value.clone();
    }
    document["cuts"][0]["values"] = json!(names);
    let why = parse(&document).unwrap_err().to_string();
    assert!(why.contains("crosses 65 values"), "{why}");
    let long = vec![b' '; MAX_MANIFEST_BYTES + 1];
    assert!(matches!(Manifest::parse(&long), Err(ManifestError::TooLong { .. })));
}

#[test]
fn every_prefix_is_refused() {
    let text = manifest().to_string();
    for length in 0..text.len() {
        assert!(
            Manifest::parse(&text.as_bytes()[..length]).is_err(),
            "prefix of {length} bytes was taken"
        );
    }
}

#[test]
fn a_conversion_must_bind_every_value_once_in_an_order_of_axes() {
    let conversion =
        |inputs: Value| json!({"tool": "onnx2tf 1", "precision": "int8", "tolerance": 0.1, "inputs": inputs});
    let place = "/parts/0/artifacts/0/conversion";
    let nhwc = json!([{"value": "in", "order": [0, 2, 3, 1]}]);
    let mut good = manifest();
    good["parts"][0]["artifacts"][0]["conversion"] = conversion(nhwc);
    parse(&good).unwrap();
    let twice = json!([{"value": "in", "order": [0, 2, 2, 1]}]);
    assert!(refusal(place, conversion(twice)).contains("no order of axes"));
    let other = json!([{"value": "mid"}]);
    assert!(refusal(place, conversion(other)).contains("expected [\"in\"]"));
    let negative = json!({"tool": "t", "precision": "f16", "tolerance": -1.0});
    assert!(refusal(place, negative).contains("tolerance"));
    let unknown = json!({"tool": "t", "precision": "f8"});
    assert!(refusal(place, unknown).contains("f8"));
}
