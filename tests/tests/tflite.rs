//! Promise: a part as TFLite answers as the part it was made from, in float and in int8, on the CPU and through an external
//! delegate that has the Edge TPU's own two functions; what is missing is exit 30 with where it comes from.
//!
//! The judge is ONNX Runtime in Python, on the ONNX part that lies beside each TFLite file. The bundles in `fixtures/tflite`
//! were made by `kerf split --format tflite --format tflite-int8` with real data.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::{Bundle, open_model};
use kerf_runtime::self_test::relative_difference;
use kerf_tests::conformance::{self, Case, Engine, numbered};
use kerf_tests::{fail, fixture, kerf_stage, python, succeed, vendors};
use kerf_wire::Digest;
use kerf_wire::manifest::Format;
use serde_json::json;

/// Bundles whose first part is there as TFLite: a cut in the middle, skips, depthwise convolutions, two inputs and three
/// outputs in another order, a cut that several values cross.
const BUNDLES: &[&str] = &[
    "lenet5",
    "resnet8_digits",
    "mobilenet_v2_tiny_digits",
    "two_digit_sum",
    "tiny_unet_denoise",
];

fn bundle(name: &str) -> PathBuf {
    fixture(&format!("tflite/{name}"))
}

/// What ONNX Runtime answers for the first part of each bundle, as cases of the TFLite files in this precision; with
/// `compiled`, of copies that say that they are for the Edge TPU.
fn cases(precision: &str, folder: &Path, compiled: bool) -> Option<Vec<Case>> {
    let mut python = python()?;
    let job = |name: &&str| {
        json!({
            "model": bundle(name).join("part-0.onnx"),
            "inputs": fixture(&format!("models/{name}.npz")),
            "output": folder.join(format!("{name}.npz")),
        })
    };
    let jobs = folder.join("jobs.json");
    let all: Vec<_> = BUNDLES.iter().map(job).collect();
    std::fs::write(&jobs, serde_json::Value::Array(all).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/heads.py");
    succeed(
        python
            .arg(script)
            .stdin(Stdio::from(std::fs::File::open(&jobs).unwrap())),
    );
    let case = |name: &&str| {
        let (place, format) = if compiled {
            (for_edgetpu(name, precision, folder), Format::EdgetpuTflite)
        } else {
            (bundle(name), Format::Tflite)
        };
        let opened = Bundle::open(&place).unwrap();
        let artifact = opened.artifact(0, &[format], Some(precision)).unwrap().unwrap();
        assert_eq!(artifact.precision(), precision, "{name}");
        // The file's own order may be another than the part's: the session says it.
        let part = opened.part(0).unwrap();
        let known = folder.join(format!("{name}.npz"));
        let (given, wanted) = (numbered(&known, "in_"), numbered(&known, "out_"));
        let conversion = artifact.conversion.clone().unwrap();
        let order = |bindings: &[kerf_wire::manifest::Binding], values: &[String]| -> Vec<usize> {
            let at = |b: &kerf_wire::manifest::Binding| values.iter().position(|v| *v == b.value).unwrap();
            match bindings.is_empty() {
                true => (0..values.len()).collect(),
                false => bindings.iter().map(at).collect(),
            }
        };
        let inputs = order(&conversion.inputs, &part.inputs);
        let outputs = order(&conversion.outputs, &part.outputs);
        Case {
            label: (*name).to_owned(),
            artifact,
            inputs: inputs.iter().map(|k| given[*k].clone()).collect(),
            expected: outputs.iter().map(|k| wanted[*k].clone()).collect(),
            int8: precision == "int8",
        }
    };
    Some(BUNDLES.iter().map(case).collect())
}

/// Everything that the suite asks of an engine that loads TFLite.
fn conforms(engine: &Engine) {
    let compiled = engine.backend == "edgetpu";
    conformance::says_what_it_is(engine);
    for precision in ["f32", "int8"] {
        let folder = tempfile::tempdir().unwrap();
        let Some(cases) = cases(precision, folder.path(), compiled) else {
            return;
        };
        for (label, difference) in conformance::answers(engine, &cases) {
            println!("{:<8} {precision:<5} {label:<28} {difference:.1e}", engine.backend);
        }
        for case in &cases {
            conformance::wrong_calls(engine, case);
        }
        conformance::refused_options(engine, &cases[0]);
        conformance::several_sessions(engine, &cases);
        assert_eq!(conformance::kernel_times(engine, &cases[0]), None);
    }
}

fn engine(backend: &'static str, library: PathBuf) -> Engine {
    Engine {
        backend,
        options: LoadOptions {
            library: Some(library),
            ..LoadOptions::default()
        },
        tolerance: 1e-5,
        // 8 bits for everything: `kerf split` measured 1 to 6 % of the largest output, on other inputs.
        tolerance_int8: 0.05,
        refuses: &[],
        wrong: &[],
    }
}

#[test]
fn tensorflow_lite_conforms() {
    if let Some(library) = vendors::tflite() {
        conforms(&engine("tflite", library));
    }
}

/// With what `edgetpu_compiler` leaves in the files' text; the delegate takes floats too, which an Edge TPU does not.
#[test]
fn an_external_delegate_with_the_edge_tpus_functions_conforms() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(library) = vendors::tflite_with_delegate(folder.path()) {
        conforms(&engine("edgetpu", library));
    }
}

