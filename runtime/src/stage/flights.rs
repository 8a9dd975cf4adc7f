//! Frames on their way: which are out, since when, and which are to be sent again.
//!
//! Owns: the window and the resend times. Must not know: the broker, the spool.
//!
//! While receipts come, a frame is sent again when one that was sent clearly later has been answered, and not before: it
//! waits its turn in somebody's queue, and a repeat would go to another stage of the group, which runs it again. In a silence
//! it is sent again when it has waited as long as that (so the waits double by themselves), at least [`FIRST_RESEND`] and
//! twice the usual answer time. After a while only a few frames probe; the first receipt then brings back at once all that
//! were sent before the frame it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kerf_wire::{InferenceResult, Receipt};

use crate::broker::Mark;
use crate::broker::backoff::spread;

/// Most frames out at once.
const WINDOW_FRAMES: usize = 256;
/// Most bytes out at once; one frame always has room.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// No frame is sent again sooner.
const FIRST_RESEND: Duration = Duration::from_secs(1);
/// No frame waits longer.
const LONGEST_RESEND: Duration = Duration::from_secs(10);
/// While the last receipt is no older, the answering side is at work.
const ANSWERING: Duration = Duration::from_millis(500);
/// Silence after which only a few frames are sent again.
const SILENCE: Duration = Duration::from_secs(3);
/// Frames that probe in a silence: the oldest.
const PROBES: usize = 8;
/// Frames may be overtaken by this much (several stages share the work) and by twice the usual answer time.
const OVERTAKEN: Duration = Duration::from_millis(50);

/// One frame out.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) frame: Bytes,
    /// Times handed to the broker.
    pub(super) sends: u32,
    /// What the broker has to acknowledge before it makes sense to send it again.
    pub(super) mark: Option<Mark>,
    /// When it was handed over first and last.
    pub(super) first_sent: Option<Instant>,
    pub(super) sent: Option<Instant>,
    /// What the broker carries for it, once that is known.
    pub(super) envelope: Option<Bytes>,
    due: Instant,
    /// There is a sign that it was lost: a later one was answered, or its connection is gone.
    lost: bool,
    /// The receipt and when it came.
    pub(super) receipt: Option<(Receipt, Instant)>,
    pub(super) result: Option<InferenceResult>,
}

/// All frames out, by sequence.
#[derive(Debug)]
pub(super) struct Flights {
    by_sequence: BTreeMap<u64, Flight>,
    by_due: BTreeSet<(Instant, u64)>,
    bytes: usize,
    /// Smoothed time from handing a frame over to its receipt; frames sent once only (Karn's rule, RFC 6298 section 3).
    answer_time: Duration,
    /// When a receipt came last, or, before the first, when a frame was first sent.
    heard: Option<Instant>,
}

impl Flights {
    pub(super) fn new() -> Self {
        Self {
            by_sequence: BTreeMap::new(),
            by_due: BTreeSet::new(),
            bytes: 0,
            answer_time: Duration::ZERO,
            heard: None,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.by_sequence.is_empty() || (self.by_sequence.len() < WINDOW_FRAMES && self.bytes < WINDOW_BYTES)
    }

    pub(super) fn add(&mut self, sequence: u64, frame: Bytes, now: Instant) {
        self.bytes += frame.len();
        self.by_due.insert((now, sequence));
        self.by_sequence.insert(
            sequence,
            Flight {
                frame,
                sends: 0,
                mark: None,
                first_sent: None,
                sent: None,
                envelope: None,
                due: now,
                lost: false,
                receipt: None,
                result: None,
            },
        );
    }

    pub(super) fn flight_mut(&mut self, sequence: u64) -> Option<&mut Flight> {
        self.by_sequence.get_mut(&sequence)
    }

    /// The frame that is due, and its bytes.
    pub(super) fn due(&mut self, now: Instant) -> Option<(u64, Bytes)> {
        loop {
            let &(due, sequence) = self.by_due.first()?;
            let flight = self.by_sequence.get(&sequence).filter(|_| due <= now)?;
            let silence = self.silence(now);
            let answering = silence < ANSWERING;
            let probes = || self.by_sequence.range(..sequence).take(PROBES).count() < PROBES;
            if flight.sends == 0 || flight.lost || (!answering && (silence < SILENCE || probes())) {
                return Some((sequence, flight.frame.clone()));
            }
            let wait = if answering {
                spread_up(FIRST_RESEND)
            } else {
                self.wait(now)
            };
            self.set_due(sequence, now + wait);
        }
    }

    /// When the next frame is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|&(due, _)| due)
    }

