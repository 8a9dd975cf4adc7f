//! Promise: every backend gives the same answers, and refuses what it cannot do instead of doing something else.
//!
//! The judge is ONNX Runtime in Python: the answers stored beside the fixtures, and those it gives here for their heads.
//! One suite (`kerf_tests::conformance`) runs over every engine that this machine can load.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::time::Duration;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::broker::Broker as _;
use kerf_runtime::broker::mqtt::{MqttBroker, MqttConfig};
use kerf_tests::conformance::{self, Case, Engine};
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::{Running, eventually};
use kerf_tests::{fail, fixture, kerf, kerf_stage, model, stages, succeed, vendors};
use kerf_wire::manifest::Format;

/// Heads that every engine runs: float, with skips, of several values, int8.
const HEADS: &[&str] = &[
    "lenet5",
    "resnet8_digits",
    "tiny_unet_denoise",
    "mobilenet_v2_tiny_digits",
    "resnet8_digits_qdq_int8",
];

fn tract() -> Engine {
    Engine {
        backend: "tract",
        options: LoadOptions::default(),
        tolerance: 1e-4,
        tolerance_int8: 1e-4,
        refuses: &[
            ("lenet5_qoperator_int8", "QGemm"),
            ("mobilenet_v2_160_dogs_qdq_softmax_int8", "Softmax"),
            ("repro_softmax_qdq_both", "Softmax"),
            ("node_loop11", "Loop"),
            ("node_range_int32_type_negative_delta_expanded", "Loop"),
        ],
        wrong: &[],
    }
}

fn onnxruntime() -> Option<Engine> {
    Some(Engine {
        backend: "onnxruntime",
        options: LoadOptions {
            library: Some(vendors::onnxruntime()?),
            ..LoadOptions::default()
        },
        tolerance: 1e-6,
        tolerance_int8: 1e-6,
        refuses: &[],
        wrong: &[],
    })
}

/// OpenVINO runs int8 models with kernels of its own: up to two steps of an 8-bit scale off, 1/255 each.
fn openvino() -> Option<Engine> {
    Some(Engine {
        backend: "openvino",
        options: LoadOptions {
            library: Some(vendors::openvino()?),
            ..LoadOptions::default()
        },
        tolerance: 1e-5,
        tolerance_int8: 1e-2,
        refuses: &[("lenet5_qoperator_int8", "QGemm")],
        // Softmax over 1000 equal values: 1/992 each, and 0 for the last eight; in Python too.
        wrong: &["light_squeezenet"],
    })
}

/// OpenVINO 2022.2, which drives the Neural Compute Stick, on the processor.
fn openvino_2022() -> Option<Engine> {
    Some(Engine {
        backend: "openvino-myriad",
        options: LoadOptions {
            device: Some("CPU".to_owned()),
            library: Some(vendors::openvino_2022()?),
            ..LoadOptions::default()
        },
        tolerance: 1e-5,
        tolerance_int8: 1e-2,
        refuses: &[],
        wrong: &[],
    })
}

/// Everything that the suite asks of an engine that loads ONNX.
fn conforms(engine: &Engine) {
    conformance::says_what_it_is(engine);
    let mut wholes = conformance::wholes();
    for (label, difference) in conformance::answers(engine, &wholes) {
        println!("{:<12} {label:<44} {difference:.1e}", engine.backend);
    }
    let dir = tempfile::tempdir().unwrap();
    if let Some(heads) = conformance::heads(HEADS, dir.path(), engine.backend()) {
        for (label, difference) in conformance::answers(engine, &heads) {
            println!("{:<12} {label:<44} {difference:.1e}", engine.backend);
        }
    }
    let timed = wholes.iter().find(|case| case.label == "mobilenet_v2_160_dogs");
    let (share, named) = conformance::kernel_times(engine, timed.unwrap()).expect("it times its kernels");
    println!(
        "{:<12} kernels are {share:.2} of a run, {named:.2} of that by name",
        engine.backend
    );
    wholes.retain(|case| ["lenet5", "two_digit_sum", "resnet8_digits_qdq_int8"].contains(&case.label.as_str()));
    let [lenet, .., two_inputs]: &[Case] = &wholes else {
        panic!("three fixtures are gone");
    };
    conformance::wrong_calls(engine, lenet);
    conformance::wrong_calls(engine, two_inputs);
    conformance::open_batch(engine, lenet);
    conformance::several_sessions(engine, &wholes);
    conformance::refused_options(engine, lenet);
}

