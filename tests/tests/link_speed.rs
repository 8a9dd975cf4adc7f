//! What the links cost: time added to a frame, frames a second, bytes a second, a thousand boards, two tails.
//!
//! Every run measures a little and asserts little, for machines differ; `cargo xtask bench links` runs the full figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::broker::mqtt::{MqttBroker, MqttConfig};
use kerf_runtime::bundle::Bundle;
use kerf_runtime::source::{Input, Reader, Source, SourceError};
use kerf_runtime::spool::{SpoolLimits, open};
use kerf_runtime::stage::head::{self, HeadConfig, HeadLinks};
use kerf_runtime::stage::keep::{Keep, MemoryKeep, WhenFull};
use kerf_runtime::stage::tail::Confirm;

use kerf_runtime::step::Step;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::relay::{
    Counting, Number, assert_each_once, border_of, connect, head_config, inline, run_head, run_tail, tail, tail_of,
};
use kerf_tests::stages::{lenet_bundle, picture};

const SPOOL: SpoolLimits = SpoolLimits {
    bytes: 1 << 30,
    when_full: WhenFull::RefuseNew,
};

/// The p-th percentile, ms.
fn percentile_ms(times: &mut [Duration], p: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * p / 100).min(times.len() - 1);
    times[at].as_secs_f64() * 1e3
}

/// CPU time of a process so far: proc(5), fields 14 and 15 of `stat`, in hundredths of a second.
fn cpu_seconds(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let behind_name = text.rsplit_once(')').unwrap().1;
    let fields: Vec<f64> = behind_name.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    // The state is no number: field 14 is the eleventh number behind the name.
    (fields[10] + fields[11]) / 100.0
}

/// One input again and again, each when the last is answered.
struct OneByOne {
    input: Input,
    left: u64,
    go: Receiver<()>,
    begun: std::sync::Arc<Mutex<Instant>>,
}

impl Source for OneByOne {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        if self.left == 0 || self.go.recv().is_err() {
            return Ok(None);
        }
        self.left -= 1;
        *self.begun.lock().unwrap() = Instant::now();
        Ok(Some(self.input.clone()))
    }
}

fn part_of(bundle: &Path, index: usize) -> Step {
    let bundle = Bundle::open(bundle).unwrap();
    Step::load(&bundle, index, &[], &LoadOptions::default()).unwrap()
}

fn lenet_input(bundle: &Path) -> Input {
    let bundle = Bundle::open(bundle).unwrap();
    Reader::of_bundle(&bundle, 0)
        .unwrap()
        .decode(&picture(1), "picture")
        .unwrap()
}

/// p50 and p99 of the same parts in one process, frame by frame, without links.
fn in_one_process(bundle: &Path, frames: u64) -> Vec<Duration> {
    let (mut first, mut last) = (part_of(bundle, 0), part_of(bundle, 1));
    let input = lenet_input(bundle);
    let mut run = || {
        let begun = Instant::now();
        let leaving = first.run(&input).unwrap();
        let tensors = leaving.values.iter();
        let tensors = tensors.map(|(name, t)| ((*name).to_owned(), kerf_runtime::tensor::Tensor::copy_of(*t).unwrap()));
        let crossing = Input {
            label: String::new(),
            tensors: tensors.collect(),
        };
        last.run(&crossing).unwrap();
        begun.elapsed()
    };
    (0..frames).map(|_| run()).collect()
}

/// The same over loopback mosquitto, from the input's reading to its answer on the head.
fn over_the_links(bundle: &Path, frames: u64, keep: impl Keep + 'static) -> Vec<Duration> {
    let broker = Mosquitto::start("");
    let done = AtomicBool::new(false);
    let mut tail = tail_of(
        connect(&broker.url(), "tail"),
        border_of(bundle),
        Box::new(part_of(bundle, 1)),
    );
    let mut link = connect(&broker.url(), "head");
    let config = HeadConfig {
        topics: kerf_runtime::broker::topics::Topics::new("kerf").unwrap(),
        onward: border_of(bundle),
        ..head_config("cam")
    };
    head::subscribe(&mut link, &config).unwrap();
    let links = HeadLinks {
        broker: Box::new(link),
        keep: Box::new(keep),
        envelopes: inline(),
        answerer: Box::new(Number),
        metrics: std::sync::Arc::default(),
        status: None,
    };
    let (goes, go) = channel();
    let begun = std::sync::Arc::new(Mutex::new(Instant::now()));
    let mut source = OneByOne {
        input: lenet_input(bundle),
        left: frames,
        go,
        begun: std::sync::Arc::clone(&begun),
    };
    goes.send(()).unwrap();
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| run_tail(&mut tail, &done));
        head::run(&mut source, &mut part_of(bundle, 0), links, &config, &mut |answer| {
            assert!(answer.result.error.is_none());
            times.push(begun.lock().unwrap().elapsed());
            let _the_source_may_be_over = goes.send(());
        });
        done.store(true, Ordering::Release);
    });
    times
}

/// What this disk takes to make one such frame durable.
fn fdatasync(folder: &Path, times: u32) -> Vec<Duration> {
    let mut file = std::fs::File::create(folder.join("probe")).unwrap();
    let one = |_| {
        file.write_all(&[7; 4800]).unwrap();
        let begun = Instant::now();
        file.sync_data().unwrap();
        begun.elapsed()
    };
    (0..times).map(one).collect()
}

