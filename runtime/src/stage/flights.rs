//! Frames on their way: which are out, since when, and which are to be sent again.
//!
//! Owns: the window and the resend times. Must not know: the broker, the spool.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kerf_wire::{InferenceResult, Receipt};

use crate::broker::backoff::{grown, spread};

/// Most frames out at once.
const WINDOW_FRAMES: usize = 256;
/// Most bytes out at once; one frame always has room.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// No frame is sent again sooner.
const FIRST_RESEND: Duration = Duration::from_secs(1);
/// No frame waits longer.
const LONGEST_RESEND: Duration = Duration::from_secs(30);

/// One frame out.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) frame: Bytes,
    /// Times handed to the broker.
    pub(super) sends: u32,
    /// When it was handed over last.
    pub(super) sent: Option<Instant>,
    due: Instant,
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
}

impl Flights {
    pub(super) fn new() -> Self {
        Self {
            by_sequence: BTreeMap::new(),
            by_due: BTreeSet::new(),
            bytes: 0,
            answer_time: Duration::ZERO,
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
                sent: None,
                due: now,
                receipt: None,
                result: None,
            },
        );
    }

    pub(super) fn flight_mut(&mut self, sequence: u64) -> Option<&mut Flight> {
        self.by_sequence.get_mut(&sequence)
    }

    /// The frame that is due, and its bytes.
    pub(super) fn due(&self, now: Instant) -> Option<(u64, Bytes)> {
        let &(due, sequence) = self.by_due.first()?;
        let flight = self.by_sequence.get(&sequence).filter(|_| due <= now)?;
        Some((sequence, flight.frame.clone()))
    }

    /// When the next frame is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|&(due, _)| due)
    }

    /// The frame was handed over: it is due again when no receipt has come by then. True when it was a repeat.
    pub(super) fn sent(&mut self, sequence: u64, now: Instant) -> bool {
        let usual = self.answer_time.saturating_mul(2);
        let Some(flight) = self.by_sequence.get_mut(&sequence) else {
            return false;
        };
        let wait = grown(FIRST_RESEND, flight.sends, LONGEST_RESEND)
            .max(usual)
            .min(LONGEST_RESEND.max(usual));
        flight.sends = flight.sends.saturating_add(1);
        flight.sent = Some(now);
        self.by_due.remove(&(flight.due, sequence));
        flight.due = now + spread(wait);
        self.by_due.insert((flight.due, sequence));
        flight.sends > 1
    }

    /// A receipt came for a frame that was sent once: learn how long answers take.
    pub(super) fn learn(&mut self, took: Duration) {
        self.answer_time = if self.answer_time.is_zero() {
            took
        } else {
            // RFC 6298 section 2: a gain of 1/8.
            (self.answer_time * 7 + took) / 8
        };
    }

    /// All are due now: the connection that carried them is gone.
    pub(super) fn resend_all(&mut self, now: Instant) {
        self.by_due.clear();
        for (&sequence, flight) in &mut self.by_sequence {
            flight.due = now;
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

#[cfg(test)]
mod tests {
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
            let next = flights.next_due().unwrap_or(now);
            waits.push(next - now);
            now = next;
        }
        assert!(waits.first() >= Some(&(FIRST_RESEND / 2)), "{waits:?}");
        assert!(waits.iter().all(|&w| w <= LONGEST_RESEND), "{waits:?}");
        assert!(waits.last() >= Some(&(LONGEST_RESEND / 2)), "{waits:?}");
    }

    #[test]
    fn slow_answers_make_resends_patient() {
        let mut flights = Flights::new();
        let now = Instant::now();
        flights.learn(Duration::from_secs(40));
        flights.add(1, Bytes::from_static(b"x"), now);
        flights.sent(1, now);
        assert!(flights.next_due() >= Some(now + Duration::from_secs(40)));
    }

    #[test]
    fn the_window_is_bounded_and_a_large_frame_passes_alone() {
        let mut flights = Flights::new();
        let now = Instant::now();
        let large = Bytes::from(vec![0; WINDOW_BYTES + 1]);
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