#[test]
fn tract_conforms() {
    conforms(&tract());
}

#[test]
fn tract_on_two_threads_conforms() {
    let mut engine = tract();
    engine.options.threads = Some(2);
    conforms(&engine);
}

#[test]
fn onnx_runtime_conforms() {
    if let Some(engine) = onnxruntime() {
        conforms(&engine);
    }
}

#[test]
fn openvino_conforms() {
    if let Some(engine) = openvino() {
        conforms(&engine);
    }
}

#[test]
fn openvino_conforms_over_lists_of_devices() {
    let Some(mut engine) = openvino() else {
        return;
    };
    let wholes: Vec<Case> = conformance::wholes()
        .into_iter()
        .filter(|c| c.label.starts_with("resnet8"))
        .collect();
    for device in ["AUTO:CPU", "HETERO:CPU", "MULTI:CPU"] {
        engine.options.device = Some(device.to_owned());
        conformance::says_what_it_is(&engine);
        assert_eq!(conformance::answers(&engine, &wholes).len(), 2, "{device}");
    }
}

/// The heads once more as OpenVINO's own files, which `kerf convert` makes of them with the converter that it pins: the same
/// OpenVINO as the judges'.
#[test]
fn openvino_conforms_on_its_own_files() {
    let Some(engine) = openvino() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let Some(converters) = vendors::openvino_converter(dir.path()) else {
        return;
    };
    let convert = |bundle: &Path| {
        let mut convert = kerf();
        convert
            .args(["convert", "bundle", "--format", "openvino-ir"])
            .arg(bundle);
        succeed(convert.env("KERF_CONVERT_DIR", &converters));
    };
    let Some(heads) = conformance::heads_after(HEADS, dir.path(), engine.backend(), &convert) else {
        return;
    };
    assert!(heads.iter().all(|case| case.artifact.format == Format::OpenvinoIr));
    for (label, difference) in conformance::answers(&engine, &heads) {
        println!("{:<12} IR, {label:<40} {difference:.1e}", engine.backend);
    }
    conformance::wrong_calls(&engine, &heads[0]);
    conformance::several_sessions(&engine, &heads);
}

/// It fixes every shape when it compiles, and needs a bundle's manifest for the order of inputs and outputs: parts only.
#[test]
fn openvino_2022_conforms_on_the_processor() {
    let Some(mut engine) = openvino_2022() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for device in ["CPU", "HETERO:CPU", "MULTI:CPU"] {
        engine.options.device = Some(device.to_owned());
        let place = dir.path().join(device);
        std::fs::create_dir(&place).unwrap();
        conformance::says_what_it_is(&engine);
        let Some(heads) = conformance::heads(HEADS, &place, engine.backend()) else {
            return;
        };
        for (label, difference) in conformance::answers(&engine, &heads) {
            println!("{:<12} {label:<44} {difference:.1e}", engine.backend);
        }
        if device == "CPU" {
            conformance::wrong_calls(&engine, &heads[0]);
            conformance::several_sessions(&engine, &heads);
            conformance::refused_options(&engine, &heads[0]);
        }
    }
}

