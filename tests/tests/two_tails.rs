//! Tails of one share group divide the work between them, and one that is killed under load costs no frame.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kerf_runtime::backend::{LoadOptions, RunError};
use kerf_runtime::bundle::Bundle;
use kerf_runtime::source::{Input, Source, SourceError};
use kerf_runtime::stage::head::HeadConfig;
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::{Border, Part};
use kerf_runtime::step::{Leaving, Step};
use kerf_runtime::tensor::Tensor;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::relay::{
    Counting, Passing, border, border_of, connect, head_config, inline, run_head_as, run_tail, tail_in_group, topics,
};
use kerf_tests::stages::{lenet_bundle, picture, stage};
use kerf_tests::{kerf, model, succeed};

/// Computes for about this long on a core of its own, then passes its tensors on.
struct Computing {
    rounds: u64,
    passing: Passing,
}

/// A chain of multiplications that no compiler shortens.
fn compute(rounds: u64) -> u64 {
    (0..rounds).fold(1, |x: u64, n| {
        std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n))
    })
}

impl Part for Computing {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        std::hint::black_box(compute(self.rounds));
        self.passing.run(input)
    }

    fn backend(&self) -> Option<&'static str> {
        None
    }
}

/// Rounds of [`compute`] that take this long here: the fastest of some tries counts.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of rounds far below 2^53"
)]
fn rounds_of(time: Duration) -> u64 {
    let probe = 2_000_000;
    let fastest = (0..10).map(|_| {
        let begun = Instant::now();
        std::hint::black_box(compute(probe));
        begun.elapsed()
    });
    let fastest = fastest.min().unwrap().as_secs_f64();
    (probe as f64 * time.as_secs_f64() / fastest) as u64
}

/// Frames a second that so many tails answer, each with a part of its own; the frames are `source`'s, encoded as they are.
fn frames_a_second(tails: usize, border: &Border, part: impl Fn() -> Box<dyn Part>, source: impl Source) -> f64 {
    let broker = Mosquitto::start("");
    let done = AtomicBool::new(false);
    let mut group: Vec<_> = (0..tails)
        .map(|n| {
            let connection = connect(&broker.url(), &format!("tail-{n}"));
            tail_in_group(connection, (topics(), border.clone()), part(), "tails")
        })
        .collect();
    let link = connect(&broker.url(), "head");
    std::thread::scope(|scope| {
        let tails: Vec<_> = group
            .iter_mut()
            .map(|tail| scope.spawn(|| run_tail(tail, &done)))
            .collect();
        let begun = Instant::now();
        let keep = MemoryKeep::new(256 << 20, WhenFull::RefuseNew);
        let config = HeadConfig {
            onward: border.clone(),
            ..head_config("cam")
        };
        let (summary, answers) = run_head_as(&config, source, link, keep, inline());
        let seconds = begun.elapsed().as_secs_f64();
        done.store(true, Ordering::Release);
        let ran: Vec<u64> = tails.into_iter().map(|tail| tail.join().unwrap().ran).collect();
        let frames = answers.len();
        println!(
            "tails={} frames={frames} ran={ran:?} resent={} seconds={seconds:.2}",
            ran.len(),
            summary.resent,
        );
        let inputs: BTreeSet<_> = answers.iter().filter_map(|answer| answer.input.as_deref()).collect();
        assert_eq!((inputs.len() as u64, summary.answered), (frames as u64, frames as u64));
        assert!(ran.iter().all(|&n| n > 0), "a tail did nothing: {ran:?}");
        frames as f64 / seconds
    })
}

fn ratio(one: f64, two: f64) -> f64 {
    println!(
        "one tail {one:.1} frames/s, two tails {two:.1} frames/s: {:.2} times as many",
        two / one
    );
    two / one
}

/// With a chain of multiplications of 20 ms.
fn compare(frames: u64) -> f64 {
    let rounds = rounds_of(Duration::from_millis(20));
    let run = |tails| {
        let part = || -> Box<dyn Part> {
            let passing = Passing;
            Box::new(Computing { rounds, passing })
        };
        let source = Counting {
            next: 0,
            end: frames,
            bytes: 4800,
            pause: Duration::ZERO,
        };
        frames_a_second(tails, &border(), part, source)
    };
    ratio(run(1), run(2))
}

/// A real part, run as often as 20 ms need.
struct Real {
    step: Step,
    times: u32,
}

impl Part for Real {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        for _ in 1..self.times {
            self.step.run(input)?;
        }
        self.step.run(input)
    }

    fn backend(&self) -> Option<&'static str> {
        self.step.backend()
    }
}

/// The same tensors again and again, under another name each time.
struct Again {
    tensors: Vec<(String, Tensor)>,
    next: u64,
    end: u64,
}

impl Source for Again {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        if self.next == self.end {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(Input {
            label: self.next.to_string(),
            tensors: self.tensors.clone(),
        }))
    }
}