    fn silence(&self, now: Instant) -> Duration {
        self.heard
            .map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard))
    }

    fn wait(&self, now: Instant) -> Duration {
        let usual = self.answer_time.saturating_mul(2);
        let wait = self.silence(now).clamp(FIRST_RESEND, LONGEST_RESEND);
        spread_up(wait.max(usual))
    }

    fn set_due(&mut self, sequence: u64, due: Instant) {
        if let Some(flight) = self.by_sequence.get_mut(&sequence) {
            self.by_due.remove(&(flight.due, sequence));
            flight.due = due;
            self.by_due.insert((due, sequence));
        }
    }

    /// It is still on its way to the broker: it is not due before that has had time.
    pub(super) fn put_off(&mut self, sequence: u64, now: Instant) {
        let later = now + self.wait(now);
        self.set_due(sequence, later);
    }

    /// The frame was handed over: it is due again when no receipt has come by then. True when it was a repeat.
    pub(super) fn sent(&mut self, sequence: u64, now: Instant) -> bool {
        self.heard.get_or_insert(now);
        let due = now + self.wait(now);
        self.set_due(sequence, due);
        let Some(flight) = self.by_sequence.get_mut(&sequence) else {
            return false;
        };
        flight.lost = false;
        flight.sends = flight.sends.saturating_add(1);
        flight.sent = Some(now);
        flight.first_sent.get_or_insert(now);
        flight.sends > 1
    }

    /// A receipt for this frame came: learns how long answers take, and brings back what should have been answered
    /// before it.
    pub(super) fn heard(&mut self, sequence: u64, at: Instant) {
        let before = self.heard.replace(at);
        let ends_silence = before.is_some_and(|before| at.saturating_duration_since(before) >= FIRST_RESEND);
        let Some(flight) = self.by_sequence.get(&sequence) else {
            return;
        };
        let (sends, Some(sent)) = (flight.sends, flight.sent) else {
            return;
        };
        if sends == 1 {
            let took = at.saturating_duration_since(sent);
            // RFC 6298 section 2: a gain of 1/8.
            let before = if self.answer_time.is_zero() {
                took
            } else {
                self.answer_time
            };
            self.answer_time = (before * 7 + took) / 8;
        }
        let margin = OVERTAKEN.max(self.answer_time.saturating_mul(2));
        let overtaken = |f: &Flight| f.receipt.is_none() && f.sent.is_some_and(|s| s + margin < sent);
        let lost: Vec<u64> = if ends_silence {
            // It may answer a probe, which is older than those that were lost with it, and was sent after them.
            let all = self.by_sequence.iter().filter(|(_, f)| overtaken(f));
            all.map(|(&s, _)| s).collect()
        } else {
            // Answers come nearly in order: looking at the oldest few finds all that were overtaken.
            let older = self.by_sequence.range(..sequence);
            older.take_while(|(_, f)| overtaken(f)).map(|(&s, _)| s).collect()
        };
        for sequence in lost {
            if let Some(flight) = self.by_sequence.get_mut(&sequence) {
                flight.lost = true;
            }
            self.set_due(sequence, at);
        }
    }

    /// What it waited for has come: it is due now.
    pub(super) fn due_now(&mut self, sequence: u64, now: Instant) {
        self.set_due(sequence, now);
    }

    /// All are due now: the connection that carried them is gone.
    pub(super) fn resend_all(&mut self, now: Instant) {
        self.by_due.clear();
        // Waits begin anew, short: a last stage that is a little slower to come back must not cost the silence once more.
        self.heard = self.heard.map(|_| now);
        for (&sequence, flight) in &mut self.by_sequence {
            flight.due = now;
            flight.lost = true;
            self.by_due.insert((now, sequence));
        }
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Flight> {
        let flight = self.by_sequence.remove(&sequence)?;
        self.by_due.remove(&(flight.due, sequence));
        self.bytes -= flight.frame.len();
        Some(flight)
    }
}