#[test]
fn a_device_of_openvino_that_is_not_there_is_exit_30_and_says_why() {
    let (Some(new), Some(old)) = (vendors::openvino(), vendors::openvino_2022()) else {
        return;
    };
    let cases = [
        ("openvino", &new, "GPU", "intel-opencl-icd"),
        ("openvino", &new, "HETERO:NPU,CPU", "NPU"),
        ("openvino", &new, "AUTO:GPU,CPU", "sees no device GPU"),
        ("openvino", &new, "MYRIAD", "--backend openvino-myriad"),
        ("openvino", &old, "CPU", "openvino-myriad"),
        ("openvino-myriad", &old, "MYRIAD", "MYRIAD is not opened"),
        ("openvino-myriad", &old, "HETERO:MYRIAD,CPU", "MYRIAD is not opened"),
    ];
    for (backend, library, device, why) in cases {
        let mut once = kerf_stage();
        once.args(["-q", "once", "--model"]).arg(model("lenet5"));
        once.arg("--input").arg(fixture("models/lenet5.npz"));
        once.args(["--backend", backend, "--backend-device", device, "--library"])
            .arg(library);
        let said = fail(&mut once, 30);
        assert!(said.contains(why), "{device}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{device}: {said}");
    }
    // OpenVINO alone would choose: that is no answer to "which device".
    let mut auto = kerf_stage();
    auto.args(["-q", "once", "--model"]).arg(model("lenet5"));
    auto.arg("--input").arg(fixture("models/lenet5.npz"));
    auto.args(["--backend", "openvino", "--backend-device", "AUTO", "--library"])
        .arg(&new);
    assert!(fail(&mut auto, 2).contains("AUTO:GPU,CPU"));
}