#[test]
fn two_int8_parts_by_files_name_the_digit_and_a_step_in_float_is_exact() {
    let Some(library) = vendors::tflite() else { return };
    let folder = tempfile::tempdir().unwrap();
    let expected = &numbered(&fixture("models/lenet5.npz"), "out_")[0];
    for (precision, allowed) in [("f32", 1e-5), ("int8", 0.08)] {
        let head = folder.path().join("head.npz");
        let answer = folder.path().join("answer.npz");
        for (part, from, to) in [("0", fixture("models/lenet5.npz"), &head), ("1", head.clone(), &answer)] {
            let mut once = kerf_stage();
            once.args(["-q", "once", "--allow-unsigned", "--part", part, "--backend", "tflite"]);
            once.args(["--precision", precision, "--bundle"]).arg(bundle("lenet5"));
            once.arg("--library")
                .arg(&library)
                .arg("--input")
                .arg(from)
                .arg("--output")
                .arg(to);
            succeed(&mut once);
        }
        let bytes = std::fs::read(&answer).unwrap();
        let mut archive = kerf_runtime::source::npz::Archive::from_bytes(&bytes).unwrap();
        let difference = relative_difference(&archive.read("logits").unwrap(), expected);
        assert!(difference <= allowed, "{precision}: {difference:.1e}");
    }
}

/// A copy of a bundle in which part 0 in this precision is there once more for the Edge TPU: the same network, and behind its
/// end the name of the operator by which `kerf` knows what `edgetpu_compiler` wrote.
fn for_edgetpu(name: &str, precision: &str, folder: &Path) -> PathBuf {
    let file = if precision == "int8" {
        "part-0-int8.tflite"
    } else {
        "part-0.tflite"
    };
    let mut stand_in = std::fs::read(bundle(name).join(file)).unwrap();
    stand_in.extend_from_slice(b"edgetpu-custom-op\0\0\0");
    with_stand_in(name, file, &stand_in, folder)
}

/// A copy of the int8 head of lenet5 in which the file for the Edge TPU has, among its operator codes, the one that
/// `edgetpu_compiler` leaves.
fn edgetpu_bundle(folder: &Path) -> PathBuf {
    let stand_in = std::fs::read(fixture("tflite/stand_in_for_edgetpu.tflite")).unwrap();
    with_stand_in("lenet5", "part-0-int8.tflite", &stand_in, folder)
}

/// A copy of a bundle with one more artifact of part 0, described as the file `like` but for its bytes and its format.
fn with_stand_in(name: &str, like: &str, stand_in: &[u8], folder: &Path) -> PathBuf {
    let place = folder.join(format!("bundle-of-{name}"));
    std::fs::create_dir(&place).unwrap();
    for file in std::fs::read_dir(bundle(name)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), place.join(file.file_name())).unwrap();
    }
    let name = like.replace(".tflite", "_edgetpu.tflite");
    std::fs::write(place.join(&name), stand_in).unwrap();
    let manifest = place.join("manifest.json");
    let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let artifacts = document["parts"][0]["artifacts"].as_array_mut().unwrap();
    let mut compiled = artifacts.iter().find(|a| a["file"] == like).unwrap().clone();
    compiled["file"] = json!(name);
    compiled["format"] = json!("edgetpu-tflite");
    compiled["sha256"] = json!(Digest::of(stand_in).to_string());
    compiled["bytes"] = json!(stand_in.len());
    compiled["compiled_for"] = json!("Edge TPU, runtime 14");
    artifacts.push(compiled);
    std::fs::write(&manifest, document.to_string()).unwrap();
    place
}

fn on_edgetpu(bundle: &Path, library: &Path) -> Command {
    let mut once = kerf_stage();
    once.args([
        "-q",
        "once",
        "--allow-unsigned",
        "--part",
        "0",
        "--backend",
        "edgetpu",
        "--bundle",
    ]);
    once.arg(bundle).arg("--library").arg(library);
    once.arg("--input").arg(fixture("models/lenet5.npz"));
    once.env_remove("KERF_EDGETPU_LIBRARY");
    once
}

