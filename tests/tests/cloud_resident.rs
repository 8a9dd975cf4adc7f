//! Promise: a tail that stays up answers sooner than a job for each call, by more than a hundred times.
//!
//! Both sides get the same frame of the same model on the same machine, and what counts is what a call adds to the engine's
//! own run. The job is OSCAR's, run by the real faas-supervisor; what Kubernetes adds to start its pod is not in it, for there
//! is no Kubernetes here: that side is counted too low. `cargo xtask bench cloud` runs it with release programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what failed by panicking"
)]

use std::path::PathBuf;
use std::time::Instant;

use kerf_tests::cloud_desk::{CloudDesk, SERVICE, Served, supervisors};
use kerf_tests::oscar_stub::Supervisor;
use kerf_tests::{bundle_of, fixture, http, kerf_stage, succeed};
use serde_json::Value;

/// What a call adds to the engine's run, ms, sorted.
struct Added(Vec<f64>);

impl Added {
    fn of(times: usize, mut call: impl FnMut() -> f64) -> Self {
        let mut all: Vec<f64> = std::iter::repeat_with(&mut call).take(times).collect();
        all.sort_by(f64::total_cmp);
        Self(all)
    }

    fn at(&self, share: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ rank < len")]
        let rank = ((self.0.len() - 1) as f64 * share).round() as usize;
        self.0[rank]
    }
}

/// Head and tail of a fixture, and the head's frame for its own input.
fn prepared(desk: &CloudDesk, name: &str) -> (PathBuf, PathBuf) {
    let bundle = bundle_of(name, &desk.path(""));
    let mut archive =
        kerf_runtime::source::npz::Archive::open(std::fs::File::open(fixture(&format!("models/{name}.npz"))).unwrap())
            .unwrap();
    let input = archive.read("in_0").unwrap();
    let file = desk.path("input.npy");
    kerf_runtime::source::npy::write(&input.view(), std::fs::File::create(&file).unwrap()).unwrap();
    let mut head = kerf_stage();
    head.args(["once", "--part", "0", "--bundle"]).arg(&bundle);
    let frame = desk.path("head.frame");
    succeed(head.arg("--input").arg(&file).arg("--output").arg(&frame));
    (bundle, frame)
}

/// What the tail's engine took, of a result document.
fn run_ms(result: &Value) -> f64 {
    result["hops"]
        .as_array()
        .and_then(|hops| hops.last()?["run_ms"].as_f64())
        .expect("the tail's hop")
}

fn compare(name: &str, jobs: usize, calls: usize) {
    let desk = CloudDesk::default();
    let (bundle, frame) = prepared(&desk, name);
    let frame_bytes = std::fs::read(&frame).unwrap();
    let served = Served::start(&bundle);
    let mut client = http::Client::new(served.address);
    let mut resident = || {
        let begun = Instant::now();
        let (status, answer) = client.post("/kerf/v1/frames", &[], &frame_bytes);
        let took = begun.elapsed().as_secs_f64() * 1e3;
        assert_eq!(status, 200, "{answer}");
        took - run_ms(&serde_json::from_str(&answer).unwrap())
    };
    resident();
    let resident = Added::of(calls, resident);
    println!(
        "{name}, a tail that stays up: adds p50 {:.3} ms, p99 {:.3} ms ({calls} calls, frame {} bytes)",
        resident.at(0.5),
        resident.at(0.99),
        frame_bytes.len()
    );
    for supervisor in supervisors() {
        let who = if supervisor == Supervisor::StandIn {
            "stand-in"
        } else {
            "faas-supervisor"
        };
        let _stub = desk.deploy(supervisor, &bundle);
        let job = Added::of(jobs, || {
            let mut kerf = desk.kerf(&["run", "bundle", "--input", "input.npy"]);
            let said = succeed(kerf.args(["--oscar", "oscar.toml", "--service", SERVICE]));
            let answer: Value = serde_json::from_str(&said).unwrap();
            answer["timeline"]["total_ms"].as_f64().unwrap() - run_ms(&answer)
        });
        let ratio = job.at(0.5) / resident.at(0.5);
        println!(
            "{name}, a job a call, {who}: adds p50 {:.1} ms, p99 {:.1} ms ({jobs} calls): {ratio:.0} times",
            job.at(0.5),
            job.at(0.99)
        );
        // The stand-in starts no Python; the promise is against the real one.
        let least = if who == "faas-supervisor" { 100.0 } else { 10.0 };
        assert!(ratio >= least, "{who}: expected at least {least} times, got {ratio:.0}");
    }
}

#[test]
fn a_call_to_a_tail_that_stays_up_adds_a_fraction_of_what_a_job_does() {
    compare("lenet5", 1, 51);
}

#[test]
#[ignore = "minutes; `cargo xtask bench cloud` runs it with release programs"]
fn resident_against_a_job_per_call() {
    for name in ["lenet5", "mobilenet_v2_160_dogs"] {
        compare(name, 7, 501);
    }
}
