//! Says every few seconds that an engine is still being built: on a small board it takes minutes, and looks like a hang.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often it is said.
const EVERY: Duration = Duration::from_secs(10);

/// Ends, without a word, when it is dropped.
pub(super) struct Progress {
    backend: &'static str,
    start: Instant,
    /// Dropped: the thread ends.
    _running: Sender<()>,
}

impl Progress {
    /// Starts to say so.
    pub(super) fn start(backend: &'static str) -> Self {
        let (running, ended) = channel();
        let start = Instant::now();
        log::info!("event=engine-build backend={backend} note=\"minutes the first time, kept in --cache-dir after\"");
        std::thread::spawn(move || {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                log::info!(
                    "event=engine-building backend={backend} elapsed_s={}",
                    start.elapsed().as_secs()
                );
            }
        });
        Self {
            backend,
            start,
            _running: running,
        }
    }

    /// Says that it is built, and how long it took.
    pub(super) fn done(self) {
        log::info!(
            "event=engine-built backend={} took_ms={}",
            self.backend,
            self.start.elapsed().as_millis()
        );
    }
}