#[test]
fn an_external_delegate_with_the_edge_tpus_functions_runs_the_part() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = vendors::tflite_with_delegate(folder.path()) else {
        return;
    };
    let bundle = edgetpu_bundle(folder.path());
    let (log, head, plain) = (
        folder.path().join("log"),
        folder.path().join("head.npz"),
        folder.path().join("plain.npz"),
    );
    let mut once = on_edgetpu(&bundle, &library);
    once.args(["--backend-device", "usb:0", "--precision", "int8", "--output"])
        .arg(&head);
    succeed(once.env("KERF_TEST_DELEGATE_LOG", &log));
    let told = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["device=other", "create"], "{told}");
    assert!(
        lines[2].starts_with("prepare nodes=") && lines[2] != "prepare nodes=0",
        "{told}"
    );
    assert_eq!(lines.last(), Some(&"destroy"), "{told}");

    let mut once = kerf_stage();
    once.args([
        "-q",
        "once",
        "--allow-unsigned",
        "--part",
        "0",
        "--backend",
        "tflite",
        "--precision",
        "int8",
    ]);
    once.arg("--bundle").arg(&bundle).arg("--library").arg(&library);
    once.arg("--input")
        .arg(fixture("models/lenet5.npz"))
        .arg("--output")
        .arg(&plain);
    succeed(&mut once);
    let value = |file: &Path| {
        let bytes = std::fs::read(file).unwrap();
        let mut archive = kerf_runtime::source::npz::Archive::from_bytes(&bytes).unwrap();
        archive.read_all().unwrap().remove(0).1
    };
    let difference = relative_difference(&value(&head), &value(&plain));
    assert!(difference <= 0.01, "the delegate is {difference:.1e} off the CPU");
}

#[test]
fn without_library_device_or_compiler_it_is_exit_30_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = vendors::tflite_with_delegate(folder.path()) else {
        return;
    };
    let bundle = edgetpu_bundle(folder.path());
    // No device: what the delegate says, and where to look.
    let mut none = on_edgetpu(&bundle, &library);
    let said = fail(none.args(["--backend-device", "pci"]), 30);
    assert!(said.contains("no such device") && said.contains("1a6e:089a"), "{said}");
    let mut odd = on_edgetpu(&bundle, &library);
    assert!(fail(odd.args(["--backend-device", "GPU"]), 2).contains("usb:N"));
    // No delegate: where it comes from and what it must match.
    std::fs::remove_file(folder.path().join("libedgetpu.so.1")).unwrap();
    let said = fail(&mut on_edgetpu(&bundle, &library), 30);
    for word in ["libedgetpu.so.1", "libedgetpu1-std", "TensorFlow 2.5", "2.9.0 here"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // One line from us; the one before it warns that the bundle is not signed.
    assert_eq!(
        said.lines().filter(|l| l.starts_with("kerf-stage:")).count(),
        1,
        "{said}"
    );
    // No TensorFlow Lite.
    let said = fail(
        &mut on_edgetpu(&bundle, Path::new("/nowhere/libtensorflowlite_c.so")),
        30,
    );
    assert!(
        said.contains("/nowhere/libtensorflowlite_c.so") && said.contains("tfjs-tflite-node"),
        "{said}"
    );
    // A part that was not compiled would run on the CPU without a word.
    let said = fail(&mut on_edgetpu(&self::bundle("lenet5"), &library), 30);
    assert!(
        said.contains("EdgetpuTflite") || said.contains("edgetpu-tflite"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_no_tflite_is_refused_and_an_unresolved_operator_is_named() {
    let Some(library) = vendors::tflite() else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(bundle("lenet5").join("part-0-int8.tflite")).unwrap();
    let refuse = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let mut once = kerf_stage();
        once.args(["-q", "once", "--backend", "tflite", "--library"])
            .arg(&library);
        once.arg("--model")
            .arg(&file)
            .arg("--input")
            .arg(fixture("models/lenet5.npz"));
        fail(&mut once, 10)
    };
    for length in [0, 1, 8, whole.len() / 2, whole.len() - 1] {
        let said = refuse("cut.tflite", &whole[..length]);
        assert!(said.contains("no intact TFLite file"), "{length}: {said}");
    }
    assert!(refuse("text.tflite", b"no model at all, but a line of text").contains("no intact TFLite file"));
    // What says that it is for the Edge TPU is no TFLite file that a CPU runs.
    let stand_in = fixture("tflite/stand_in_for_edgetpu.tflite");
    let artifact = open_model(&stand_in).unwrap();
    assert_eq!(artifact.format, Format::EdgetpuTflite);
}
