//! The demo's child processes and its folder: neither outlives the demo, however it ends.
//!
//! Owns: starting, watching and ending children; Ctrl-C. Must not know: what the children do.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;

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
                log::warn!("demo: {name} was lost: {why}");
            }
        }
        self.children.clear();
        if let Some(folder) = self.folder.take() {
            let path = folder.path().to_owned();
            if let Err(why) = folder.close() {
                log::warn!("demo: {} stays behind: {why}", path.display());
            }
        }
    }
}

impl Children {
    /// Makes the folder and takes SIGINT, SIGTERM and SIGHUP over.
    ///
    /// # Errors
    /// When the folder, the handler or its thread cannot be made.
    pub(crate) fn new() -> io::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("kerf-demo-").tempdir()?;
        let folder = temporary.path().to_owned();
        let shared = Arc::new(Mutex::new(Shared {
            children: Vec::new(),
            folder: Some(temporary),
        }));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let watched = Arc::clone(&shared);
        thread::Builder::new().name("demo-signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                watched.lock().unwrap_or_else(PoisonError::into_inner).end();
                eprintln!("\ndemo: stopped; no process is left behind");
                std::process::exit(SIGNALLED + signal);
            }
        })?;
        Ok(Self { shared, folder })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that the demo writes is below it.
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
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // The lock is held over the spawn: a signal ends this child too, or comes before it.
        let mut shared = self.lock();
        if shared.folder.is_none() {
            return Err(io::Error::other("the demo is being stopped"));
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

impl Drop for Children {
    fn drop(&mut self) {
        // Clones share the children; the last one but the signal thread's ends them.
        if Arc::strong_count(&self.shared) <= 2 {
            self.lock().end();
        }
    }
}
