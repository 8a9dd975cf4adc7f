//! A last stage that runs frames together gives each the answer that it has alone, and devices take turns at it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kerf_runtime::backend::RunError;
use kerf_runtime::broker::mqtt::{MqttBroker, MqttConfig};
use kerf_runtime::source::Input;
use kerf_runtime::stage::Part;
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::step::Leaving;
use kerf_tests::http::Client;
use kerf_tests::mosquitto::{Mosquitto, free_port};
use kerf_tests::process::Running;
use kerf_tests::relay::{
    Counting, Passing, assert_each_once, border, connect, inline, run_head, run_tail, tail_in_group, topics,
};
use kerf_tests::stages::{lenet_bundle, picture, stage};
use kerf_tests::succeed;

/// One answer as its reader gets it: classes and outputs.
type Answers = BTreeMap<String, serde_json::Value>;

/// What a head prints for these inputs, and what its tail counted; `batch` are the tail's further arguments.
fn answers(bundle: &Path, inputs: &Path, batch: &[&str]) -> (Answers, Vec<u64>, String) {
    let broker = Mosquitto::start("");
    let port = free_port();
    let metrics = format!("127.0.0.1:{port}");
    let mut tail = stage(bundle, &broker.url(), "1");
    let mut tail = Running::start(tail.args(["--metrics", &metrics]).args(batch));
    tail.wait_for("event=ready");
    let printed = succeed(stage(bundle, &broker.url(), "0").arg("--input").arg(inputs));
    let mut answers = Answers::new();
    let mut together = Vec::new();
    for line in printed.lines() {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        together.push(answer["hops"][1]["together"].as_u64().unwrap_or(1));
        let label = answer["input"].as_str().unwrap().to_owned();
        assert!(
            answers.insert(label, answer["outputs"].clone()).is_none(),
            "answered twice"
        );
    }
    let address = ([127, 0, 0, 1], port).into();
    let (_, _, text) = Client::new(address).send("GET", "/metrics", &[], &[]);
    (answers, together, String::from_utf8(text).unwrap())
}

/// The largest difference between the numbers of two answers.
fn difference(a: &serde_json::Value, b: &serde_json::Value) -> f64 {
    match (a, b) {
        (serde_json::Value::Array(a), serde_json::Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).map(|(a, b)| difference(a, b)).fold(0.0, f64::max)
        }
        (serde_json::Value::Object(a), serde_json::Value::Object(b)) if a.len() == b.len() => {
            a.iter().map(|(name, a)| difference(a, &b[name])).fold(0.0, f64::max)
        }
        (serde_json::Value::Number(a), serde_json::Value::Number(b)) => {
            (a.as_f64().unwrap() - b.as_f64().unwrap()).abs()
        }
        (a, b) if a == b => 0.0,
        _ => f64::INFINITY,
    }
}

/// The value of one metric.
fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
    value.trim().parse().unwrap()
}

#[test]
fn a_batch_changes_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = lenet_bundle(&at("bundle"));
    std::fs::create_dir(at("in")).unwrap();
    for n in 0..300 {
        std::fs::write(at("in").join(format!("{n:05}.npy")), picture(n)).unwrap();
    }
    let (alone, ones, text) = answers(&bundle, &at("in"), &[]);
    assert!(ones.iter().all(|n| *n == 1));
    assert_eq!(metric(&text, "kerf_run_frames_count "), 300);
    let (batched, together, text) = answers(&bundle, &at("in"), &["--batch-frames", "8", "--batch-wait-ms", "20"]);
    assert_eq!((alone.len(), batched.len()), (300, 300));
    for (input, answer) in &alone {
        let differs = difference(answer, &batched[input]);
        assert!(
            differs < 1e-4,
            "{input} differs by {differs}: {answer} and {}",
            batched[input]
        );
    }
    let (runs, frames) = (
        metric(&text, "kerf_run_frames_count "),
        metric(&text, "kerf_run_frames_sum "),
    );
    let largest = runs - metric(&text, "kerf_run_frames_bucket{le=\"4\"} ");
    println!("frames={frames} runs={runs} of more than 4: {largest}");
    assert!(largest >= 10 && together.contains(&8), "hardly any full batch: {text}");
    assert!(frames >= 300 && runs < 200, "{text}");
}

/// Passes its tensors on after 5 ms.
struct Slow(Passing);

impl Part for Slow {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        std::thread::sleep(Duration::from_millis(5));
        self.0.run(input)
    }

    fn backend(&self) -> Option<&'static str> {
        None
    }
}

#[test]
fn a_device_that_floods_the_tail_does_not_hold_up_another() {
    let broker = Mosquitto::start("");
    // As a stage behind the first has it: it sees all that one head has out.
    let config = MqttConfig {
        receive_max: 256,
        ..MqttConfig::new(broker.url().parse().unwrap(), "tail")
    };
    let connection = MqttBroker::connect(config).unwrap();
    let mut tail = tail_in_group(connection, (topics(), border()), Box::new(Slow(Passing)), "tails");
    let done = AtomicBool::new(false);
    let head = |device: &'static str, end: u64, pause: Duration| {
        let source = Counting {
            next: 0,
            end,
            bytes: 400,
            pause,
        };
        let keep = MemoryKeep::new(64 << 20, WhenFull::RefuseNew);
        let (_, answers) = run_head(device, source, connect(&broker.url(), device), keep, inline());
        assert_each_once(&answers, end);
        let longest = answers.iter().filter_map(|answer| answer.total_ms).fold(0.0, f64::max);
        println!("{device}: {end} frames, the longest took {longest:.0} ms");
        longest
    };
    let (flood_ms, slow_ms) = std::thread::scope(|scope| {
        scope.spawn(|| run_tail(&mut tail, &done));
        let flood = scope.spawn(|| head("flood", 800, Duration::ZERO));
        let slow = scope.spawn(|| head("slow", 15, Duration::from_millis(200)));
        let times = (flood.join().unwrap(), slow.join().unwrap());
        done.store(true, Ordering::Release);
        times
    });
    // The flood's own frames wait behind the 255 before them, 1.3 s; another device's behind one.
    assert!(flood_ms > 1000.0, "the flood was none: {flood_ms} ms");
    assert!(
        slow_ms - 200.0 < flood_ms / 3.0,
        "slow: {slow_ms} ms, flood: {flood_ms} ms"
    );
}
