//! Promise: a stage behind HTTP speaks the Open Inference Protocol, and no body, however malformed, brings it down.
//!
//! The judges are `tritonclient`, NVIDIA's own client, unchanged, and the process's own memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kerf_runtime::http::limits::Limits;
use kerf_runtime::http::{AnswerError, Card, Model, NamedTensor, Options, Server};
use kerf_runtime::source::{npy, npz};
use kerf_runtime::tensor::Tensor;
use kerf_tests::cloud_desk::Served;
use kerf_tests::{bundle_of, fixture, http, kerf_stage, python, succeed};
use kerf_wire::tensor::name;
use kerf_wire::{DType, Dim, InferenceResult, TensorSpec};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

/// `double` = 2 × `x`; `count` = elements of `x`. Sleeps first, where it is to be slow.
struct Doubler(Duration);

impl Model for Doubler {
    fn infer(&mut self, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, AnswerError> {
        std::thread::sleep(self.0);
        let (_, x) = inputs.first().expect("the server gives what the card says");
        let doubled: Vec<f32> = x.as_slice::<f32>().iter().map(|v| v * 2.0).collect();
        let count = i64::try_from(doubled.len()).expect("fits");
        let mut counted = Tensor::zeros(DType::I64, &[1]).expect("one element");
        counted.as_slice_mut::<i64>().fill(count);
        let doubled = Tensor::from_f32(x.shape(), &doubled).expect("same shape");
        Ok(vec![("double".into(), doubled), ("count".into(), counted)])
    }

    fn frame(&mut self, frame: &[u8]) -> Result<InferenceResult, AnswerError> {
        Err(AnswerError::Refused(format!("{} bytes are no frame", frame.len())))
    }
}

fn spec(value: &str, dtype: DType, shape: &[Dim]) -> TensorSpec {
    TensorSpec {
        name: name(value).expect("short"),
        dtype,
        shape: shape.iter().copied().collect(),
    }
}

fn doubler(slow: Duration, limits: Limits) -> Server {
    let card = Card {
        name: "doubler v1".into(),
        version: "7".into(),
        platform: "test".into(),
        inputs: vec![spec("x", DType::F32, &[Dim::Dynamic, Dim::Fixed(3)])],
        outputs: vec![
            spec("double", DType::F32, &[Dim::Dynamic, Dim::Fixed(3)]),
            spec("count", DType::I64, &[Dim::Fixed(1)]),
        ],
    };
    let mut options = Options::new("127.0.0.1:0".parse().expect("an address"));
    options.limits = limits;
    options.warnings = vec!["backend tensorrt stepped down to tract".into()];
    Server::start(options, Some((card, vec![Box::new(Doubler(slow))]))).expect("a free port")
}

#[test]
fn tritonclient_talks_to_it_unchanged() {
    let server = doubler(Duration::ZERO, Limits::default());
    let Some(mut python) = python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/judges/open_inference.py");
    let said = succeed(python.arg(script).arg(server.address().to_string()));
    assert!(said.ends_with("agreed\n"), "{said}");
}

const INFER: &str = "/v2/models/doubler%20v1/infer";

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let server = doubler(Duration::ZERO, Limits::default());
    let x = |rest: &str| format!(r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,3],{rest}}}]}}"#);
    let cases = [
        (x(r#""data":[1,2]"#), 400, "expected 3 elements, got 2"),
        (x(r#""data":[1,2,3,4]"#), 400, "more elements than the shape has"),
        (x(r#""data":[1,2,1e300]"#), 400, "expected f32, got 1e300"),
        (x(r#""data":[1,2,null]"#), 400, "an array of f32 elements"),
        (x(r#""parameters":{"binary_data_size":12}"#), 400, "got 0"),
        (
            x(r#""data":[1,2,3],"parameters":{"binary_data_size":12}"#),
            400,
            "both data",
        ),
        (x(r#""data":[[[[[[[[[[[[1]]]]]]]]]]]]"#), 400, "nested deeper than 8"),
        (
            x(r#""data":[1,2,3]"#).replace("FP32", "INT8"),
            400,
            "x f32[?, 3] (FP32): got INT8 [1, 3]",
        ),
        (
            x(r#""data":[1,2,3]"#).replace("[1,3]", "[4000000000,3]"),
            400,
            "data is shorter",
        ),
        (x(r#""data":[1,2,3]"#).replace("\"x\"", "\"y\""), 400, "the model has x"),
        (r#"{"inputs":[]}"#.into(), 400, "input x f32[?, 3] is missing"),
        (r#"{"inputs":[0]"#.into(), 400, "request JSON"),
    ];
    for (body, status, says) in cases {
        let (got, text) = http::post(server.address(), INFER, &[], body.as_bytes());
        assert_eq!(got, status, "{body} was answered {text}");
        assert!(text.contains(says), "{body} was answered {text}, not {says:?}");
    }
    let (status, text) = http::post(server.address(), "/v2/models/other/infer", &[], b"{}");
    assert_eq!((status, text.contains("doubler v1")), (404, true), "{text}");
    let (status, text) = http::post(server.address(), "/kerf/v1/frames", &[], b"KF");
    assert_eq!((status, text.contains("2 bytes are no frame")), (422, true), "{text}");
    let (status, _) = http::get(server.address(), INFER);
    assert_eq!(status, 405);
}

#[test]
fn health_and_metrics_say_how_it_is() {
    let server = doubler(Duration::ZERO, Limits::default());
    let address = server.address();
    assert_eq!(http::get(address, "/healthz").0, 200);
    let (status, ready) = http::get(address, "/readyz");
    assert_eq!(status, 200);
    assert!(ready.contains("stepped down to tract"), "{ready}");
    let (_, metrics) = http::get(address, "/metrics");
    let line = r#"kerf_http_requests_total{route="ready",status="200"} 1"#;
    assert!(metrics.lines().any(|l| l == line), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

#[test]
fn bounds_on_bodies_queue_and_time_hold() {
    let limits = Limits {
        body_bytes: 4096,
        head_time: Duration::from_millis(200),
        body_time: Duration::from_millis(200),
        answer_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = doubler(Duration::from_millis(500), limits);
    let address = server.address();
    assert_eq!(http::post(address, INFER, &[], &[b' '; 4097]).0, 413);
    assert_eq!(http::post(address, INFER, &[("content-encoding", "gzip")], b"x").0, 415);
    let started = Instant::now();
    let raw = |bytes: &[u8]| {
        let mut socket = TcpStream::connect(address).expect("connects");
        socket.write_all(bytes).expect("sends");
        let mut answer = String::new();
        socket
            .read_to_string(&mut answer)
            .expect("the server ends the connection");
        answer
    };
    let chunked = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    assert!(raw(format!("{chunked}GET / HTTP/1.0\r\n\r\n").as_bytes()).starts_with("HTTP/1.1 411"));
    let cut_short = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345");
    assert!(raw(cut_short.as_bytes()).starts_with("HTTP/1.1 408"));
    assert!(!raw(b"GET /heal").starts_with("HTTP/1.1 200"));
    let valid = br#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}"#;
    assert_eq!(http::post(address, INFER, &[], valid).0, 504);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "took {:?}",
        started.elapsed()
    );
    // More at once than the queue holds: the rest is told 503 at once, health still answers.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..60)
            .map(|_| scope.spawn(|| http::post(address, INFER, &[], valid).0))
            .collect();
        assert_eq!(http::get(address, "/healthz").0, 200);
        asks.into_iter().map(|ask| ask.join().expect("no panic")).collect()
    });
    assert!(statuses.contains(&503), "{statuses:?}");
}

/// Bodies that begin as valid ones: what random bytes alone would never reach.
fn mutated() -> impl Strategy<Value = (Vec<u8>, Option<usize>)> {
    let json = br#"{"id":"a","parameters":{"binary_data_output":true},"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"parameters":{"binary_data_size":12}}],"outputs":[{"name":"double"}]}"#;
    let length = json.len();
    let whole = [json.as_slice(), &[0; 12]].concat();
    let flips = prop::collection::vec((0..whole.len(), any::<u8>()), 1..6);
    let cut = prop_oneof![Just(whole.len()), 0..whole.len()];
    let header = prop_oneof![3 => Just(Some(length)), 1 => (0..400_usize).prop_map(Some), 1 => Just(None)];
    (flips, cut, header).prop_map(move |(flips, cut, header)| {
        let mut body = whole.clone();
        for (at, byte) in flips {
            body[at] = byte;
        }
        body.truncate(cut);
        (body, header)
    })
}

#[test]
fn ten_thousand_malformed_bodies_get_4xx_and_leave_nothing_behind() {
    let server = doubler(Duration::ZERO, Limits::default());
    let mut client = http::Client::new(server.address());
    let mut send = |path: &str, body: &[u8], header: Option<usize>| {
        let length = header.map(|h| h.to_string());
        let headers: Vec<(&str, &str)> = length
            .iter()
            .map(|l| ("inference-header-content-length", l.as_str()))
            .collect();
        client.post(path, &headers, body)
    };
    let mut runner = TestRunner::new(Config {
        cases: 5_000,
        ..Config::default()
    });
    let mut warm = 0;
    let mut tally = std::collections::BTreeMap::<u16, usize>::new();
    for count in 0..5_000 {
        if count == 500 {
            warm = resident_bytes();
        }
        let random = prop::collection::vec(any::<u8>(), 0..600);
        let body = random.new_tree(&mut runner).expect("a value").current();
        // Two bytes of random are no JSON document of ours, and no sealed frame.
        let path = if count % 2 == 0 { INFER } else { "/kerf/v1/frames" };
        let (status, text) = send(path, &body, None);
        assert!((400..500).contains(&status), "{body:?} was answered {status} {text}");
        let (mutant, header) = mutated().new_tree(&mut runner).expect("a value").current();
        let (status, text) = send(INFER, &mutant, header);
        // A changed float or a changed id is still a valid request.
        assert!(
            status == 200 || (400..500).contains(&status),
            "{mutant:?} was answered {status} {text}"
        );
        *tally.entry(status).or_default() += 1;
    }
    let grown = resident_bytes().saturating_sub(warm);
    println!(
        "mutants by status: {tally:?}; resident memory grew {} KiB",
        grown / 1024
    );
    assert!(tally.get(&400).is_some_and(|n| *n > 2_500), "{tally:?}");
    assert!(grown < 4 << 20, "resident memory grew {grown} bytes");
    let valid = br#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}"#;
    assert_eq!(send(INFER, valid, None).0, 200);
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("a VmRSS line");
    let kib: usize = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("KiB");
    kib * 1024
}

#[test]
fn a_resident_tail_answers_as_the_whole_model() {
    let desk = tempfile::tempdir().unwrap();
    let bundle = bundle_of("lenet5", desk.path());
    let path = |name: &str| desk.path().join(name);
    let mut archive = npz::Archive::open(File::open(fixture("models/lenet5.npz")).unwrap()).unwrap();
    let input = archive.read("in_0").unwrap();
    npy::write(&input.view(), File::create(path("digit.npy")).unwrap()).unwrap();
    for output in ["head.frame", "head.npz"] {
        let mut head = kerf_stage();
        head.args(["once", "--part", "0", "--bundle"]).arg(&bundle);
        succeed(
            head.arg("--input")
                .arg(path("digit.npy"))
                .arg("--output")
                .arg(path(output)),
        );
    }
    let served = Served::start(&bundle);
    let frame = std::fs::read(path("head.frame")).unwrap();
    let mut client = http::Client::new(served.address);
    let (status, answer) = client.post("/kerf/v1/frames", &[], &frame);
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let got: Vec<f32> = serde_json::from_value(answer["outputs"][0]["data"].clone()).unwrap();
    let expected = archive.read("out_0").unwrap();
    let expected = expected.as_slice::<f32>();
    let largest = expected.iter().fold(0_f32, |m, v| m.max(v.abs()));
    let off = got.iter().zip(expected).fold(0_f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(
        got.len() == expected.len() && off / largest <= 1e-3,
        "{got:?} is not {expected:?}"
    );
    let mut damaged = frame.clone();
    damaged[20] ^= 1;
    assert_eq!(client.post("/kerf/v1/frames", &[], &damaged).0, 422);

    let Some(mut python) = python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/judges/tail_http.py");
    python
        .arg(script)
        .arg(served.address.to_string())
        .arg(path("head.npz"))
        .arg(fixture("models/lenet5.npz"));
    let said = succeed(&mut python);
    assert!(said.ends_with("agreed\n"), "{said}");
}
