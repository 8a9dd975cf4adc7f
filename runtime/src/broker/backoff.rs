//! Waiting times between tries: growing, bounded, and never the same on two machines.
//!
//! Owns: how long to wait. Must not know: what is tried.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Exponential backoff with "equal jitter" (half fixed, half random), so that a thousand boards do not come back at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits about `first`, then twice as long each time, at most `limit`.
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, tries: 0 }
    }

    /// The next wait: between half of and all of `first · 2^tries`, at most `limit`.
    pub fn next_wait(&mut self) -> Duration {
        let wait = spread(grown(self.first, self.tries, self.limit));
        self.tries = self.tries.saturating_add(1);
        wait
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// `first · 2^tries`, at most `limit`.
pub fn grown(first: Duration, tries: u32, limit: Duration) -> Duration {
    let factor = 1_u32.checked_shl(tries.min(20)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(limit)
}

/// A random duration between half of `wait` and all of it.
pub fn spread(wait: Duration) -> Duration {
    let half = wait / 2;
    let per_mille = u32::try_from(random() % 1001).unwrap_or(0);
    half + half * per_mille / 1000
}

/// A random number; good enough to keep machines apart, not for secrets.
pub fn random() -> u64 {
    // Each `RandomState` draws its keys from the system's generator and a counter.
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_start_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for expected_ms in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next_wait();
            let most = Duration::from_millis(expected_ms);
            assert!(
                wait >= most / 2 && wait <= most,
                "{wait:?} is not within {:?}..={most:?}",
                most / 2
            );
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }

    #[test]
    fn a_thousand_tries_do_not_overflow() {
        assert_eq!(
            grown(Duration::from_secs(1), 1000, Duration::from_mins(1)),
            Duration::from_mins(1)
        );
    }
}