#[test]
fn a_missing_library_is_named_with_the_command_that_gets_it() {
    for (backend, how) in [
        ("onnxruntime", "pip install onnxruntime"),
        ("tensorrt", "pip install onnxruntime"),
        ("openvino", "pip install openvino"),
        ("openvino-myriad", "onnxruntime-openvino==1.13.1"),
        ("tflite", "tfjs-tflite-node"),
    ] {
        let mut once = kerf_stage();
        let suits = if backend == "tflite" {
            fixture("tflite/lenet5/part-0.tflite")
        } else {
            model("lenet5")
        };
        once.env_remove("ORT_DYLIB_PATH").args(["-q", "once", "--model"]);
        once.arg(suits).arg("--input").arg(fixture("models/lenet5.npz"));
        once.args(["--backend", backend, "--library", "/nowhere/libvendor.so.1"]);
        let said = fail(&mut once, 30);
        assert!(said.contains(how), "{said}");
        assert_eq!(said.matches("/nowhere/libvendor.so.1").count(), 1, "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
        let mut check = kerf_stage();
        check.args(["check", "--backend", backend, "--library", "/nowhere/libvendor.so.1"]);
        let said = fail(&mut check, 30);
        assert!(said.contains("/nowhere/libvendor.so.1"), "{said}");
    }
}

#[test]
fn a_device_that_is_not_there_is_exit_30_and_says_what_is_missing() {
    let Some(library) = vendors::onnxruntime() else {
        return;
    };
    let cases = [
        ("onnxruntime", "CUDA", "onnxruntime-gpu"),
        ("onnxruntime", "XNNPACK", "--use_xnnpack"),
        ("onnxruntime", "ACL", "--use_acl"),
        ("onnxruntime", "OPENVINO:CPU", "onnxruntime-openvino"),
        ("tensorrt", "GPU", "onnxruntime-gpu"),
        ("tensorrt", "DLA:0", "onnxruntime-gpu"),
    ];
    for (backend, device, how) in cases {
        let mut once = kerf_stage();
        once.args(["-q", "once", "--model"]).arg(model("lenet5"));
        once.arg("--input").arg(fixture("models/lenet5.npz"));
        once.args(["--backend", backend, "--backend-device", device, "--library"])
            .arg(&library);
        let said = fail(&mut once, 30);
        assert!(said.contains(how), "{device}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{device}: {said}");
    }
}

#[test]
fn a_step_down_is_told_in_the_log_and_in_the_result() {
    let mut once = kerf_stage();
    once.args(["once", "--model"]).arg(model("lenet5"));
    once.arg("--input").arg(fixture("models/lenet5.npz"));
    once.args([
        "--backend",
        "tensorrt,tract",
        "--precision",
        "f16",
        "--library",
        "/nowhere/libonnxruntime.so.1",
    ]);
    let output = once.output().unwrap();
    let (log, result) = (
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    assert!(output.status.success(), "{log}");
    assert!(log.contains("event=backend-stepped-down backend=tensorrt"), "{log}");
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["hops"][0]["backend"], "tract");
    let warning = result["warnings"][0].as_str().unwrap();
    assert!(warning.contains("stepped down from backend tensorrt"), "{warning}");
    assert!(warning.contains("/nowhere/libonnxruntime.so.1"), "{warning}");
    // The named backend alone: no step down, but the end.
    let mut alone = kerf_stage();
    alone.args(["-q", "once", "--model"]).arg(model("lenet5"));
    alone.arg("--input").arg(fixture("models/lenet5.npz"));
    alone.args(["--backend", "tensorrt", "--library", "/nowhere/libonnxruntime.so.1"]);
    fail(&mut alone, 30);
}

#[test]
fn check_lists_every_backend_with_its_library_or_how_to_get_it() {
    let mut check = kerf_stage();
    check.arg("check").env_remove("LD_LIBRARY_PATH");
    match vendors::onnxruntime() {
        Some(library) => drop(check.env("ORT_DYLIB_PATH", library)),
        None => drop(check.env_remove("ORT_DYLIB_PATH")),
    }
    let listed = succeed(&mut check);
    for backend in kerf_runtime::backend::all() {
        let name = backend.name();
        let line = listed.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not listed:\n{listed}"));
        let told =
            line.contains(" ready ") || line.contains("needs") || line.contains("pip install") || line.contains("get ");
        assert!(told, "{line}");
    }
}

#[test]
fn the_names_of_dnn_onnx_profiler_mean_a_backend_or_say_why_not() {
    let once = |names: &[&str]| {
        let mut once = kerf_stage();
        once.args(["-q", "once", "--model"]).arg(model("lenet5"));
        once.arg("--input").arg(fixture("models/lenet5.npz")).args(names);
        once.env_remove("ORT_DYLIB_PATH");
        once
    };
    if let Some(library) = vendors::onnxruntime() {
        let said = succeed(once(&["--exec-type", "CPU"]).env("ORT_DYLIB_PATH", &library));
        let result: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(result["hops"][0]["backend"], "onnxruntime");
        let said = fail(once(&["--exec-type", "GPU"]).env("ORT_DYLIB_PATH", &library), 30);
        assert!(said.contains("onnxruntime-gpu"), "{said}");
    }
    if let Some(library) = vendors::openvino() {
        let said = succeed(once(&["--device-type", "CPU_FP32"]).env("KERF_OPENVINO_LIBRARY", library));
        let result: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(result["hops"][0]["backend"], "openvino");
    }
    assert!(fail(&mut once(&["--device-type", "VAD-M_FP16"]), 30).contains("discontinued"));
    fail(&mut once(&["--device-type", "CPU_FP32", "--backend", "tract"]), 2);
}

#[test]
fn a_running_stages_status_says_what_runs_it_and_what_it_stepped_down_from() {
    let broker = Mosquitto::start("");
    let dir = tempfile::tempdir().unwrap();
    let bundle = stages::lenet_bundle(&dir.path().join("bundle"));
    let mut tail = stages::stage(&bundle, &broker.url(), "1");
    tail.args([
        "--backend",
        "tensorrt,tract",
        "--library",
        "/nowhere/libonnxruntime.so.1",
    ]);
    let mut tail = Running::start(&mut tail);
    tail.wait_for("event=backend-stepped-down");
    let mut reader = MqttBroker::connect(MqttConfig::new(broker.url().parse().unwrap(), "reader".to_owned())).unwrap();
    reader.subscribe("kerf/cloud/status/1").unwrap();
    let mut status = None;
    eventually("a status of the stage", || {
        status = reader.receive(Duration::from_millis(200)).unwrap();
        status.is_some()
    });
    let status: serde_json::Value = serde_json::from_slice(&status.unwrap().message.payload).unwrap();
    assert_eq!(
        (&status["state"], &status["backend"]),
        (&"online".into(), &"tract".into()),
        "{status}"
    );
    let warning = status["warnings"][0].as_str().unwrap();
    assert!(warning.contains("stepped down from backend tensorrt"), "{warning}");
}
