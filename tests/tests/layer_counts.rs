//! Promise: `kerf layers` counts parameters and MACs as others do, and its JSON keeps its keys.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test says what failed by panicking"
)]

use kerf_tests::{kerf, model, python, succeed};
use serde_json::Value;

/// Float models that onnx-tool can count. In QDQ models it counts the dequantising of constants too, which engines do
/// once at load and Kerf therefore not at all.
const COUNTED: [&str; 13] = [
    "branchy_lenet",
    "efficientnet_lite0",
    "lenet5",
    "lenet5_op21",
    "light_densenet121",
    "light_resnet50",
    "light_squeezenet",
    "lstm_digits",
    "mobilenet_v2_160_dogs",
    "mobilenet_v2_tiny_digits",
    "resnet8_digits",
    "tiny_unet_denoise",
    "tiny_vit_digits",
];

fn layers(name: &str) -> Vec<Value> {
    let text = succeed(kerf().arg("layers").arg(model(name)).arg("--json"));
    let mut document: Value = serde_json::from_str(&text).expect("--json prints JSON");
    serde_json::from_value(document["values"].take()).expect("a list of values")
}

#[test]
fn macs_are_those_of_onnx_tool() {
    let Some(mut python) = python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/judges/counts.py");
    let text = succeed(python.arg(script).args(COUNTED.map(model)));
    let counts: Value = serde_json::from_str(&text).expect("the judge prints JSON");
    for name in COUNTED {
        let want = counts[name].as_f64().expect("a count a model");
        let got: f64 = layers(name)
            .iter()
            .map(|v| v["macs"].as_f64().expect("known shapes"))
            .sum();
        assert!(
            (got - want).abs() <= 0.01 * want,
            "{name}: {got} MACs, onnx-tool says {want}"
        );
    }
}

#[test]
fn params_are_the_elements_of_the_float_initialisers_in_use() {
    let Some(mut python) = python() else { return };
    // The specification's words, in the onnx package's own terms.
    let script = "
import json, sys, onnx
counts = {}
for path in sys.argv[1:]:
    graph = onnx.load(path).graph
    used = {name for node in graph.node for name in node.input}
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
    size = lambda t: onnx.numpy_helper.to_array(t).size
    counts[path] = sum(size(t) for t in graph.initializer if t.name in used and t.data_type in floats)
print(json.dumps(counts))
";
    let names = [
        "lenet5",
        "efficientnet_lite0",
        "resnet8_digits_qdq_int8",
        "tiny_vit_digits",
        "lenet5_extdata",
    ];
    let text = succeed(python.arg("-c").arg(script).args(names.map(model)));
    let counts: Value = serde_json::from_str(&text).expect("the judge prints JSON");
    for name in names {
        let want = counts[model(name).to_str().unwrap()].as_u64().expect("a count a model");
        let got: u64 = layers(name)
            .iter()
            .map(|v| v["params"].as_u64().expect("a number"))
            .sum();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn the_keys_are_a_promise() {
    for value in layers("resnet8_digits") {
        for key in ["name", "op", "shape", "bytes", "params", "macs", "legal"] {
            assert!(value.get(key).is_some(), "{key} is missing in {value}");
        }
    }
}
