//! Child processes of a command and their folder: neither outlives it, however it ends.
//!
//! Owns: starting, watching and ending children; Ctrl-C. Must not know: what the children do.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;

use crate::exit::{Exit, Failure, OrExit as _};

/// Last lines of a child's log that are shown when it fails.
const LOG_LINES: usize = 12;
/// A shell's exit code for a program ended by a signal is this plus the signal's number.
const SIGNALLED: i32 = 128;

/// Children and a folder that end together.
#[derive(Clone)]
pub(crate) struct Children {
    shared: Arc<Mutex<Shared>>,
    folder: PathBuf,
}

struct Shared {
    children: Vec<(String, Child)>,
    folder: Option<TempDir>,
}

impl Shared {
    /// Ends everything; after this nothing can be spawned.
    fn end(&mut self) {
        for (name, child) in &mut self.children {
            // A child that ended by itself cannot be killed, and that is fine.
            drop(child.kill());
            if let Err(why) = child.wait() {
                log::warn!("event=lost child={name} why={why}");
            }
        }
        self.children.clear();
        if let Some(folder) = self.folder.take() {
            let path = folder.path().to_owned();
            if let Err(why) = folder.close() {
                log::warn!("event=left-behind folder={} why={why}", path.display());
            }
        }
    }
}

impl Children {
    /// Makes the folder and takes SIGINT, SIGTERM and SIGHUP over; `command` is what ends then, by name.
    ///
    /// # Errors
    /// When the folder, the handler or its thread cannot be made.
    pub(crate) fn new(command: &'static str) -> io::Result<Self> {
        let temporary = tempfile::Builder::new().prefix(&format!("kerf-{command}-")).tempdir()?;
        let folder = temporary.path().to_owned();
        let shared = Arc::new(Mutex::new(Shared {
            children: Vec::new(),
            folder: Some(temporary),
        }));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let watched = Arc::clone(&shared);
        thread::Builder::new().name("signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                watched.lock().unwrap_or_else(PoisonError::into_inner).end();
                eprintln!("\n{command}: stopped; no process is left behind");
                std::process::exit(SIGNALLED + signal);
            }
        })?;
        Ok(Self { shared, folder })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that the command writes is below it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Starts a child whose log goes to a file of its own; gives its standard output.
    ///
    /// # Errors
    /// When it does not start, or everything has ended already.
    pub(crate) fn spawn(&self, name: &str, command: &mut Command) -> io::Result<ChildStdout> {
        let log = File::create(self.log_file(name))?;
        command.stderr(log);
        self.start(name, command)
    }

    /// As [`Children::spawn`]; the receiver says when the child has said this on its standard error.
    ///
    /// # Errors
    /// As [`Children::spawn`].
    pub(crate) fn spawn_until(
        &self,
        name: &str,
        command: &mut Command,
        mark: &'static str,
    ) -> io::Result<(ChildStdout, Receiver<()>)> {
        let mut log = File::create(self.log_file(name))?;
        command.stderr(Stdio::piped());
        let stdout = self.start(name, command)?;
        let mut shared = self.lock();
        let child = shared.children.iter_mut().rev().find(|(other, _)| other == name);
        let stderr = child.and_then(|(_, child)| child.stderr.take());
        let stderr = stderr.ok_or_else(|| io::Error::other("the child has no standard error"))?;
        let (sender, said) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if writeln!(log, "{line}").is_err() {
                    break;
                }
                if line.contains(mark) {
                    // Nobody may be waiting any more.
                    let _nobody = sender.send(());
                }
            }
        });
        Ok((stdout, said))
    }

    fn start(&self, name: &str, command: &mut Command) -> io::Result<ChildStdout> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // The lock is held over the spawn: a signal ends this child too, or comes before it.
        let mut shared = self.lock();
        if shared.folder.is_none() {
            return Err(io::Error::other("this command is being stopped"));
        }
        let mut child = command.spawn()?;
        let stdout = child.stdout.take();
        shared.children.push((name.to_owned(), child));
        stdout.ok_or_else(|| io::Error::other("the child has no standard output"))
    }

    /// A child that has ended with a failure: its name, how it ended, and the end of its log.
    pub(crate) fn failed(&self) -> Option<String> {
        let mut shared = self.lock();
        shared.children.iter_mut().find_map(|(name, child)| {
            let status = child.try_wait().ok().flatten().filter(|status| !status.success())?;
            Some(format!("the {name} ended with {status}:\n{}", self.log_tail(name)))
        })
    }

    /// Waits for a child's end.
    ///
    /// # Errors
    /// When it was never started, or the system lost it.
    pub(crate) fn ended(&self, name: &str) -> io::Result<()> {
        let mut shared = self.lock();
        let child = shared.children.iter_mut().find(|(other, _)| other == name);
        let (_, child) = child.ok_or_else(|| io::Error::other(format!("{name} was never started")))?;
        child.wait().map(drop)
    }

    /// Waits for the process's end where a signal has ended everything: what then fails, fails because of that.
    pub(crate) fn wait_if_interrupted(&self) {
        while self.lock().folder.is_none() {
            thread::park();
        }
    }

    /// The last lines of a child's log.
    pub(crate) fn log_tail(&self, name: &str) -> String {
        let log = fs::read_to_string(self.log_file(name)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

/// Where `kerf-stage` is: beside this program.
///
/// # Errors
/// Exit code 2 when it is not there.
pub(crate) fn stage_program() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().or_exit(Exit::Bug)?.with_file_name("kerf-stage");
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::usage(format!(
        "{} is not there; kerf-stage belongs beside kerf",
        program.display()
    )))
}

/// A failure with a log: the log goes to stderr as it is, the failure is one line.
pub(crate) fn failure(text: &str) -> Failure {
    let (line, log) = text.split_once('\n').unwrap_or((text, ""));
    if !log.is_empty() {
        eprintln!("{log}");
    }
    Failure::new(Exit::RunFailed, anyhow::anyhow!("{}", line.trim_end_matches(':')))
}

impl Drop for Children {
    fn drop(&mut self) {
        // Clones share the children; the last one but the signal thread's ends them.
        if Arc::strong_count(&self.shared) <= 2 {
            self.lock().end();
        }
    }
}
