//! `cargo xtask test`: builds the programs, names them to the tests, runs every test and counts them.
//!
//! Owns: how tests are started. Must not know: what they test.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::repo::{self, Profile};
use crate::setup;

/// Runs every test with the programs built first: with cargo-nextest where it is installed, else with cargo test.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose name contains this.
    filter: Option<String>,
    /// Instead of the usual tests run the long proofs of cutting and quantizing: minutes of two cores. With KERF_MODELS set,
    /// every cut of every model in that folder too.
    #[arg(long)]
    all_cuts: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // The tests' own build graph, so that nothing is compiled twice with other features.
    repo::run(repo::cargo().args(["build", "--workspace", "--all-targets"]))?;
    let programs = repo::programs(Profile::Dev)?;
    let prepare = |command: &mut Command| {
        command
            .env("KERF_BIN", &programs.kerf)
            .env("KERF_STAGE_BIN", &programs.kerf_stage);
        match setup::python() {
            Some(python) => drop(command.env("KERF_TEST_PYTHON", python)),
            None => eprintln!("test: no .venv, so the judges' tests skip: run `cargo xtask setup`"),
        }
    };
    if arguments.all_cuts {
        return all_cuts(&prepare)?.conclude();
    }
    let mut counts = if repo::works("cargo", &["nextest", "--version"]) {
        with_nextest(arguments, &prepare)?
    } else {
        with_cargo_test(arguments, &["--workspace", "--all-targets"], &prepare)?
    };
    counts.add(with_cargo_test(arguments, &["--workspace", "--doc"], &prepare)?);
    counts.conclude()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Whether the runner itself called it a success.
    finished: bool,
}

impl Counts {
    /// Prints the closing line; fails where a test failed or none ran.
    fn conclude(self) -> Result<()> {
        println!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        );
        ensure!(self.failed == 0 && self.finished, "some tests failed");
        ensure!(self.passed > 0, "no test ran");
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.finished &= other.finished;
    }
}

fn with_nextest(arguments: &Arguments, prepare: &dyn Fn(&mut Command)) -> Result<Counts> {
    let mut nextest = repo::cargo();
    nextest.args(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests", "pass"]);
    nextest.args(&arguments.filter);
    prepare(&mut nextest);
    counted(&mut nextest, Stream::Err, nextest_counts)
}

/// The tests with the long proofs.
const LONG_PROOFS: [&str; 4] = ["every_cut", "random_cuts", "large_model", "quantize"];

fn all_cuts(prepare: &dyn Fn(&mut Command)) -> Result<Counts> {
    let mut test = repo::cargo();
    test.args(["test", "--package", "kerf-tests", "--no-fail-fast"]);
    for name in LONG_PROOFS {
        test.args(["--test", name]);
    }
    test.args(["--", "--ignored", "--nocapture"]);
    prepare(&mut test);
    counted(&mut test, Stream::Out, cargo_test_counts)
}

fn with_cargo_test(arguments: &Arguments, what: &[&str], prepare: &dyn Fn(&mut Command)) -> Result<Counts> {
    let mut test = repo::cargo();
    test.arg("test")
        .args(what)
        .arg("--no-fail-fast")
        .args(&arguments.filter);
    prepare(&mut test);
    counted(&mut test, Stream::Out, cargo_test_counts)
}

/// Runs a `cargo test` command and prints its counts; fails where a test does, or none ran.
///
/// # Errors
/// As said.
pub(crate) fn run_cargo_tests(command: &mut Command) -> Result<()> {
    counted(command, Stream::Out, cargo_test_counts)?.conclude()
}

/// Where a runner prints its counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// Runs a test runner, passes its lines on as they come, and adds up those that `read` takes for counts.
fn counted(command: &mut Command, stream: Stream, read: fn(&str) -> Option<Counts>) -> Result<Counts> {
    let line = repo::shown(command);
    eprintln!("$ {line}");
    command.stdin(Stdio::null());
    match stream {
        Stream::Out => command.stdout(Stdio::piped()),
        Stream::Err => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().with_context(|| format!("{line} did not start"))?;
    let lines: Box<dyn std::io::Read> = match (child.stdout.take(), child.stderr.take()) {
        (Some(out), _) => Box::new(out),
        (None, Some(err)) => Box::new(err),
        (None, None) => Box::new(std::io::empty()),
    };
    let mut counts = Counts::default();
    for line in BufReader::new(lines).split(b'\n') {
        let line = line.context("the test runner's output broke off")?;
        let line = String::from_utf8_lossy(&line);
        match stream {
            Stream::Out => println!("{line}"),
            Stream::Err => eprintln!("{line}"),
        }
        if let Some(more) = read(&line) {
            counts.add(more);
        }
    }
    counts.finished = child.wait().with_context(|| format!("{line} was lost"))?.success();
    Ok(counts)
}

/// Reads `Summary [ 1.2s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped`.
fn nextest_counts(line: &str) -> Option<Counts> {
    let (_, rest) = line.trim_start().strip_prefix("Summary")?.split_once(':')?;
    // Several outcomes count as a failure; each comes as `N word`.
    let mut counts = Counts::default();
    for part in rest.split(',') {
        let mut words = part.split_whitespace();
        let number: u64 = words.next()?.parse().ok()?;
        match words.next()? {
            "passed" => counts.passed += number,
            "skipped" => counts.skipped += number,
            _ => counts.failed += number,
        }
    }
    Some(counts)
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
fn cargo_test_counts(line: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    for part in rest.split(';') {
        let (number, word) = part.trim().split_once(' ')?;
        let Ok(number) = number.parse::<u64>() else { break };
        match word {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" => counts.skipped = number,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        let finished = false;
        Counts {
            passed,
            failed,
            skipped,
            finished,
        }
    }

    #[test]
    fn reads_the_counts_of_both_runners() {
        let nextest = "     Summary [   4.203s] 95 tests run: 92 passed (2 slow), 2 failed, 1 timed out, 8 skipped";
        assert_eq!(nextest_counts(nextest), Some(counts(92, 3, 8)));
        let cargo = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        assert_eq!(cargo_test_counts(cargo), Some(counts(3, 2, 1)));
        assert_eq!(nextest_counts("        PASS [   0.004s] kerf-wire seal"), None);
        assert_eq!(cargo_test_counts("test seal ... ok"), None);
    }
}
