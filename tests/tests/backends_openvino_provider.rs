//! Promise: every backend gives the same answers; here ONNX Runtime with OpenVINO's execution provider.
//!
//! A file of its own, for one process has one ONNX Runtime, and this is another than that of `backends.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use kerf_runtime::backend::LoadOptions;
use kerf_tests::conformance::{self, Case, Engine};
use kerf_tests::vendors;

/// What ONNX Runtime says where the provider leaves a node to the processor: its own fallback is switched off.
const LEFT: &str = "fallback to CPU EP has been explicitly disabled";

#[test]
fn openvinos_execution_provider_conforms() {
    let Some(library) = vendors::onnxruntime_openvino() else {
        return;
    };
    let engine = Engine {
        backend: "onnxruntime",
        options: LoadOptions {
            device: Some("OPENVINO:CPU".to_owned()),
            library: Some(library),
            ..LoadOptions::default()
        },
        tolerance: 1e-5,
        tolerance_int8: 1e-2,
        refuses: &[
            ("lenet5_dynq_int8", "acyclic"),
            ("lenet5_qlinearconv_int8", LEFT),
            ("lenet5_qoperator_int8", LEFT),
            ("lstm_scan_digits", LEFT),
            ("node_loop11", "openvino_ep"),
            ("node_range_int32_type_negative_delta_expanded", LEFT),
            ("node_scan9_sum", LEFT),
        ],
        // As OpenVINO itself: see `backends.rs`.
        wrong: &["light_squeezenet"],
    };
    conformance::says_what_it_is(&engine);
    let mut wholes = conformance::wholes();
    for (label, difference) in conformance::answers(&engine, &wholes) {
        println!("{:<12} {label:<44} {difference:.1e}", engine.backend);
    }
    wholes.retain(|case| ["lenet5", "two_digit_sum", "resnet8_digits_qdq_int8"].contains(&case.label.as_str()));
    let [lenet, .., two_inputs]: &[Case] = &wholes else {
        panic!("three fixtures are gone");
    };
    conformance::wrong_calls(&engine, lenet);
    conformance::wrong_calls(&engine, two_inputs);
    conformance::open_batch(&engine, lenet);
    conformance::several_sessions(&engine, &wholes);
}

#[test]
fn a_device_that_openvinos_provider_would_replace_without_a_word_is_refused() {
    let Some(library) = vendors::onnxruntime_openvino() else {
        return;
    };
    for device in ["OPENVINO:GPU", "OPENVINO:MYRIAD", "OPENVINO:AUTO"] {
        let mut once = kerf_tests::kerf_stage();
        once.args(["-q", "once", "--model"]).arg(kerf_tests::model("lenet5"));
        once.arg("--input").arg(kerf_tests::fixture("models/lenet5.npz"));
        once.args(["--backend", "onnxruntime", "--backend-device", device, "--library"])
            .arg(&library);
        let output = once.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(10 | 30)),
            "{device}: {:?} {said}",
            output.status
        );
        assert!(output.stdout.is_empty(), "{device} answered");
    }
}
