//! A broker that is killed, with all that it held in memory, costs repeats and never a frame.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kerf_runtime::metrics::Metrics;
use kerf_runtime::spool::{SpoolLimits, open};
use kerf_runtime::stage::keep::WhenFull;
use kerf_runtime::stage::tail::Confirm;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::eventually;
use kerf_tests::random::{Random, seed, soak};
use kerf_tests::relay::{Counting, assert_each_once, connect, inline, run_head, run_head_counted, run_tail, tail};

/// `kills` kills of the broker while `frames` frames pass; with its session state on the disk, or without.
fn kill_broker(frames: u64, kills: u64, persistent: bool) {
    let configuration = move |folder: &std::path::Path, port: u16| {
        let folder = folder.display();
        let state = if persistent {
            format!("persistence true\npersistence_location {folder}/\nautosave_interval 1\n")
        } else {
            "persistence false\n".to_owned()
        };
        format!("listener {port} 127.0.0.1\nallow_anonymous true\n{state}")
    };
    let mut broker = Mosquitto::start_with(configuration);
    let mut random = Random::new(seed(11));
    let url = broker.url();
    let spool = tempfile::tempdir().unwrap();
    let limits = SpoolLimits {
        bytes: 64 << 20,
        when_full: WhenFull::RefuseNew,
    };
    let keep = open(spool.path(), limits).unwrap();
    let source = Counting {
        next: 0,
        end: frames,
        bytes: 400,
        pause: Duration::from_millis(2),
    };
    let done = AtomicBool::new(false);
    let mut tail = tail(connect(&url, "tail"), None, Confirm::Stage, inline());
    let head_link = connect(&url, "head");
    let begun = Instant::now();
    let (summary, answers, steps) = std::thread::scope(|scope| {
        let head = scope.spawn(|| {
            let outcome = run_head("cam", source, head_link, keep, inline());
            done.store(true, Ordering::Release);
            outcome
        });
        let tail = scope.spawn(|| run_tail(&mut tail, &done));
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(150 + random.below(150) as u64));
            broker.kill();
            std::thread::sleep(Duration::from_millis(random.below(200) as u64));
            broker.restart();
        }
        let (summary, answers) = head.join().unwrap();
        (summary, answers, tail.join().unwrap())
    });
    println!(
        "frames={frames} kills={kills} persistent={persistent} seconds={:.1} resent={} ran={} repeats={}",
        begun.elapsed().as_secs_f64(),
        summary.resent,
        steps.ran,
        steps.repeats
    );
    assert_eq!(summary.answered, frames);
    assert_each_once(&answers, frames);
    assert!(summary.resent > 0, "no kill hit anything");
}

#[test]
fn a_broker_killed_without_its_session_loses_no_frame() {
    kill_broker(500 * soak(), 5 * soak(), false);
}

#[test]
fn a_broker_killed_with_its_session_loses_no_frame() {
    kill_broker(500 * soak(), 5 * soak(), true);
}

/// Frames that wait for their receipts.
fn waiting(metrics: &Metrics) -> u64 {
    metrics.document()["waiting_frames"].as_u64().unwrap()
}

#[test]
fn a_backlog_is_gone_within_twice_the_outage() {
    let outage = Duration::from_secs(2 * soak().min(10));
    let mut broker = Mosquitto::start("persistence false");
    let spool = tempfile::tempdir().unwrap();
    let limits = SpoolLimits {
        bytes: 64 << 20,
        when_full: WhenFull::RefuseNew,
    };
    let pause = Duration::from_millis(4);
    let source = Counting {
        next: 0,
        // Inputs go on long enough behind the outage.
        end: u64::try_from((outage * 4).as_millis() / pause.as_millis()).unwrap(),
        bytes: 4800,
        pause,
    };
    let frames = source.end;
    let metrics = Arc::new(Metrics::default());
    let done = AtomicBool::new(false);
    let mut tail = tail(connect(&broker.url(), "tail"), None, Confirm::Stage, inline());
    let link = connect(&broker.url(), "head");
    let keep = open(spool.path(), limits).unwrap();
    let (backlog, took, answers) = std::thread::scope(|scope| {
        let head = scope.spawn(|| {
            let outcome = run_head_counted("cam", source, link, keep, inline(), Arc::clone(&metrics));
            done.store(true, Ordering::Release);
            outcome.1
        });
        scope.spawn(|| run_tail(&mut tail, &done));
        std::thread::sleep(outage / 4);
        broker.kill();
        std::thread::sleep(outage);
        let backlog = waiting(&metrics);
        broker.restart();
        let back = Instant::now();
        eventually("an empty spool", || waiting(&metrics) < backlog / 20);
        (backlog, back.elapsed(), head.join().unwrap())
    });
    println!("outage={outage:?} backlog={backlog} frames, gone after {took:?}");
    assert!(backlog > 100, "no backlog: {backlog} frames");
    assert!(took <= outage * 2, "the backlog was gone after {took:?}");
    assert_each_once(&answers, frames);
}
