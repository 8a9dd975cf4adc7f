//! Promise: head here, tail in a job of OSCAR, and the answer is the whole model's.
//!
//! head → presigned upload → event → job → supervisor → `kerf-stage once` → result object → `kerf`. The supervisor is the
//! real faas-supervisor over a real S3 server where the judges' Python has them. The answer is judged by the fixture's own, which ONNX Runtime gave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what failed by panicking"
)]

use std::fs::{self, File};
use std::process::Command;
use std::time::Instant;

use kerf_runtime::source::{npy, npz};
use kerf_tests::cloud_desk::{CloudDesk, SERVICE, supervisors};
use kerf_tests::oscar_stub::{Store, Supervisor};
use kerf_tests::s3::{Kind, S3Server};
use kerf_tests::{bundle_of, fail, fixture, kerf_stage, model, succeed};
use serde_json::Value;

/// A desk with a bundle, an input, one head's frame, and the answer that ONNX Runtime gave for the whole.
struct Lenet {
    desk: CloudDesk,
    expected: Vec<f32>,
}

impl Lenet {
    fn new() -> Self {
        let desk = CloudDesk::default();
        let bundle = bundle_of("lenet5", &desk.path(""));
        let mut archive = npz::Archive::open(File::open(fixture("models/lenet5.npz")).unwrap()).unwrap();
        let (input, output) = (archive.read("in_0").unwrap(), archive.read("out_0").unwrap());
        npy::write(&input.view(), File::create(desk.path("digit.npy")).unwrap()).unwrap();
        let mut head = kerf_stage();
        head.args(["once", "--part", "0", "--bundle"]).arg(&bundle);
        head.arg("--input").arg(desk.path("digit.npy"));
        head.arg("--output").arg(desk.path("head.frame"));
        succeed(&mut head);
        Self {
            expected: output.as_slice::<f32>().to_vec(),
            desk,
        }
    }

    fn judge(&self, result: &Value) {
        let data: Vec<f64> = serde_json::from_value(result["outputs"][0]["data"].clone()).expect("data");
        assert_eq!(data.len(), self.expected.len());
        let largest = self.expected.iter().fold(0_f64, |m, v| m.max(f64::from(v.abs())));
        let pairs = data.iter().zip(&self.expected);
        let off = pairs.fold(0_f64, |m, (a, b)| m.max((a - f64::from(*b)).abs()));
        let expected = &self.expected;
        assert!(
            off / largest <= 1e-3,
            "differs by {}: {data:?}, {expected:?}",
            off / largest
        );
    }

    fn oscar(&self, arguments: &[&str]) -> Command {
        let mut kerf = self.desk.kerf(&["oscar", "--credentials", "oscar.toml"]);
        kerf.args(arguments);
        kerf
    }
}

fn ms(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no time"))
}

#[test]
fn a_frame_becomes_the_whole_models_answer_in_a_job() {
    let lenet = Lenet::new();
    let _stub = lenet.desk.deploy(Supervisor::StandIn, &lenet.desk.path("bundle"));
    let said = succeed(&mut lenet.oscar(&["invoke", SERVICE, "head.frame"]));
    let answer: Value = serde_json::from_str(&said).unwrap();
    lenet.judge(&answer["result"]);
    let (job, times) = (&answer["result"]["job"], &answer["times"]);
    let seen = ms(&times["wait_ms"]) + ms(&times["download_ms"]);
    assert!(ms(&job["load_ms"]) > 0.0 && ms(&job["total_ms"]) <= seen, "{answer}");
}

