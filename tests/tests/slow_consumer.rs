//! A tail that is ten times slower than its head costs disk, not memory: the head's backlog is in its spool.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kerf_runtime::backend::RunError;
use kerf_runtime::source::Input;
use kerf_runtime::stage::Part;
use kerf_runtime::step::Leaving;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::{Running, eventually};
use kerf_tests::random::soak;
use kerf_tests::relay::{Passing, border_of, connect, run_tail, tail_of};
use kerf_tests::stages::{lenet_bundle, picture, stage};

/// Time for one frame, ten times what LeNet-5's head needs here.
const PER_FRAME: Duration = Duration::from_millis(20);

/// Passes its tensors on, slowly.
struct Slow(Passing);

impl Part for Slow {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        std::thread::sleep(PER_FRAME);
        self.0.run(input)
    }

    fn backend(&self) -> Option<&'static str> {
        None
    }
}

/// Resident memory of a process, bytes: proc(5), the second number of `statm`, in pages.
fn resident_bytes(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn a_heads_memory_does_not_grow_while_its_tail_is_ten_times_slower() {
    let seconds = 6 * soak();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = lenet_bundle(&at("bundle"));
    let broker = Mosquitto::start("");
    std::fs::create_dir(at("in")).unwrap();
    // Far more than the tail can answer, and a frame has 4.8 KB.
    for n in 0..seconds * 400 {
        std::fs::write(at("in").join(format!("{n:07}.npy")), picture(n)).unwrap();
    }
    let done = AtomicBool::new(false);
    let mut tail = tail_of(
        connect(&broker.url(), "tail"),
        border_of(&bundle),
        Box::new(Slow(Passing)),
    );
    std::thread::scope(|scope| {
        let answering = scope.spawn(|| run_tail(&mut tail, &done));
        let mut command = stage(&bundle, &broker.url(), "0");
        command
            .args(["--metrics", "127.0.0.1:0"])
            .arg("--spool-dir")
            .arg(at("spool"));
        let mut head = Running::start(command.arg("--no-results").arg("--input").arg(at("in")));
        head.wait_for("event=spool_open");
        let spooled = || {
            let files = std::fs::read_dir(at("spool")).unwrap();
            files
                .map(|file| file.unwrap().metadata().map_or(0, |m| m.len()))
                .sum::<u64>()
        };
        // Caches, the window and the engine's own memory are there once the backlog is well beyond the window.
        eventually("a backlog", || spooled() > 3_000_000);
        let before = resident_bytes(head.id());
        let begun = Instant::now();
        let mut most = before;
        let mut backlog = 0;
        while begun.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(Duration::from_millis(50));
            most = most.max(resident_bytes(head.id()));
            backlog = backlog.max(spooled());
        }
        done.store(true, Ordering::Release);
        let steps = answering.join().unwrap();
        println!(
            "seconds={seconds} answered={} backlog_bytes={backlog} resident_bytes={before} grown_bytes={}",
            steps.ran,
            most - before
        );
        assert!(
            backlog > 6_000_000,
            "the head was not ahead: {backlog} bytes of backlog"
        );
        assert!(most - before <= 10_000_000, "the head grew by {} bytes", most - before);
    });
}
