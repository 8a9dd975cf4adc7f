//! What the demo's processes are told, and what they answer.
//!
//! Owns: `kerf-stage`'s command lines and its lines of JSON. Must not know: what a person sees.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use kerf_wire::InferenceResult;
use serde::Deserialize;

use super::broker::DeskBroker;
use super::example::Example;
use crate::children::{Children, failure, stage_program};
use crate::exit::{Exit, Failure, OrExit as _};

/// What the tail's process is called.
pub(super) const TAIL: &str = "tail";
const HEAD: &str = "head";
const WHOLE: &str = "whole model";
/// Everything travels on the broker: the demo has no object store.
const INLINE_BYTES: usize = 8 * 1024 * 1024;
/// Longest time without an answer.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How often a wait looks whether a child has failed.
const LOOK: Duration = Duration::from_millis(200);

/// A line of `kerf-stage run`.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// The picture's file.
    #[serde(default)]
    input: Option<String>,
    /// Bytes of the frame that crossed.
    #[serde(default)]
    pub(super) frame_bytes: u64,
    /// On the wire and in the broker, both ways; the head knows it for a frame that it sent once.
    #[serde(default)]
    pub(super) transfer_ms: Option<f64>,
    /// The answer itself.
    #[serde(flatten)]
    pub(super) result: InferenceResult,
}

/// Answers by picture's file name.
pub(super) type Answers = BTreeMap<String, Answer>;

/// Both bundles, and the program that runs them.
pub(super) struct Stages {
    program: PathBuf,
    parts: PathBuf,
    whole: PathBuf,
}

/// The name under which a picture's answers are kept.
pub(super) fn key(picture: &Path) -> String {
    picture
        .file_name()
        .unwrap_or(picture.as_os_str())
        .to_string_lossy()
        .into_owned()
}

impl Stages {
    /// Finds `kerf-stage` beside this program.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn new(parts: PathBuf, whole: PathBuf) -> Result<Self, Failure> {
        let program = stage_program()?;
        Ok(Self { program, parts, whole })
    }

    /// `kerf-stage run`, which must not see settings that the user's own stages have.
    fn command(&self, bundle: &Path) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KERF_")) {
            command.env_remove(name);
        }
        // Made a moment ago by this very process.
        command.arg("run").arg("--allow-unsigned").arg("--bundle").arg(bundle);
        command
    }

    fn part(&self, part: usize, broker: &DeskBroker, device: &str) -> Command {
        let mut command = self.command(&self.parts);
        command.args(["--part", &part.to_string(), "--device", device]);
        command.args(["--broker", &format!("mqtt://{}", broker.address())]);
        command.args(["--inline-bytes", &INLINE_BYTES.to_string()]);
        command
    }

    /// The whole model's answers, from a process without any link.
    ///
    /// # Errors
    /// When the process fails or leaves a picture unanswered.
    pub(super) fn whole(&self, children: &Children, example: &Example, tick: &dyn Fn()) -> Result<Answers, Failure> {
        let mut command = self.command(&self.whole);
        command.arg("--input").args(&example.pictures);
        let stdout = children.spawn(WHOLE, &mut command).or_exit(Exit::RunFailed)?;
        collect(WHOLE, stdout, children, example, tick)
    }

    /// Starts the tail, which takes frames until it is ended.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn start_tail(&self, children: &Children, broker: &DeskBroker) -> Result<(), Failure> {
        let stdout = children
            .spawn(TAIL, &mut self.part(1, broker, "demo-tail"))
            .or_exit(Exit::RunFailed)?;
        // Read to its end, so that the tail never waits for a reader.
        thread::spawn(move || drop(std::io::copy(&mut BufReader::new(stdout), &mut std::io::sink())));
        Ok(())
    }

    /// Runs the head over the pictures; gives the answers that came back to it.
    ///
    /// # Errors
    /// When a process fails, nothing comes for a minute, or a picture is left unanswered.
    pub(super) fn head(
        &self,
        children: &Children,
        broker: &DeskBroker,
        example: &Example,
        tick: &dyn Fn(),
    ) -> Result<Answers, Failure> {
        let mut command = self.part(0, broker, "demo-head");
        command.arg("--input").args(&example.pictures);
        let stdout = children.spawn(HEAD, &mut command).or_exit(Exit::RunFailed)?;
        collect(HEAD, stdout, children, example, tick)
    }
}

/// Reads a process's answers until each picture has one.
fn collect(
    name: &str,
    stdout: ChildStdout,
    children: &Children,
    example: &Example,
    tick: &dyn Fn(),
) -> Result<Answers, Failure> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut answers = Answers::new();
    let mut silent = Duration::ZERO;
    while answers.len() < example.pictures.len() {
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                silent = Duration::ZERO;
                let answer: Answer = serde_json::from_str(&line.or_exit(Exit::RunFailed)?).or_exit(Exit::Bug)?;
                if let Some(why) = &answer.result.error {
                    return Err(failure(&format!("the {name} answered with an error: {why}")));
                }
                let picture = answer.input.as_ref().map(|input| key(Path::new(input)));
                answers.insert(picture.unwrap_or_else(|| answer.result.frame.clone()), answer);
                tick();
            }
            Err(RecvTimeoutError::Timeout) => silent += LOOK,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some(failed) = children.failed() {
            return Err(failure(&failed));
        }
        if silent > SILENCE_MAX {
            let log = children.log_tail(name);
            return Err(failure(&format!(
                "the {name} gave no answer for {SILENCE_MAX:?}:\n{log}"
            )));
        }
    }
    let unanswered = example
        .pictures
        .iter()
        .map(|picture| key(picture))
        .find(|picture| !answers.contains_key(picture));
    match unanswered {
        None => Ok(answers),
        Some(picture) => Err(failure(&format!(
            "the {name} left {picture} unanswered:\n{}",
            children.log_tail(name)
        ))),
    }
}