#[test]
fn one_command_is_the_whole_cycle_and_says_where_the_time_went() {
    let lenet = Lenet::new();
    let kubectl = Command::new("kubectl").args(["version", "--client"]).output().is_ok();
    if !kubectl {
        eprintln!("SKIPPED in part: no kubectl, so no pod was asked for its times");
    }
    for supervisor in supervisors() {
        let real = supervisor != Supervisor::StandIn;
        // The real supervisor with a real S3 server beneath it.
        let server = real.then(|| S3Server::start(Kind::SeaweedFs)).flatten();
        let store = server.map_or_else(Store::here, Store::S3);
        let stub = lenet.desk.deploy_on(store, supervisor, &lenet.desk.path("bundle"));
        let mut kerf = lenet.desk.kerf(&["run", "bundle", "--input", "digit.npy"]);
        kerf.args(["--oscar", "oscar.toml", "--service", SERVICE, "--bucket", SERVICE]);
        if kubectl {
            kerf.args(["--namespace", "oscar-svc"]);
            kerf.env("KUBECONFIG", lenet.desk.kubeconfig(&stub));
        }
        let begun = Instant::now();
        let said = succeed(&mut kerf);
        let answer: Value = serde_json::from_str(&said).unwrap();
        lenet.judge(&answer);
        assert_eq!(
            answer["hops"].as_array().map(Vec::len),
            Some(2),
            "head and tail: {answer}"
        );
        let line = &answer["timeline"];
        let names = [
            "upload",
            "event",
            "start",
            "supervisor",
            "load",
            "answer",
            "store",
            "rest",
            "download",
        ];
        let sections = names.map(|name| line.get(format!("{name}_ms")).map_or(0.0, ms));
        let sum: f64 = sections.iter().sum();
        assert!((sum - ms(&line["total_ms"])).abs() < 0.01, "{line}");
        // Stub, supervisor and stage share one clock here: what is told may not be less than nothing, nor more than all.
        for name in [
            "event_ms",
            "start_ms",
            "supervisor_ms",
            "load_ms",
            "answer_ms",
            "store_ms",
        ] {
            assert!(
                (0.0..ms(&line["total_ms"])).contains(&ms(&line[name])),
                "{name}: {line}"
            );
        }
        assert!(
            ms(&line["job_ms"]) > ms(&line["load_ms"]) + ms(&line["answer_ms"]),
            "{line}"
        );
        // To the second: from before the log's first line to behind its last, and the command waits for its end.
        let pod = ms(&line["pod_ms"]);
        let bounds = ms(&line["job_ms"]) - 1000.0..=begun.elapsed().as_secs_f64() * 1e3 + 1000.0;
        assert!(pod % 1000.0 == 0.0 && bounds.contains(&pod), "{line}");
        println!("real supervisor {real}: {line}");
        let wrong = ["--oscar", "oscar.toml", "--service", SERVICE, "--bucket", "other"];
        let why = fail(
            lenet.desk.kerf(&["run", "bundle", "--input", "digit.npy"]).args(wrong),
            2,
        );
        assert!(why.contains("not from \"other\""), "{why}");
    }
}

