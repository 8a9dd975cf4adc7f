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
        log::info!("event=engine-build backend={backend} note=\"minutes the first time, kept in --cache-dir after\"");
        Self::telling(backend, EVERY, move |elapsed| {
            log::info!(
                "event=engine-building backend={backend} elapsed_s={}",
                elapsed.as_secs()
            );
        })
    }

    fn telling(backend: &'static str, every: Duration, mut tell: impl FnMut(Duration) + Send + 'static) -> Self {
        let (running, ended) = channel();
        let start = Instant::now();
        std::thread::spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                tell(start.elapsed());
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_slow_build_is_told_again_and_again_until_it_ends() {
        for ends_well in [true, false] {
            let (heard, hears) = channel();
            let progress = Progress::telling("slow", Duration::from_millis(1), move |elapsed| {
                // Once the test has what it wants it listens no more.
                let _ = heard.send(elapsed);
            });
            // The build: as long as it takes until it was told twice.
            let first = hears.recv_timeout(Duration::from_secs(59)).unwrap();
            assert!(hears.recv_timeout(Duration::from_secs(59)).unwrap() > first);
            if ends_well {
                progress.done();
            } else {
                drop(progress);
            }
            // The thread ends, and with it its sender.
            while hears.recv_timeout(Duration::from_secs(59)) != Err(RecvTimeoutError::Disconnected) {}
        }
    }
}
