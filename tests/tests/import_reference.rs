//! `kerf import` reads all that the reference tool leaves on disk, and runs none of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};

use kerf_tests::{fail, kerf, model, python, succeed};
use serde_json::Value;

const CUT: &str = "/Relu_1_output_0";

/// The reference tool's files, written by Python; none where there is no Python.
fn files(dir: &Path) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges/reference_files.py");
    succeed(python()?.arg(script).arg(model("lenet5")).arg(CUT).arg(dir));
    Some(dir.to_owned())
}

fn import(paths: &[PathBuf], output: &Path) -> Value {
    succeed(kerf().arg("import").args(paths).arg("-o").arg(output));
    serde_json::from_slice(&std::fs::read(output).unwrap()).unwrap()
}

#[test]
fn every_protocol_and_form_of_results_txt_gives_the_same_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let Some(dir) = files(dir.path()).map(|_| dir) else {
        return;
    };
    let expected: Vec<u8> = (0..12_u8).flat_map(|i| (f32::from(i) / 8.0).to_le_bytes()).collect();
    let mut read = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("results_") {
            continue;
        }
        let (out, tensor) = (dir.path().join("run.json"), dir.path().join("tensor.npz"));
        let made = succeed(
            kerf()
                .arg("import")
                .arg(&path)
                .arg("-o")
                .arg(&out)
                .arg("--tensor")
                .arg(&tensor),
        );
        assert!(made.contains("1 rows"), "{name}: {made}");
        let sweep: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
        let row = &sweep["rows"][0];
        assert_eq!(
            (&row["value"], &row["elements"]),
            (&Value::from(CUT), &Value::from(12)),
            "{name}"
        );
        assert!((row["head_ms"].as_f64().unwrap() - 250.0).abs() < 1e-9, "{name}: {row}");
        let bytes = std::fs::read(&tensor).unwrap();
        let held = bytes.windows(expected.len()).any(|window| window == expected);
        assert!(held, "{name}: the tensor's elements are not in its .npz, row by row");
        read += 1;
    }
    assert_eq!(read, 24, "six protocols in four forms");
}

#[test]
fn a_pickle_that_would_run_a_command_is_refused_and_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_) = files(dir.path()) else { return };
    let out = dir.path().join("evil.json");
    let said = fail(
        kerf()
            .arg("import")
            .arg(dir.path().join("evil.txt"))
            .arg("-o")
            .arg(&out),
        2,
    );
    assert!(said.contains("system") && said.contains("refused"), "{said}");
    assert!(!out.exists() && !dir.path().join("owned").exists());
}

#[test]
fn tables_of_every_generation_become_rows() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_) = files(dir.path()) else { return };
    for generation in ["oldest", "misspelt", "last"] {
        let table = dir.path().join(format!("time_table_{generation}.csv"));
        let sweep = import(&[table], &dir.path().join("sweep.json"));
        let rows = sweep["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 6, "{generation}: two repetitions");
        let split = &rows[5];
        assert_eq!(
            (&split["way"], &split["repetition"]),
            (&Value::from("split"), &Value::from(1)),
            "{generation}"
        );
        assert!(
            (split["head_ms"].as_f64().unwrap() - 150.0).abs() < 1e-9,
            "{generation}: {split}"
        );
    }
}

#[test]
fn a_result_and_its_log_are_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_) = files(dir.path()) else { return };
    let both = ["results_4_array.txt", "output.txt"].map(|name| dir.path().join(name));
    let sweep = import(&both, &dir.path().join("run.json"));
    let rows = sweep["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let figures = ["head_ms", "tail_ms", "save_ms", "load_ms"].map(|key| rows[0][key].as_f64().unwrap());
    for (figure, expected) in figures.iter().zip([250.0, 500.0, 4.0, 2.0]) {
        assert!((figure - expected).abs() < 1e-9, "{rows:?}");
    }
}

#[test]
fn a_folder_of_halves_becomes_a_bundle_that_equals_the_model_they_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_) = files(dir.path()) else { return };
    let bundle = dir.path().join("bundle");
    let folder = dir.path().join("Model_SplittedModels");
    succeed(kerf().arg("import").arg(&folder).arg("-o").arg(&bundle));
    // The whole model is there again beside it; the parts equal it, and it equals the one that was cut.
    let whole = bundle.with_extension("onnx");
    succeed(
        kerf()
            .arg("verify")
            .arg(&bundle)
            .arg("--model")
            .arg(&whole)
            .args(["--runs", "2", "--dim", "N=1"]),
    );
    let compare = "import sys, numpy as np, onnxruntime as o\n\
        x = np.random.default_rng(1).random((3, 1, 32, 32), 'float32')\n\
        a, b = (o.InferenceSession(p, providers=['CPUExecutionProvider']).run(None, {'input': x})[0] for p in sys.argv[1:])\n\
        print(float(abs(a - b).max()))";
    let difference = succeed(python().unwrap().args(["-c", compare]).arg(model("lenet5")).arg(&whole));
    assert!(difference.trim().parse::<f64>().unwrap() < 1e-6, "{difference}");
}
