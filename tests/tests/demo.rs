//! The demo: two halves in two processes answer as the whole model does, the photos' answers are the right ones, and however
//! it ends, no process and no folder stays behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kerf_tests::process::eventually;
use kerf_tests::{fixture, kerf, succeed};

fn demo(folder: &Path) -> Command {
    let mut command = kerf();
    command
        .arg("demo")
        .arg("--fixtures")
        .arg(fixture(""))
        .env("TMPDIR", folder);
    command
}

fn assert_empty(folder: &Path) {
    let left: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn the_photos_are_named_and_equal_the_whole_models_answers() {
    let folder = tempfile::tempdir().unwrap();
    let table = succeed(&mut demo(folder.path()));
    assert!(table.contains("6 of 6 answers equal the whole model's"), "{table}");
    let row = |photo: &str| {
        table
            .lines()
            .find(|line| line.starts_with(photo))
            .unwrap_or_else(|| panic!("{table}"))
    };
    assert!(row("chelsea").contains(" cat"), "{table}");
    assert!(row("coffee").contains("espresso"), "{table}");
    assert!(row("rocket").contains("missile"), "{table}");
    for line in table.lines().filter(|line| line.contains(" yes ")) {
        // Head ms, bytes, transfer ms, tail ms: measured, none missing.
        let numbers = line
            .split_whitespace()
            .rev()
            .take(4)
            .filter(|word| word.parse::<f64>().is_ok());
        assert_eq!(numbers.count(), 4, "{line}");
    }
    assert!(table.contains("Cut at "), "{table}");
    assert!(
        table
            .lines()
            .filter(|l| l.contains('─') || l.contains(" yes "))
            .all(|l| l.chars().count() <= 80),
        "{table}"
    );
    assert_empty(folder.path());
}

#[test]
fn digits_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let table = succeed(demo(folder.path()).args(["--model", "lenet5"]));
    assert!(table.contains("10 of 10 answers equal the whole model's"), "{table}");
    let labels = fs::read_to_string(fixture("images/digits/labels.csv")).unwrap();
    let label = |name: &str| {
        labels
            .lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split(',').nth(1))
    };
    let rows = table
        .lines()
        .filter(|line| line.starts_with('d') && line.contains(" yes "));
    let right = rows.filter(|row| {
        let mut words = row.split_whitespace();
        let (name, answer) = (words.next().unwrap(), words.next());
        label(name) == answer
    });
    // LeNet-5 is right for 97.5 % of held-out digits.
    assert!(right.count() >= 9, "{table}");
    assert_empty(folder.path());
}

/// Children of a process, from /proc.
fn children(parent: u32) -> Vec<u32> {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    // The parent's id is the second word behind the name, which may have spaces and ends with `)`.
    let parent_of = |pid: u32| {
        stat(pid)
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok())
    };
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie whose parent is gone is reaped by init; it runs nothing.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut running = demo(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("a child of the demo", || !children(running.id()).is_empty());
        let started = children(running.id());
        succeed(Command::new("kill").args([signal, &running.id().to_string()]));
        let status = running.wait().unwrap();
        assert!(matches!(status.code(), Some(130 | 143)), "{status}");
        eventually("the children's end", || started.iter().all(|pid| !alive(*pid)));
        assert_empty(folder.path());
    }
}

#[test]
fn control_c_in_a_terminal_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // `script` gives the demo a terminal of its own; what is written to it is typed there.
    let demo = demo(folder.path());
    let words: Vec<String> = std::iter::once(demo.get_program())
        .chain(demo.get_args())
        .map(|w| w.to_str().unwrap().to_owned())
        .collect();
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--command",
        &format!("exec {}", words.join(" ")),
        "/dev/null",
    ]);
    script
        .env("TMPDIR", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut terminal = script.spawn().expect("script(1) is part of every Debian");
    let mut started = Vec::new();
    eventually("a child of the demo in the terminal", || {
        started = children(terminal.id()).into_iter().flat_map(children).collect();
        !started.is_empty()
    });
    terminal.stdin.take().unwrap().write_all(&[3]).unwrap();
    let status = terminal.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{status}");
    eventually("the children's end", || started.iter().all(|pid| !alive(*pid)));
    assert_empty(folder.path());
}
