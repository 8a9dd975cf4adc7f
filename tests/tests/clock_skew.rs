//! Wall clocks that are wrong, far apart or jump change no answer: nothing but certificates, signatures and log lines looks
//! at them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::stages::{lenet_bundle, picture, stage};
use kerf_tests::{certificates, kerf_stage};

/// Debian's libfaketime, an independent liar; none, said aloud, where it is not installed.
fn faketime() -> Option<PathBuf> {
    let folders = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let files = folders.map(|f| Path::new("/usr/lib").join(f).join("faketime/libfaketime.so.1"));
    let found = files.into_iter().find(|file| file.exists());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "libfaketime is not installed under CI"
    );
    if found.is_none() {
        eprintln!("SKIPPED: no libfaketime; build-scripts/test installs it (package faketime)");
    }
    found
}

/// A command whose wall clock says what is in this file, read again at each look; its monotonic clock is true.
fn with_clock<'c>(command: &'c mut Command, library: &Path, clock: &Path) -> &'c mut Command {
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// Input → (best class and outputs as text) of a head's answers.
fn answers(stdout: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(stdout).unwrap();
    let answer = |line: &str| {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(answer["error"].is_null(), "{line}");
        let input = answer["input"].as_str().unwrap().to_owned();
        (input, format!("{} {}", answer["top"], answer["outputs"]))
    };
    text.lines().map(answer).collect()
}

struct Bench {
    folder: tempfile::TempDir,
    library: PathBuf,
    bundle: PathBuf,
    broker: Mosquitto,
}

impl Bench {
    /// All answers of a head and a tail with these clocks; with `jumps`, the head's clock takes each of these in turn.
    fn run(&self, name: &str, head_clock: &str, tail_clock: &str, jumps: &[&str]) -> BTreeMap<String, String> {
        let at = |what: &str| self.folder.path().join(format!("{name}-{what}"));
        std::fs::write(at("head"), head_clock).unwrap();
        std::fs::write(at("tail"), tail_clock).unwrap();
        let mut tail = stage(&self.bundle, &self.broker.url(), "1");
        let mut tail = Running::start(with_clock(&mut tail, &self.library, &at("tail")));
        tail.wait_for("event=ready");
        let mut head = stage(&self.bundle, &self.broker.url(), "0");
        with_clock(&mut head, &self.library, &at("head"))
            .arg("--spool-dir")
            .arg(at("spool"))
            .arg("--input")
            .arg(self.folder.path().join("in"))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let head = head.spawn().unwrap();
        for jump in jumps {
            std::thread::sleep(Duration::from_millis(30));
            // Replaced as a whole: half a file is no time.
            std::fs::write(at("new"), jump).unwrap();
            std::fs::rename(at("new"), at("head")).unwrap();
        }
        let output = head.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}: {}", output.status);
        answers(&output.stdout)
    }
}

#[test]
fn clocks_at_1970_ten_years_apart_and_backwards_give_the_same_answers() {
    let Some(library) = faketime() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("in");
    std::fs::create_dir(&pictures).unwrap();
    for n in 0..40 {
        std::fs::write(pictures.join(format!("{n:02}.npy")), picture(n)).unwrap();
    }
    let bench = Bench {
        bundle: lenet_bundle(&folder.path().join("bundle")),
        broker: Mosquitto::start(""),
        folder,
        library,
    };
    let right = bench.run("right", "+0", "+0", &[]);
    assert_eq!(right.len(), 40);
    let epoch = "@1970-01-01 00:00:10";
    assert_eq!(right, bench.run("epoch", epoch, "+0", &[]));
    assert_eq!(right, bench.run("tail-epoch", "+0", epoch, &[]));
    assert_eq!(right, bench.run("apart", "-10y", "+10y", &[]));
    let jumps = ["-10y", "+10y", "-1d", "+0", "-3600", epoch];
    assert_eq!(right, bench.run("jumps", "+0", "+0", &jumps));
}

#[test]
fn a_certificate_that_is_not_yet_valid_names_the_clock() {
    let Some(library) = faketime() else {
        return;
    };
    let broker = Mosquitto::start_with(|folder, port| {
        certificates::make(folder, "localhost", "30");
        let file = |name: &str| folder.join(name).display().to_string();
        let (ca, cert, key) = (file("ca.pem"), file("broker.pem"), file("broker.key"));
        format!("listener {port} 127.0.0.1\nallow_anonymous true\ncafile {ca}\ncertfile {cert}\nkeyfile {key}\n")
    });
    let clock = broker.folder().join("clock");
    std::fs::write(&clock, "@1970-01-01 00:00:10").unwrap();
    let url = format!("mqtts://localhost:{}", broker.port());
    let mut reader = kerf_stage();
    reader
        .args(["results", "--broker", &url, "--broker-ca"])
        .arg(broker.folder().join("ca.pem"));
    let said = kerf_tests::fail(with_clock(&mut reader, &library, &clock), 41);
    assert!(said.contains("clock"), "{said}");
}
