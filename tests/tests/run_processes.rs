//! `kerf run --broker`: one full cycle on real processes gives the answers of one process, and says where the time went.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::Path;

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::{fail, fixture, kerf, model, succeed};
use serde_json::Value;

/// Three digits in a folder of their own.
fn digits(folder: &Path) -> std::path::PathBuf {
    let inputs = folder.join("digits");
    std::fs::create_dir(&inputs).unwrap();
    for name in ["d001.png", "d007.png", "d042.png"] {
        std::fs::copy(fixture(&format!("images/digits/{name}")), inputs.join(name)).unwrap();
    }
    inputs
}

/// The lines on stdout and the table on stderr.
fn run(bundle: &Path, inputs: &Path, more: &[&str]) -> (Vec<Value>, String) {
    let mut command = kerf();
    let output = command
        .arg("run")
        .arg(bundle)
        .arg("--input")
        .arg(inputs)
        .args(more)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let lines = String::from_utf8(output.stdout).unwrap();
    (
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        stderr,
    )
}

/// The digit of each answer, by the largest output.
fn digits_of(answers: &[Value]) -> Vec<usize> {
    let largest = |answer: &Value| {
        let data = answer["outputs"][0]["data"].as_array().unwrap();
        let figures: Vec<f64> = data.iter().map(|x| x.as_f64().unwrap()).collect();
        assert_eq!(figures.len(), 10, "{answer}");
        let order = |a: &usize, b: &usize| figures[*a].total_cmp(&figures[*b]);
        (0..10).max_by(order).unwrap()
    };
    answers.iter().map(largest).collect()
}

#[test]
fn a_cycle_over_a_broker_and_a_store_answers_as_one_process_does() {
    let dir = tempfile::tempdir().unwrap();
    let (bundle, inputs) = (dir.path().join("bundle"), digits(dir.path()));
    let mut split = kerf();
    split
        .arg("split")
        .arg(model("lenet5"))
        .args(["--at", "/MaxPool_1_output_0", "--scale", "255", "-o"]);
    succeed(split.arg(&bundle));
    let broker = Mosquitto::start("");
    let (here, _) = run(&bundle, &inputs, &[]);
    let store = format!("file://{}", dir.path().join("frames").display());
    // So small a bound sends every frame through the store.
    let more = [
        "--broker",
        &broker.url(),
        "--store",
        &store,
        "--",
        "--inline-bytes",
        "16",
    ];
    let (there, table) = run(&bundle, &inputs, &more);
    assert_eq!(here.len(), 3);
    assert_eq!(digits_of(&here), digits_of(&there));
    for answer in &there {
        let hops = answer["hops"].as_array().unwrap();
        let of = |name: &str| answer[name].as_f64().unwrap();
        let inside: f64 = hops.iter().map(|hop| hop["run_ms"].as_f64().unwrap()).sum();
        assert_eq!(hops.len(), 2, "{answer}");
        assert!(
            of("transfer_ms") > 0.0 && of("total_ms") > inside + of("transfer_ms") * 0.5,
            "{answer}"
        );
    }
    for row in ["part 0", "on the way", "part 1", "3 inputs answered"] {
        assert!(table.contains(row), "{table}");
    }
    // A broker that is not there is said, and no process is left to wait for it.
    let mut nobody = kerf();
    nobody
        .arg("run")
        .arg(&bundle)
        .arg("--input")
        .arg(&inputs)
        .args(["--broker", "mqtt://127.0.0.1:9"]);
    let stderr = fail(&mut nobody, 31);
    assert!(stderr.contains("part 1") && stderr.contains("127.0.0.1:9"), "{stderr}");
}
