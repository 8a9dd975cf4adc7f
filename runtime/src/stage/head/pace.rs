//! Which frames take the coarser codec that the manifest allows: those made while the link is behind.
//!
//! Owns: the rule. Must not know: codecs, links, why a link is slow.
//!
//! The link is behind when the oldest frame without a receipt was made [`BEHIND`] ago: by its age, not by how many wait,
//! since a long line may have many on their way and be on time. It has caught up when that age is below [`CAUGHT_UP`] and
//! the coarser codec was held for a number of frames. That number doubles each time the link falls behind again as soon,
//! and is the shortest again after a time that was not: so a line that carries only the coarser codec is not tried too
//! often, and one that was slow for once is forgiven.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Age of the oldest frame without a receipt from which on the link is behind.
const BEHIND: Duration = Duration::from_secs(1);
/// And below which it has caught up.
const CAUGHT_UP: Duration = Duration::from_millis(250);
/// Frames that the coarser codec is held for, at least and at most.
const HOLD: std::ops::RangeInclusive<u32> = 16..=1024;
/// Frames whose time is remembered; where more wait, the oldest of these counts.
const REMEMBERED: usize = 1024;

/// The rule's memory.
#[derive(Debug)]
pub(super) struct Pace {
    made: VecDeque<Instant>,
    coarser: bool,
    /// Frames since the last change.
    since: u32,
    hold: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            made: VecDeque::new(),
            coarser: false,
            since: *HOLD.end(),
            hold: *HOLD.start(),
        }
    }

    /// True when the frame made now takes the coarser codec, `waiting` being those made before that have no receipt.
    pub(super) fn is_coarser(&mut self, waiting: u64, now: Instant) -> bool {
        let age = self
            .oldest(waiting)
            .map_or(Duration::ZERO, |made| now.saturating_duration_since(made));
        self.since = self.since.saturating_add(1);
        if !self.coarser && age >= BEHIND {
            let soon = self.since <= self.hold;
            self.hold = if soon {
                self.hold.saturating_mul(2).min(*HOLD.end())
            } else {
                *HOLD.start()
            };
            self.change(true, waiting);
        } else if self.coarser && age < CAUGHT_UP && self.since >= self.hold {
            self.change(false, waiting);
        }
        if self.made.len() == REMEMBERED {
            self.made.pop_front();
        }
        self.made.push_back(now);
        self.coarser
    }

    /// When the oldest frame that waits was made; receipts come in the order of the frames, or nearly.
    fn oldest(&self, waiting: u64) -> Option<Instant> {
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX).min(self.made.len());
        self.made.get(self.made.len().checked_sub(waiting)?).copied()
    }

    fn change(&mut self, coarser: bool, waiting: u64) {
        (self.coarser, self.since) = (coarser, 0);
        log::info!(
            "event=codec-changed coarser={coarser} waiting_frames={waiting} hold_frames={}",
            self.hold
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decided for frames made this often, with so many waiting.
    fn decide(
        pace: &mut Pace,
        now: &mut Instant,
        every_ms: u64,
        waiting: impl Fn(u32) -> u64,
        frames: u32,
    ) -> Vec<bool> {
        (0..frames)
            .map(|i| {
                *now += Duration::from_millis(every_ms);
                pace.is_coarser(waiting(i), *now)
            })
            .collect()
    }

    #[test]
    fn many_on_a_long_line_are_not_behind() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        // 90 frames of 10 ms are on their way: each is 0.9 s old at its receipt.
        assert!(!decide(&mut pace, &mut now, 10, |i| u64::from(i.min(90)), 500).contains(&true));
    }

    #[test]
    fn a_backlog_of_a_second_is_coarser_until_it_is_gone() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        let growing = decide(&mut pace, &mut now, 100, u64::from, 20);
        assert_eq!(growing.iter().position(|c| *c), Some(10), "one second is ten frames");
        assert!(growing[10..].iter().all(|c| *c));
        // Between the two ages nothing changes.
        assert!(!decide(&mut pace, &mut now, 100, |_| 5, 100).contains(&false));
        let gone = decide(&mut pace, &mut now, 100, |_| 1, 2);
        assert_eq!(gone, [false, false]);
    }

    #[test]
    fn a_line_that_carries_only_the_coarser_codec_is_tried_less_and_less_often() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        let mut waiting = 0_u64;
        let mut fine = [0_u32; 4];
        for frame in 0..8192_usize {
            now += Duration::from_millis(100);
            // A fine frame takes as long as two, a coarser one half as long.
            let coarser = pace.is_coarser(waiting / 2, now);
            waiting = if coarser {
                waiting.saturating_sub(2)
            } else {
                waiting + 2
            };
            fine[frame / 2048] += u32::from(!coarser);
        }
        assert!(fine[3] * 2 < fine[0], "{fine:?}");
        assert!(fine[3] > 0, "never tried again: {fine:?}");
    }

    #[test]
    fn what_an_earlier_run_left_waits_without_a_time_and_does_not_count() {
        let mut pace = Pace::new();
        assert!(!pace.is_coarser(10_000, Instant::now()));
    }
}
