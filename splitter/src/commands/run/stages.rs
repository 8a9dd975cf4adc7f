//! `kerf run --broker …`: each part in a process of its own, joined as on the board and in the cloud; one full cycle an input.
//!
//! Owns: starting the stages in the order in which they must be there, what is said when all are answered. Must not know: how a
//! stage works: it is `kerf-stage run`.

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStdout, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use kerf_runtime::bundle::Bundle;
use kerf_wire::profile::Sample;
use serde_json::Value;

use super::super::table::{bytes, ms, table};
use super::Args;
use crate::children::{Children, failure, stage_program};
use crate::commands::print;
use crate::exit::{Exit, Failure, OrExit as _};

/// A part loads and reaches its broker within this time.
const START_MAX: Duration = Duration::from_mins(2);
/// Longest time without an answer.
const SILENCE_MAX: Duration = Duration::from_mins(2);
/// How often a wait looks whether a child has failed.
const LOOK: Duration = Duration::from_millis(200);
/// What a stage says when it takes frames.
const READY: &str = "event=ready";

/// Parts as processes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Every part a process")]
pub struct StagesArgs {
    /// Run each part as a `kerf-stage run` of its own, joined by this broker: mqtt://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with = "oscar")]
    pub broker: Option<String>,
    /// The object store for frames too large for the broker: http(s)://HOST:PORT or file:///DIR
    #[arg(long, value_name = "URL", requires = "broker")]
    pub store: Option<String>,
    /// The parts behind the first already run elsewhere: start only the first
    #[arg(long, requires = "broker")]
    pub elsewhere: bool,
    /// Take the next input only while fewer than this many wait for their answers; 1 shows what one takes by itself
    #[arg(long, default_value_t = 1, requires = "broker", value_name = "NUMBER")]
    pub in_flight: u32,
    /// What every stage is told besides, e.g. `-- --broker-user me --broker-ca ca.pem`
    #[arg(last = true, requires = "broker", value_name = "STAGE OPTION")]
    pub told: Vec<String>,
}

/// Runs each input through all stages; a line of JSON an input, and a table of the hops on stderr.
pub(super) fn run(args: &Args, bundle: &Bundle, broker: &str) -> Result<(), Failure> {
    let program = stage_program()?;
    let parts = bundle.manifest().parts.len();
    let children = Children::new("run").or_exit(Exit::Bug)?;
    // A stage's log is shown when it fails.
    let stage = |part: usize| {
        let mut command = Command::new(&program);
        // A bundle at the desk: this command itself takes any.
        command.args(["run", "--allow-unsigned", "--part", &part.to_string(), "--bundle"]);
        command.arg(&args.bundle).args(["--broker", broker]);
        command.args(args.stages.store.iter().flat_map(|url| ["--store", url]));
        command.args(&args.stages.told);
        command
    };
    if !args.stages.elsewhere {
        for part in (1..parts).rev() {
            start(&children, part, &mut stage(part))?;
        }
    }
    let mut head = stage(0);
    head.arg("--input").arg(&args.input);
    head.args(["--in-flight", &args.stages.in_flight.to_string()]);
    let stdout = children.spawn("part 0", &mut head).or_exit(Exit::RunFailed)?;
    let answers = answers(&children, stdout)?;
    if let Some(failed) = children.failed() {
        return Err(failure(&failed));
    }
    eprint!("{}", hops(&answers));
    Ok(())
}

fn start(children: &Children, part: usize, command: &mut Command) -> Result<(), Failure> {
    let name = format!("part {part}");
    let (stdout, ready) = children.spawn_until(&name, command, READY).or_exit(Exit::RunFailed)?;
    // Read to its end, so that the stage never waits for a reader.
    std::thread::spawn(move || drop(std::io::copy(&mut BufReader::new(stdout), &mut std::io::sink())));
    let mut waited = Duration::ZERO;
    while ready.recv_timeout(LOOK).is_err() {
        if let Some(failed) = children.failed() {
            return Err(failure(&failed));
        }
        waited += LOOK;
        if waited > START_MAX {
            let log = children.log_tail(&name);
            return Err(failure(&format!("{name} was not ready within {START_MAX:?}:\n{log}")));
        }
    }
    Ok(())
}

/// Prints the head's lines as they come; gives them when it has ended.
fn answers(children: &Children, stdout: ChildStdout) -> Result<Vec<Value>, Failure> {
    let lines = lines_of(stdout);
    let (mut answers, mut silent) = (Vec::new(), Duration::ZERO);
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                silent = Duration::ZERO;
                print(&format!("{line}\n"))?;
                answers.push(serde_json::from_str(&line).or_exit(Exit::Bug)?);
            }
            Err(RecvTimeoutError::Disconnected) => {
                children.wait_if_interrupted();
                children.ended("part 0").or_exit(Exit::Bug)?;
                return Ok(answers);
            }
            Err(RecvTimeoutError::Timeout) => silent += LOOK,
        }
        if let Some(failed) = children.failed() {
            return Err(failure(&failed));
        }
        if silent > SILENCE_MAX {
            let log = children.log_tail("part 0");
            return Err(failure(&format!("no answer for {SILENCE_MAX:?}:\n{log}")));
        }
    }
}

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Where the time went: medians over the inputs.
fn hops(answers: &[Value]) -> String {
    let median = |pick: &dyn Fn(&Value) -> Option<f64>| {
        let all: Vec<f64> = answers.iter().filter_map(pick).collect();
        (!all.is_empty()).then(|| Sample::of(&all).median)
    };
    let shown = |figure: Option<f64>| figure.map(ms).unwrap_or_default();
    let hop =
        |index: usize, what: &'static str| shown(median(&|answer| answer["hops"].get(index)?.get(what)?.as_f64()));
    let parts = answers
        .iter()
        .filter_map(|answer| answer["hops"].as_array().map(Vec::len))
        .max();
    let mut rows: Vec<[String; 4]> = (0..parts.unwrap_or(0))
        .map(|index| {
            [
                format!("part {index}"),
                hop(index, "decode_ms"),
                hop(index, "run_ms"),
                hop(index, "encode_ms"),
            ]
        })
        .collect();
    let transfer = median(&|answer| answer["transfer_ms"].as_f64());
    if transfer.is_some() {
        rows.insert(
            rows.len().min(1),
            ["on the way".into(), String::new(), shown(transfer), String::new()],
        );
    }
    let total = shown(median(&|answer| answer["total_ms"].as_f64()));
    let frame = median(&|answer| answer["frame_bytes"].as_f64()).unwrap_or(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
    let frame = bytes(frame as u64);
    format!(
        "{}{} inputs answered; from input to answer {total} ms (median), {frame} a frame\n",
        table(["HOP", "DECODE MS", "MS", "ENCODE MS"], &rows, 1),
        answers.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_medians_and_the_way_stands_between_the_parts() {
        let answer = |run: f64, way: f64| {
            serde_json::json!({"hops": [{"decode_ms": 1.0, "run_ms": run, "encode_ms": 0.5}, {"decode_ms": 0.1, "run_ms": 2.0, "encode_ms": 0.0}],
                "transfer_ms": way, "total_ms": run + way + 3.6, "frame_bytes": 2048})
        };
        let text = hops(&[answer(10.0, 30.0), answer(12.0, 31.0), answer(11.0, 90.0)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("part 0") && lines[1].contains("11.0"), "{text}");
        assert!(
            lines[2].starts_with("on the way") && lines[2].contains("31.0"),
            "{text}"
        );
        assert!(lines[3].starts_with("part 1"), "{text}");
        assert!(text.contains("3 inputs answered"), "{text}");
    }
}