/// With the tail of a MobileNetV2 on tract, of at least 20 ms.
fn compare_mobilenet(frames: u64) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let model = model("mobilenet_v2_160_dogs");
    let layers = succeed(kerf().arg("layers").arg(&model).arg("--json"));
    let layers: serde_json::Value = serde_json::from_str(&layers).unwrap();
    let small = |value: &&serde_json::Value| {
        value["legal"] == true && value["bytes"].as_u64().is_some_and(|bytes| bytes <= 60_000)
    };
    let at = layers["values"].as_array().unwrap().iter().find(small).unwrap();
    let at = at["name"].as_str().unwrap();
    succeed(
        kerf()
            .arg("split")
            .arg(&model)
            .args(["--at", at, "-o"])
            .arg(folder.path()),
    );
    let bundle = Bundle::open(folder.path()).unwrap();
    let load = |part| Step::load(&bundle, part, &[], &LoadOptions::default()).unwrap();
    let mut head = load(0);
    let pixels = vec![0.25_f32; 3 * 160 * 160];
    let name = head.inputs()[0].name.to_string();
    let picture = Input {
        label: String::new(),
        tensors: vec![(name, Tensor::from_f32(&[1, 3, 160, 160], &pixels).unwrap())],
    };
    let leaving = head.run(&picture).unwrap();
    let copy = |(name, tensor): &(&str, _)| ((*name).to_owned(), Tensor::copy_of(*tensor).unwrap());
    let tensors: Vec<(String, Tensor)> = leaving.values.iter().map(copy).collect();
    let crossing = Input {
        label: String::new(),
        tensors: tensors.clone(),
    };
    let mut tail = load(1);
    let times = (0..20).map(|_| tail.run(&crossing).unwrap().run);
    let fastest = times.min().unwrap();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few dozen at most"
    )]
    let times = (0.02 / fastest.as_secs_f64()).ceil() as u32;
    println!(
        "cut at {at}: the tail takes {:.1} ms, run {times} times a frame",
        fastest.as_secs_f64() * 1e3
    );
    let border = border_of(folder.path());
    let run = |tails| {
        let part = || -> Box<dyn Part> { Box::new(Real { step: load(1), times }) };
        let source = Again {
            tensors: tensors.clone(),
            next: 0,
            end: frames,
        };
        frames_a_second(tails, &border, part, source)
    };
    ratio(run(1), run(2))
}

#[test]
fn two_tails_share_the_work() {
    compare(60);
}

#[test]
#[ignore = "needs two quiet cores; run by cargo xtask bench links"]
fn two_tails_answer_nearly_twice_as_many() {
    let ratio = compare(600);
    assert!(ratio >= 1.7, "only {ratio:.2} times as many");
}

#[test]
#[ignore = "needs two quiet cores; run by cargo xtask bench links"]
fn two_tails_of_a_mobilenet_answer_nearly_twice_as_many() {
    let ratio = compare_mobilenet(400);
    assert!(ratio >= 1.7, "only {ratio:.2} times as many");
}

#[test]
fn a_tail_that_is_killed_under_load_loses_no_frame() {
    killed_under_load(&[], 1000);
}

#[test]
fn a_tail_that_is_killed_in_a_batch_loses_no_frame() {
    killed_under_load(&["--batch-frames", "8", "--batch-wait-ms", "20"], 500);
}

/// Two tails with these arguments, one of which is killed when a hundred frames are answered.
fn killed_under_load(batch: &[&str], inputs: u64) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = lenet_bundle(&at("bundle"));
    let broker = Mosquitto::start("");
    std::fs::create_dir(at("in")).unwrap();
    for n in 0..inputs {
        std::fs::write(at("in").join(format!("{n:05}.npy")), picture(n)).unwrap();
    }
    let tail = || {
        let mut tail = Running::start(
            stage(&bundle, &broker.url(), "1")
                .args(["--share", "tails"])
                .args(batch),
        );
        tail.wait_for("event=ready");
        tail
    };
    let (_stays, mut killed) = (tail(), Some(tail()));
    let mut head = stage(&bundle, &broker.url(), "0");
    let head = head
        .arg("--input")
        .arg(at("in"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut head = head.spawn().unwrap();
    let mut answers: Vec<serde_json::Value> = Vec::new();
    for line in BufReader::new(head.stdout.take().unwrap()).lines() {
        answers.push(serde_json::from_str(&line.unwrap()).unwrap());
        // Under load: the head's window is full, and both tails have deliveries that they have not acknowledged.
        if answers.len() == 100 {
            killed.take();
        }
    }
    assert!(head.wait().unwrap().success());
    let distinct: BTreeSet<&str> = answers.iter().filter_map(|answer| answer["input"].as_str()).collect();
    assert_eq!((answers.len() as u64, distinct.len() as u64), (inputs, inputs));
    let repeated = answers
        .iter()
        .filter(|answer| answer["sends"].as_u64() > Some(1))
        .count();
    println!("answered={} sent again={repeated}", answers.len());
}
