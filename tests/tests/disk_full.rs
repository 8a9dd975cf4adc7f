//! A disk that is full or fails stops accepting, not the stage: what was accepted stays, and it goes on within a second of
//! there being room.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kerf_runtime::broker::memory::Hub;
use kerf_runtime::source::{Input, Source, SourceError};
use kerf_runtime::spool::{Spool, SpoolLimits};
use kerf_runtime::stage::keep::WhenFull;
use kerf_runtime::stage::tail::Confirm;
use kerf_tests::disk::{Fault, FaultyDisk};
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::{Running, eventually};
use kerf_tests::relay::{Counting, assert_each_once, inline, run_head, run_tail, tail};
use kerf_tests::stages::{lenet_bundle, picture, stage};

const LIMITS: SpoolLimits = SpoolLimits {
    bytes: 1 << 20,
    when_full: WhenFull::RefuseNew,
};

/// Inputs until told to stop, counted.
struct Until<'a> {
    counting: Counting,
    over: &'a AtomicBool,
    given: &'a AtomicU64,
}

impl Source for Until<'_> {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        if self.over.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.given.fetch_add(1, Ordering::AcqRel);
        self.counting.next()
    }
}

/// A whole head whose disk fails from its `call`-th call on, until it is healed; gives how long it then took to go on.
fn heals(call: u64, kind: ErrorKind) -> Duration {
    let hub = Hub::default();
    let disk = FaultyDisk::new(call);
    let keep = Spool::open(Box::new(disk.clone()), LIMITS).unwrap();
    disk.fault_at(call, Fault::Error(kind));
    let (over, done, given) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    let mut tail = tail(hub.connect(), None, Confirm::Stage, inline());
    let source = Until {
        counting: Counting {
            next: 0,
            end: u64::MAX,
            bytes: 300,
            pause: Duration::from_millis(1),
        },
        over: &over,
        given: &given,
    };
    std::thread::scope(|scope| {
        let head = scope.spawn(|| run_head("cam", source, hub.connect(), keep, inline()));
        scope.spawn(|| run_tail(&mut tail, &done));
        eventually("the disk's fault", || disk.has_failed());
        // The queue before the spool is bounded: the source is held once it is full.
        std::thread::sleep(Duration::from_millis(600));
        let (held, calls) = (given.load(Ordering::Acquire), disk.calls());
        disk.heal();
        let healed = Instant::now();
        eventually("frames accepted again", || {
            disk.calls() > calls + 1 && given.load(Ordering::Acquire) > held
        });
        let took = healed.elapsed();
        over.store(true, Ordering::Release);
        let (summary, answers) = head.join().unwrap();
        done.store(true, Ordering::Release);
        let given = given.load(Ordering::Acquire);
        assert_eq!((summary.answered, summary.dropped), (given, 0), "call {call}, {kind:?}");
        assert_each_once(&answers, given);
        took
    })
}

#[test]
fn a_stage_goes_on_within_a_second_of_its_disk() {
    let longest = Mutex::new(Duration::ZERO);
    std::thread::scope(|scope| {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem] {
            for call in 0..12 {
                let longest = &longest;
                scope.spawn(move || {
                    let took = heals(call, kind);
                    let mut longest = longest.lock().unwrap();
                    *longest = took.max(*longest);
                });
            }
        }
    });
    let longest = longest.into_inner().unwrap();
    println!("longest={longest:?} from room to frames");
    assert!(longest <= Duration::from_secs(1), "it took {longest:?}");
}

/// A file system of a few MiB; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None, said aloud, where this process may not mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "kerf-test"])
            .arg(folder.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("SKIPPED: a tmpfs cannot be mounted here; it needs root");
        None
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

fn done(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("done")).map_or(0, Iterator::count)
}

#[test]
fn a_process_whose_disk_is_full_waits_says_50_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("1m") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = lenet_bundle(&at("bundle"));
    let broker = Mosquitto::start("");
    std::fs::create_dir(at("in")).unwrap();
    let mut a_tail = Running::start(&mut stage(&bundle, &broker.url(), "1"));
    a_tail.wait_for("event=ready");
    let mut head = stage(&bundle, &broker.url(), "0");
    let mut head = Running::start(
        head.arg("--spool-dir")
            .arg(disk.at("spool"))
            .arg("--watch")
            .arg(at("in")),
    );
    head.wait_for("event=spool_open");
    let put = |from: usize| {
        for n in from..from + 10 {
            std::fs::write(at("part"), picture(n as u64)).unwrap();
            std::fs::rename(at("part"), at("in").join(format!("{n:03}.npy"))).unwrap();
        }
    };
    put(0);
    eventually("ten answers", || done(&at("in")) == 10);
    // Whatever is free is taken, to the last byte.
    let ballast = disk.at("ballast");
    let mut filled = 0;
    while std::fs::write(&ballast, vec![1_u8; filled + 4096]).is_ok() {
        filled += 4096;
    }
    put(10);
    head.wait_for("code=50");
    assert_eq!(done(&at("in")), 10);
    std::fs::remove_file(ballast).unwrap();
    let room = Instant::now();
    eventually("an answer", || done(&at("in")) > 10);
    let took = room.elapsed();
    eventually("all answers", || done(&at("in")) == 20);
    println!("first answer {took:?} after there was room");
    assert!(took <= Duration::from_secs(1), "it took {took:?}");
}