fn latency(frames: u64) {
    let folder = tempfile::tempdir().unwrap();
    let bundle = lenet_bundle(&folder.path().join("bundle"));
    let mut disk = fdatasync(folder.path(), 200);
    let mut alone = in_one_process(&bundle, frames);
    let mut memory = over_the_links(&bundle, frames, MemoryKeep::new(1 << 24, WhenFull::RefuseNew));
    let mut spooled = over_the_links(&bundle, frames, open(&folder.path().join("spool"), SPOOL).unwrap());
    assert_eq!((memory.len() as u64, spooled.len() as u64), (frames, frames));
    let (p50, p99) = (percentile_ms(&mut alone, 50), percentile_ms(&mut alone, 99));
    println!("latency frames={frames} one process: p50 {p50:.3} ms, p99 {p99:.3} ms");
    println!(
        "latency fdatasync of a frame: p50 {:.3} ms, p99 {:.3} ms",
        percentile_ms(&mut disk, 50),
        percentile_ms(&mut disk, 99)
    );
    for (name, times) in [("memory", &mut memory), ("spool", &mut spooled)] {
        println!(
            "latency {name}: added p50 {:.3} ms, p99 {:.3} ms",
            percentile_ms(times, 50) - p50,
            percentile_ms(times, 99) - p99
        );
    }
}

/// Frames of this size as fast as they go, spooled, through mosquitto, answered.
fn throughput(frames: u64, bytes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start("");
    let done = AtomicBool::new(false);
    let mut tail = tail(connect(&broker.url(), "tail"), None, Confirm::Stage, inline());
    let link = connect(&broker.url(), "head");
    let keep = open(folder.path(), SPOOL).unwrap();
    let source = Counting {
        next: 0,
        end: frames,
        bytes,
        pause: Duration::ZERO,
    };
    let us = std::process::id();
    let (cpu, broker_cpu, begun) = (cpu_seconds(us), cpu_seconds(broker.id()), Instant::now());
    let answers = std::thread::scope(|scope| {
        scope.spawn(|| run_tail(&mut tail, &done));
        let (summary, answers) = run_head("cam", source, link, keep, inline());
        done.store(true, Ordering::Release);
        println!("throughput bytes={bytes} resent={}", summary.resent);
        answers
    });
    let seconds = begun.elapsed().as_secs_f64();
    assert_each_once(&answers, frames);
    println!(
        "throughput bytes={bytes} frames={frames}: {:.0} frames/s, {:.1} MB/s, CPU a frame: head and tail {:.0} us, mosquitto {:.0} us",
        frames as f64 / seconds,
        frames as f64 * bytes as f64 / seconds / 1e6,
        (cpu_seconds(us) - cpu) * 1e6 / frames as f64,
        (cpu_seconds(broker.id()) - broker_cpu) * 1e6 / frames as f64,
    );
}

/// Boards of one frame a second, on one tail; each a head of its own with its own connection.
fn boards(count: u64, seconds: u64) {
    let broker = Mosquitto::start("");
    let done = AtomicBool::new(false);
    let mut tail = tail(connect(&broker.url(), "tail"), None, Confirm::Stage, inline());
    let (answered, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    let times = Mutex::new(Vec::new());
    let us = std::process::id();
    let (cpu, begun) = (cpu_seconds(us), Instant::now());
    std::thread::scope(|scope| {
        scope.spawn(|| run_tail(&mut tail, &done));
        let heads: Vec<_> = (0..count)
            .map(|n| {
                let (url, times, answered, lost) = (broker.url(), &times, &answered, &lost);
                // A board does not begin in step with another.
                std::thread::sleep(Duration::from_millis(1000 / count.max(1)));
                scope.spawn(move || {
                    let name = format!("board-{n}");
                    let config = MqttConfig::new(url.parse().unwrap(), name.clone());
                    let link = MqttBroker::connect(config).unwrap();
                    let source = Counting {
                        next: 0,
                        end: seconds,
                        bytes: 400,
                        pause: Duration::from_secs(1),
                    };
                    let keep = MemoryKeep::new(1 << 20, WhenFull::RefuseNew);
                    let (_, answers) = run_head(&name, source, link, keep, inline());
                    assert_each_once(&answers, seconds);
                    answered.fetch_add(answers.len() as u64, Ordering::AcqRel);
                    lost.fetch_add(seconds - answers.len() as u64, Ordering::AcqRel);
                    let of_board = answers
                        .iter()
                        .filter_map(|a| a.transfer_ms)
                        .map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3));
                    times.lock().unwrap().extend(of_board);
                })
            })
            .collect();
        heads.into_iter().for_each(|head| head.join().unwrap());
        done.store(true, Ordering::Release);
    });
    let mut times = times.into_inner().unwrap();
    let (answered, lost) = (answered.into_inner(), lost.into_inner());
    println!(
        "boards count={count} seconds={seconds} answered={answered} lost={lost} p50 {:.2} ms, p99 {:.2} ms, cores {:.2}",
        percentile_ms(&mut times, 50),
        percentile_ms(&mut times, 99),
        (cpu_seconds(us) - cpu) / begun.elapsed().as_secs_f64()
    );
    assert_eq!((answered, lost), (count * seconds, 0));
}

#[test]
fn the_links_carry_frames_at_some_speed() {
    latency(100);
    throughput(2000, 400);
    throughput(30, 2_000_000);
    boards(20, 3);
}

#[test]
#[ignore = "minutes on a quiet machine; run by cargo xtask bench links"]
fn full_latency() {
    latency(3000);
}

#[test]
#[ignore = "minutes on a quiet machine; run by cargo xtask bench links"]
fn full_throughput() {
    throughput(40_000, 400);
    throughput(10_000, 65_536);
    throughput(400, 4_000_000);
}

#[test]
#[ignore = "a thousand connections and threads; run by cargo xtask bench links"]
fn full_boards() {
    boards(1000, 20);
}
