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

use kerf_runtime::backend::RunError;
use kerf_runtime::source::Input;
use kerf_runtime::stage::Part;
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::step::Leaving;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::relay::{
    Counting, Passing, assert_each_once, border, connect, inline, run_head, run_tail, tail_in_group, topics,
};
use kerf_tests::stages::{lenet_bundle, picture, stage};

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

/// Frames a second that so many tails answer.
fn frames_a_second(tails: usize, rounds: u64, frames: u64) -> f64 {
    let broker = Mosquitto::start("");
    let done = AtomicBool::new(false);
    let mut group: Vec<_> = (0..tails)
        .map(|n| {
            let part = Box::new(Computing {
                rounds,
                passing: Passing,
            });
            tail_in_group(
                connect(&broker.url(), &format!("tail-{n}")),
                (topics(), border()),
                part,
                "tails",
            )
        })
        .collect();
    let link = connect(&broker.url(), "head");
    let source = Counting {
        next: 0,
        end: frames,
        bytes: 4800,
        pause: Duration::ZERO,
    };
    std::thread::scope(|scope| {
        let tails: Vec<_> = group
            .iter_mut()
            .map(|tail| scope.spawn(|| run_tail(tail, &done)))
            .collect();
        let begun = Instant::now();
        let keep = MemoryKeep::new(64 << 20, WhenFull::RefuseNew);
        let (summary, answers) = run_head("cam", source, link, keep, inline());
        let seconds = begun.elapsed().as_secs_f64();
        done.store(true, Ordering::Release);
        let ran: Vec<u64> = tails.into_iter().map(|tail| tail.join().unwrap().ran).collect();
        println!(
            "tails={tails} frames={frames} ran={ran:?} resent={} seconds={seconds:.2}",
            summary.resent,
            tails = ran.len()
        );
        assert_each_once(&answers, frames);
        assert!(ran.iter().all(|&n| n > 0), "a tail did nothing: {ran:?}");
        frames as f64 / seconds
    })
}

fn compare(frames: u64) -> f64 {
    let rounds = rounds_of(Duration::from_millis(20));
    let one = frames_a_second(1, rounds, frames);
    let two = frames_a_second(2, rounds, frames);
    println!(
        "one tail {one:.1} frames/s, two tails {two:.1} frames/s: {:.2} times as many",
        two / one
    );
    two / one
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
fn a_tail_that_is_killed_under_load_loses_no_frame() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = lenet_bundle(&at("bundle"));
    let broker = Mosquitto::start("");
    let inputs = 1000;
    std::fs::create_dir(at("in")).unwrap();
    for n in 0..inputs {
        std::fs::write(at("in").join(format!("{n:05}.npy")), picture(n)).unwrap();
    }
    let tail = || {
        let mut tail = Running::start(stage(&bundle, &broker.url(), "1").args(["--share", "tails"]));
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
    assert_eq!((answers.len(), distinct.len()), (1000, 1000));
    let repeated = answers
        .iter()
        .filter(|answer| answer["sends"].as_u64() > Some(1))
        .count();
    println!("answered={} sent again={repeated}", answers.len());
}
