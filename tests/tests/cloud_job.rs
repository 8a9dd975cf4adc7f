//! Promise: head here, tail in a job of OSCAR, and the answer is the whole model's.
//!
//! head → presigned upload → event → job → supervisor → `kerf-stage once` → result object → `kerf oscar invoke`. The
//! supervisor is the real faas-supervisor where the judges' Python has it. The answer is judged by the fixture's own,
//! which ONNX Runtime gave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what failed by panicking"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_runtime::source::{npy, npz};
use kerf_tests::oscar_stub::{Options, PASSWORD, Stub, Supervisor, USER};
use kerf_tests::{bundle_of, fail, fixture, kerf, kerf_stage, python, succeed};
use serde_json::Value;

/// A desk with a bundle, one head's frame, the tail's FDL, and the answer that ONNX Runtime gave for the whole.
struct Desk {
    folder: tempfile::TempDir,
    expected: Vec<f32>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let bundle = bundle_of("lenet5", folder.path());
        let mut archive = npz::Archive::open(File::open(fixture("models/lenet5.npz")).unwrap()).unwrap();
        let (input, output) = (archive.read("in_0").unwrap(), archive.read("out_0").unwrap());
        npy::write(&input.view(), File::create(path("digit.npy")).unwrap()).unwrap();
        let mut head = kerf_stage();
        head.args(["once", "--part", "0", "--bundle"]).arg(&bundle);
        head.arg("--input")
            .arg(path("digit.npy"))
            .arg("--output")
            .arg(path("head.frame"));
        succeed(&mut head);
        succeed(
            kerf()
                .args(["cloud", "bundle", "--image", "example/tail", "--name", "tail", "-o"])
                .args([&path("cloud"), &bundle]),
        );
        Self {
            expected: output.as_slice::<f32>().to_vec(),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn stub(&self, supervisor: Supervisor, bundle: &Path) -> Stub {
        let stage = PathBuf::from(kerf_stage().get_program());
        let container = vec![
            (
                "PATH".to_owned(),
                format!("{}:/usr/bin:/bin", stage.parent().unwrap().display()),
            ),
            ("KERF_BUNDLE".to_owned(), bundle.display().to_string()),
            // As the image says: its digest covers the bundle.
            ("KERF_ALLOW_UNSIGNED".to_owned(), "true".to_owned()),
        ];
        let stub = Stub::start(Options {
            supervisor,
            container,
            ..Options::default()
        });
        let text = format!(
            "endpoint = {:?}\nuser = {USER:?}\npassword = {PASSWORD:?}\n",
            stub.endpoint()
        );
        fs::write(self.path("oscar.toml"), text).unwrap();
        // In the cluster the bundle lies in the image; here it lies on the desk.
        let fdl = fs::read_to_string(self.path("cloud/oscar-async/fdl.yaml")).unwrap();
        let fdl = fdl.replace("KERF_BUNDLE: /bundle", &format!("KERF_BUNDLE: {}", bundle.display()));
        fs::write(self.path("cloud/oscar-async/fdl.yaml"), fdl).unwrap();
        succeed(&mut self.kerf(&["apply", "cloud/oscar-async/fdl.yaml"]));
        stub
    }

    fn kerf(&self, arguments: &[&str]) -> Command {
        let mut kerf = kerf();
        kerf.current_dir(self.folder.path());
        kerf.args(["oscar", "--credentials", "oscar.toml"]).args(arguments);
        kerf
    }

    fn judge(&self, result: &Value) {
        let data: Vec<f64> = serde_json::from_value(result["outputs"][0]["data"].clone()).expect("data");
        assert_eq!(data.len(), self.expected.len());
        let largest = self.expected.iter().fold(0_f64, |m, v| m.max(f64::from(v.abs())));
        let off = data
            .iter()
            .zip(&self.expected)
            .fold(0_f64, |m, (a, b)| m.max((a - f64::from(*b)).abs()));
        assert!(
            off / largest <= 1e-3,
            "differs by {}: {data:?}, {:?}",
            off / largest,
            self.expected
        );
    }
}

#[test]
fn a_frame_becomes_the_whole_models_answer_in_a_job() {
    let desk = Desk::new();
    let mut supervisors = vec![Supervisor::StandIn];
    if let Some(python) = python() {
        supervisors.push(Supervisor::Real(python.get_program().into()));
    }
    for supervisor in supervisors {
        let name = format!("{supervisor:?}");
        let stub = desk.stub(supervisor, &desk.path("bundle"));
        let said = succeed(&mut desk.kerf(&["invoke", "tail", "head.frame"]));
        let answer: Value = serde_json::from_str(&said).unwrap();
        desk.judge(&answer["result"]);
        // The head's hop and the tail's own; the job's times by its own clock.
        let ms = |value: &Value| value.as_f64().expect("a time");
        let (job, times) = (&answer["result"]["job"], &answer["times"]);
        assert!(
            ms(&job["load_ms"]) > 0.0 && ms(&job["total_ms"]) <= ms(&times["wait_ms"]) + ms(&times["download_ms"]),
            "{answer}"
        );
        println!(
            "{name}: upload {:.1} ms, wait {:.1} ms (of it the stage: load {:.1} ms, answer {:.1} ms), download {:.1} ms",
            ms(&times["upload_ms"]),
            ms(&times["wait_ms"]),
            ms(&job["load_ms"]),
            ms(&job["answer_ms"]),
            ms(&times["download_ms"])
        );
        drop(stub);
    }
}

#[test]
fn whatever_fails_in_the_job_comes_back_as_a_file() {
    let desk = Desk::new();
    let stub = desk.stub(Supervisor::StandIn, &desk.path("bundle"));
    let reason = |input: &str| {
        fail(
            &mut desk.kerf(&["invoke", "tail", input, "-o", "results", "--wait", "60"]),
            31,
        );
        let text = fs::read(desk.path("results").join(format!("{input}.json"))).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    let mut frame = fs::read(desk.path("head.frame")).unwrap();
    *frame.last_mut().unwrap() ^= 1;
    fs::write(desk.path("damaged.frame"), frame).unwrap();
    let why = reason("damaged.frame");
    assert!(why["error"].as_str().is_some_and(|e| e.contains("CRC-32C")), "{why}");
    fs::write(desk.path("strange.txt"), "hello").unwrap();
    assert_eq!(reason("strange.txt")["exit_code"], 2);
    // A damaged bundle: the tail never loads, and says so.
    let part = desk.path("bundle/part-1.onnx");
    let mut bytes = fs::read(&part).unwrap();
    bytes[100] ^= 1;
    fs::write(&part, bytes).unwrap();
    fs::copy(desk.path("head.frame"), desk.path("again.frame")).unwrap();
    assert_eq!(reason("again.frame")["exit_code"], 20);
    drop(stub);
}