/// A random duration between `wait` and half as much again, so that many heads do not send in step.
fn spread_up(wait: Duration) -> Duration {
    wait / 2 + spread(wait * 2) / 2
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    #[test]
    fn a_frame_is_due_at_once_then_later_and_later() {
        let mut flights = Flights::new();
        let start = Instant::now();
        flights.add(7, Bytes::from_static(b"x"), start);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(flights.due(now).map(|(s, _)| s), Some(7));
            flights.sent(7, now);
            assert_eq!(flights.due(now), None);
            let next = flights.next_due().unwrap();
            waits.push(next - now);
            now = next;
        }
        assert!(
            waits.iter().all(|&w| w >= FIRST_RESEND && w <= LONGEST_RESEND * 3 / 2),
            "{waits:?}"
        );
        assert!(waits.last() >= Some(&LONGEST_RESEND), "{waits:?}");
    }

    fn out(flights: &mut Flights, sequence: u64, now: Instant) {
        flights.add(sequence, Bytes::from_static(b"x"), now);
        flights.sent(sequence, now);
    }

    #[test]
    fn slow_answers_make_resends_patient() {
        let mut flights = Flights::new();
        let now = Instant::now();
        out(&mut flights, 1, now);
        let later = now + Duration::from_secs(40);
        flights.heard(1, later);
        flights.remove(1);
        out(&mut flights, 2, later);
        assert!(flights.next_due() >= Some(later + Duration::from_secs(40)));
    }

    #[test]
    fn in_a_silence_a_few_probe_and_the_first_receipt_brings_the_rest() {
        let mut flights = Flights::new();
        let start = Instant::now();
        (0..100).for_each(|s| out(&mut flights, s, start));
        let mut now = start + Duration::from_mins(1);
        let mut resent = 0;
        while let Some((sequence, _)) = flights.due(now) {
            assert!(sequence < PROBES as u64, "{sequence} is no probe");
            flights.sent(sequence, now);
            resent += 1;
        }
        assert_eq!(resent, PROBES);
        now += Duration::from_millis(200);
        out(&mut flights, 100, now);
        flights.heard(100, now + Duration::from_millis(1));
        let now = now + Duration::from_millis(2);
        let mut back = 0;
        while let Some((sequence, _)) = flights.due(now) {
            flights.sent(sequence, now);
            back += 1;
        }
        assert_eq!(back, 100, "all that were sent before the answered frame");
    }

    /// A stage that answers these in order, 20 ms each; gives what was sent again meanwhile.
    fn answering(flights: &mut Flights, start: Instant, sequences: impl Iterator<Item = u64>) -> (Vec<u64>, Instant) {
        let mut now = start;
        let mut resent = Vec::new();
        for sequence in sequences {
            now += Duration::from_millis(20);
            while let Some((due, _)) = flights.due(now) {
                flights.sent(due, now);
                resent.push(due);
            }
            flights.heard(sequence, now);
            flights.remove(sequence);
        }
        (resent, now)
    }

    #[test]
    fn what_waits_its_turn_in_a_queue_is_not_sent_again() {
        let mut flights = Flights::new();
        let start = Instant::now();
        (0..256).for_each(|s| out(&mut flights, s, start));
        let (resent, _) = answering(&mut flights, start, 0..256);
        assert_eq!(resent, [0; 0]);
    }

    #[test]
    fn one_lost_in_a_queue_comes_back_when_the_queue_is_empty_or_later_ones_are_answered() {
        let mut flights = Flights::new();
        let start = Instant::now();
        (0..100).for_each(|s| out(&mut flights, s, start));
        let (resent, end) = answering(&mut flights, start, (0..100).filter(|s| *s != 40));
        assert_eq!(resent, [0; 0]);
        let lost = (0..100).map(|tenth| end + Duration::from_millis(tenth * 100));
        let back = lost.into_iter().find(|now| flights.due(*now).is_some()).unwrap();
        assert!(back <= end + Duration::from_millis(2500), "{:?}", back - end);
        // And in a stream without an end.
        let later = end + Duration::from_secs(20);
        (100..300).for_each(|s| out(&mut flights, s, later));
        let (resent, _) = answering(&mut flights, later, 100..300);
        assert_eq!(resent, [40]);
    }

    #[test]
    fn a_probe_that_is_answered_brings_back_those_behind_it() {
        let mut flights = Flights::new();
        let start = Instant::now();
        (0..100).for_each(|s| out(&mut flights, s, start));
        let back = start + Duration::from_mins(1);
        while let Some((sequence, _)) = flights.due(back) {
            flights.sent(sequence, back);
        }
        let (resent, _) = answering(&mut flights, back, 0..100);
        let missing = (PROBES as u64..100).find(|sequence| !resent.contains(sequence));
        assert_eq!((missing, resent.len()), (None, 100 - PROBES));
    }

    #[test]
    fn a_new_connection_makes_waits_short_again() {
        let mut flights = Flights::new();
        let start = Instant::now();
        out(&mut flights, 1, start);
        let back = start + Duration::from_mins(1);
        flights.resend_all(back);
        assert_eq!(flights.due(back).map(|(s, _)| s), Some(1));
        flights.sent(1, back);
        assert!(flights.next_due() <= Some(back + FIRST_RESEND * 3 / 2));
    }

    #[test]
    fn the_window_is_bounded_and_a_large_frame_passes_alone() {
        let mut flights = Flights::new();
        let now = Instant::now();
        let large = Bytes::from(vec![0_u8; WINDOW_BYTES + 1]);
        assert!(flights.has_room());
        flights.add(0, large, now);
        assert!(!flights.has_room());
        assert!(flights.remove(0).is_some());
        for sequence in 0..WINDOW_FRAMES as u64 {
            assert!(flights.has_room());
            flights.add(sequence, Bytes::from_static(b"x"), now);
        }
        assert!(!flights.has_room());
    }
}
