//! Telling systemd that a stage is ready, and that it still lives.
//!
//! Owns: readiness and the watchdog. Must not know: what a stage does.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How long a loop may wait where no watchdog is set.
const NO_WATCHDOG: Duration = Duration::from_hours(1);

/// Says that the stage takes work now; nothing where systemd does not ask.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        log::debug!("event=not_notified why={:?}", why.to_string());
    }
}

/// The watchdog of one loop: it pats while the loop turns, and not from a thread that would go on alone.
#[derive(Debug)]
pub struct Alive {
    every: Option<Duration>,
    next: Instant,
}

impl Alive {
    /// As systemd has set it for this service (`WatchdogSec=`), if it has.
    pub fn new() -> Self {
        Self {
            // Twice as often as asked, as sd_watchdog_enabled(3) recommends.
            every: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            next: Instant::now(),
        }
    }

    /// The longest that the loop may wait before its next turn.
    pub fn longest_wait(&self) -> Duration {
        self.every.map_or(NO_WATCHDOG, |every| every / 2)
    }

    /// One turn of the loop.
    pub fn tick(&mut self) {
        if let Some(every) = self.every
            && Instant::now() >= self.next
        {
            self.next = Instant::now() + every;
            notify(&[NotifyState::Watchdog]);
        }
    }
}

impl Default for Alive {
    fn default() -> Self {
        Self::new()
    }
}