#[test]
fn a_sweep_runs_each_cut_as_a_job_and_the_planner_takes_its_price() {
    let lenet = Lenet::new();
    let desk = &lenet.desk;
    let model = model("lenet5").display().to_string();
    succeed(&mut desk.kerf(&["split", &model, "--all", "-o", "set"]));
    let stub = desk.deploy(Supervisor::StandIn, &desk.path("set"));
    let mut sweep = desk.kerf(&[
        "profile",
        &model,
        "--sweep",
        "--rep",
        "1",
        "-o",
        "sweep.json",
        "--csv",
        "table.csv",
    ]);
    sweep.args(["--oscar", "oscar.toml", "--service", SERVICE]);
    let said = succeed(&mut sweep);
    for word in [
        "EVENT",
        "SUPERV",
        "the first call took",
        "with a job started for each call",
    ] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    let table: Value = serde_json::from_slice(&fs::read(desk.path("sweep.json")).unwrap()).unwrap();
    let listed: Value = serde_json::from_slice(&fs::read(desk.path("set/set.json")).unwrap()).unwrap();
    let (rows, cuts) = (table["rows"].as_array().unwrap(), listed["cuts"].as_array().unwrap());
    assert_eq!(rows.len(), cuts.len() + 2, "device, cloud, and each cut once: {said}");
    for row in rows.iter().filter(|row| row["way"] != "edge") {
        assert!(ms(&row["job_ms"]) > 0.0 && ms(&row["tail_ms"]) > 0.0, "{row}");
        assert!(ms(&row["cloud"]["total_ms"]) > ms(&row["tail_ms"]), "{row}");
    }
    // The reference tool's table: seconds, the job's and the pod's columns filled.
    let csv = fs::read_to_string(desk.path("table.csv")).unwrap();
    let last: Vec<&str> = csv.lines().last().unwrap().split(',').collect();
    assert!(
        last[3].parse::<f64>().unwrap() > 0.0 && last[4].parse::<f64>().is_ok(),
        "{last:?}"
    );
    // A frame of a cut that the set has not: refused by its id, in the error document.
    let manifest = cuts[0]["manifest"].as_str().unwrap();
    fs::remove_file(desk.path("set").join(manifest)).unwrap();
    let mut again = desk.kerf(&["profile", &model, "--sweep", "--rep", "1"]);
    again.args(["--oscar", "oscar.toml", "--service", SERVICE]);
    let said = succeed(&mut again);
    let id = cuts[0]["id"].as_str().unwrap();
    assert!(said.contains(&format!("has no manifest for cut {id}")), "{said}");
    drop(stub);

    succeed(&mut desk.kerf(&["profile", &model, "--runs", "3", "-o", "edge.json"]));
    let mut plan = desk.kerf(&["plan", &model, "--edge", "edge.json", "--cloud", "edge.json"]);
    plan.args([
        "--uplink-kbit-s",
        "100000",
        "--rtt-ms",
        "1",
        "--jobs",
        "sweep.json",
        "--json",
    ]);
    let plan: Value = serde_json::from_str(&succeed(&mut plan)).unwrap();
    let assumed = &plan["assumptions"];
    assert!(
        assumed["notes"].to_string().contains("a job for each frame"),
        "{assumed}"
    );
    // The median of the calls, counted here by the rows themselves.
    let rows = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["way"] != "edge");
    let beside = |row: &Value| {
        let of = |name: &str| row["cloud"].get(name).map_or(0.0, ms);
        of("total_ms") - of("upload_ms") - of("download_ms") - of("answer_ms")
    };
    let calls: Vec<f64> = rows.map(beside).collect();
    let start = ms(&assumed["start_ms"][0]);
    let below = calls.iter().filter(|call| **call <= start + 1e-6).count();
    let above = calls.iter().filter(|call| **call >= start - 1e-6).count();
    assert!(
        2 * below >= calls.len() && 2 * above >= calls.len(),
        "{start} of {calls:?}"
    );
}

#[test]
fn whatever_fails_in_the_job_comes_back_as_a_file() {
    let lenet = Lenet::new();
    let _stub = lenet.desk.deploy(Supervisor::StandIn, &lenet.desk.path("bundle"));
    let path = |name: &str| lenet.desk.path(name);
    let reason = |input: &str| {
        let arguments = ["invoke", SERVICE, input, "-o", "results", "--wait", "60"];
        fail(&mut lenet.oscar(&arguments), 31);
        let text = fs::read(path("results").join(format!("{input}.json"))).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    let mut frame = fs::read(path("head.frame")).unwrap();
    *frame.last_mut().unwrap() ^= 1;
    fs::write(path("damaged.frame"), frame).unwrap();
    let why = reason("damaged.frame");
    assert!(why["error"].as_str().is_some_and(|e| e.contains("CRC-32C")), "{why}");
    fs::write(path("strange.txt"), "hello").unwrap();
    assert_eq!(reason("strange.txt")["exit_code"], 2);
    // A damaged bundle: the tail never loads, and says so; `kerf run` gives the job's own words.
    let part = path("bundle/part-1.onnx");
    let mut bytes = fs::read(&part).unwrap();
    bytes[100] ^= 1;
    fs::write(&part, bytes).unwrap();
    fs::copy(path("head.frame"), path("again.frame")).unwrap();
    assert_eq!(reason("again.frame")["exit_code"], 20);
    let mut run = lenet.desk.kerf(&["run", "bundle", "--input", "digit.npy"]);
    let why = fail(run.args(["--oscar", "oscar.toml", "--service", SERVICE]), 31);
    assert!(
        why.contains("the job failed") && why.contains("part-1.onnx has SHA-256"),
        "{why}"
    );
}
