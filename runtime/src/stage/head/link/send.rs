//! What goes out of a head: frames that are due, inline or by reference.
//!
//! Owns: the order of wrapping, handing over and noting it, and what cannot be sent. Must not know: when a frame is due.
//! Start at [`Link::send`].

use std::time::{Duration, Instant};

use bytes::Bytes;
use kerf_wire::FrameId;

use super::refused::Refused;
use super::{Link, RETRY_WAIT, own};
use crate::broker::Message;

/// How long one publish may wait for the outgoing slot before receipts are looked at again.
const SLOT_WAIT: Duration = Duration::from_millis(20);
/// How long to wait when nothing is due.
const IDLE_WAIT: Duration = Duration::from_mins(1);
/// Frames sent before receipts are looked at.
const MAX_SENDS: usize = 16;
/// Sends of one frame by reference after which its object is put again.
const PUT_AGAIN_AFTER: u32 = 2;

/// What became of one frame.
enum Sent {
    Yes,
    /// The broker takes nothing now.
    NoRoom,
    /// Its object is still on its way into the store.
    NotYet,
}

impl Link<'_> {
    /// Sends what is due; gives how long to wait for deliveries then.
    pub(super) fn send(&mut self) -> Duration {
        let connections = self.broker.connections();
        if connections != self.connections {
            self.connections = connections;
            self.flights.resend_all(Instant::now());
        }
        for sequence in self.posting.finished() {
            if self.flights.flight_mut(sequence).is_some() {
                self.flights.due_now(sequence, Instant::now());
            } else {
                self.posting.forget(sequence);
            }
        }
        for _ in 0..MAX_SENDS {
            let Some((sequence, frame)) = self.flights.due(Instant::now()) else {
                let due = self.flights.next_due();
                let wait = due.map_or(IDLE_WAIT, |due| due.saturating_duration_since(Instant::now()));
                return if self.group.is_empty() {
                    wait
                } else {
                    wait.min(RETRY_WAIT)
                };
            };
            let mark = self.flights.flight_mut(sequence).and_then(|flight| flight.mark);
            if mark.is_some_and(|mark| !self.broker.has_taken(mark)) {
                self.flights.put_off(sequence, Instant::now());
                continue;
            }
            match self.send_one(sequence, &frame) {
                Ok(Sent::Yes) => {}
                Ok(Sent::NoRoom) => return Duration::ZERO,
                Ok(Sent::NotYet) => self.flights.put_off(sequence, Instant::now()),
                Err(Refused::ForEver(why)) => self.give_up(sequence, &why),
                Err(Refused::ByStore(why)) => {
                    self.say(|| format!("event=not_sent why={why:?}"));
                    self.flights.put_off(sequence, Instant::now());
                }
                Err(Refused::ForNow(why)) => {
                    self.say(|| format!("event=not_sent why={why:?}"));
                    return RETRY_WAIT;
                }
            }
            if !self.reader.is_empty() {
                // Frames wait to be accepted: a long backlog must not hold them.
                break;
            }
        }
        Duration::ZERO
    }

    fn send_one(&mut self, sequence: u64, frame: &Bytes) -> Result<Sent, Refused> {
        let id = FrameId {
            device: self.config.device.clone(),
            boot: self.boot,
            sequence,
        };
        let message = if own::is_answer(frame) {
            self.result_message(&id, frame)?
        } else {
            let Some(envelope) = self.envelope(&id, frame)? else {
                return Ok(Sent::NotYet);
            };
            Message::new(self.topic.clone(), envelope)
        };
        // Before the hand-over: the answer can be on its way back before `publish` returns.
        let at = Instant::now();
        let sent = self.broker.publish(&message, SLOT_WAIT);
        if sent.map_err(|why| Refused::of_broker(&why))? {
            self.metrics.sent.add(1);
            let mark = self.broker.mark();
            if let Some(flight) = self.flights.flight_mut(sequence) {
                flight.mark = Some(mark);
            }
            if self.flights.sent(sequence, at) {
                self.summary.resent += 1;
                self.metrics.resent.add(1);
                log::debug!("event=resent sequence={sequence} frame_bytes={}", frame.len());
            }
            return Ok(Sent::Yes);
        }
        Ok(Sent::NoRoom)
    }

    /// The frame's envelope, made once; none while the store takes its object.
    fn envelope(&mut self, id: &FrameId, frame: &Bytes) -> Result<Option<Bytes>, Refused> {
        let flight = self.flights.flight_mut(id.sequence);
        let (sends, known) = flight.map_or((0, None), |f| (f.sends, f.envelope.clone()));
        // An object that nobody could read is put again: a store may have lost it.
        let envelope = match known.filter(|_| sends < PUT_AGAIN_AFTER) {
            Some(envelope) => Some(envelope),
            None => self.wrapped(id, frame)?,
        };
        if let Some(flight) = self.flights.flight_mut(id.sequence) {
            flight.envelope.clone_from(&envelope);
        }
        Ok(envelope)
    }

    /// What the broker carries for a frame; a store that fails and one that works again show in the health.
    fn wrapped(&mut self, id: &FrameId, frame: &Bytes) -> Result<Option<Bytes>, Refused> {
        match self.posting.wrap(id, frame) {
            None => Ok(None),
            Some(Ok(envelope)) => {
                if envelope.len() < frame.len() {
                    self.metrics.health.store(None);
                }
                Ok(Some(envelope))
            }
            Some(Err(why)) => {
                let refused = Refused::of_envelope(&why);
                self.metrics.health.store(why.trouble());
                Err(refused)
            }
        }
    }
}
