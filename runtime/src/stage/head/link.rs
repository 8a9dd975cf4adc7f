//! The thread that owns a head's links: accepts frames into the keep, sends them, takes receipts and results.
//!
//! Owns: when a frame is sent, sent again and freed. Must not know: engines, packets, disks.
//! Start at [`Link::run`]. Nothing here ends the stage: a dead broker and a full disk are waited for, and logged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kerf_wire::FrameId;

use super::gate::Gate;
use super::make::Made;
use super::{Answer, HeadConfig, Summary};
use crate::alive::Alive;
use crate::broker::{Broker, Message};
use crate::metrics::Metrics;
use crate::stage::envelope::Envelopes;
use crate::stage::flights::Flights;
use crate::stage::handoff::Reader;
use crate::stage::keep::Keep;
use refused::Refused;

mod own;
mod receive;
mod refused;

/// How long one publish may wait for the outgoing slot before receipts are looked at again.
const SLOT_WAIT: Duration = Duration::from_millis(20);
/// How long to wait before trying again what the disk or the broker refused.
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// How long to wait when nothing is due.
const IDLE_WAIT: Duration = Duration::from_mins(1);
/// Frames sent before receipts are looked at.
const MAX_SENDS: usize = 16;
/// Sends of one frame by reference after which its object is put again.
const PUT_AGAIN_AFTER: u32 = 2;
/// Names of inputs that are remembered until the answer; beyond, answers come without.
const MAX_LABELS: usize = 65_536;
/// The same trouble is logged no more often.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// What this thread takes of the head's links.
pub(super) struct Ends {
    pub(super) broker: Box<dyn Broker>,
    pub(super) keep: Box<dyn Keep>,
    pub(super) envelopes: Envelopes,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) struct Link<'a> {
    broker: Box<dyn Broker>,
    keep: Box<dyn Keep>,
    envelopes: Envelopes,
    metrics: Arc<Metrics>,
    alive: Alive,
    reader: Reader<Made>,
    config: &'a HeadConfig,
    gate: &'a Gate,
    answered: &'a mut (dyn FnMut(Answer) + Send),
    topic: String,
    receipt_topic: String,
    flights: Flights,
    /// Taken from the reader, not yet accepted.
    group: Vec<Made>,
    /// The last frame taken from the keep into the window.
    pulled: Option<u64>,
    /// What each input was called and when it was taken.
    labels: HashMap<u64, (String, Instant)>,
    /// Answers of our own that were told and are not freed.
    told: HashSet<u64>,
    connections: u64,
    boot: u64,
    /// The first sequence of this run.
    first: u64,
    summary: Summary,
    refused_at: Option<Instant>,
    said_at: Option<Instant>,
}

impl<'a> Link<'a> {
    pub(super) fn new(
        links: Ends,
        reader: Reader<Made>,
        config: &'a HeadConfig,
        gate: &'a Gate,
        answered: &'a mut (dyn FnMut(Answer) + Send),
    ) -> Self {
        let crossing = config.onward.crossing;
        Self {
            connections: links.broker.connections(),
            boot: links.keep.boot(),
            first: links.keep.next_sequence(),
            broker: links.broker,
            keep: links.keep,
            envelopes: links.envelopes,
            metrics: links.metrics,
            alive: Alive::new(),
            reader,
            config,
            gate,
            answered,
            topic: config.topics.frames(&config.device, &crossing.model, &crossing.cut),
            receipt_topic: config.topics.receipt(&config.device),
            flights: Flights::new(),
            group: Vec::new(),
            pulled: None,
            labels: HashMap::new(),
            told: HashSet::new(),
            summary: Summary::default(),
            refused_at: None,
            said_at: None,
        }
    }

    pub(super) fn run(mut self) -> Summary {
        loop {
            self.alive.tick();
            self.accept();
            self.fill_window();
            let wait = self.send();
            self.metrics.waiting(self.keep.frames(), self.keep.bytes());
            if self.group.is_empty() && self.reader.is_over() && self.keep.frames() == 0 {
                if let Err(why) = self.keep.flush() {
                    log::warn!("event=not_flushed why={:?}", why.to_string());
                }
                return self.summary;
            }
            self.receive(wait.min(self.alive.longest_wait()));
        }
    }

    /// Accepts what the maker has made, as one group: one disk sync serves all of it.
    fn accept(&mut self) {
        if self.group.is_empty() {
            self.group = self.reader.take();
        }
        let too_soon = self.refused_at.is_some_and(|at| at.elapsed() < RETRY_WAIT);
        if self.group.is_empty() || too_soon {
            return;
        }
        let frames: Vec<_> = self.group.iter().map(|m| (m.sequence, m.frame.clone())).collect();
        match self.keep.accept(&frames) {
            Ok(dropped) => {
                self.refused_at = None;
                self.summary.accepted += frames.len() as u64;
                self.metrics.accepted.add(frames.len() as u64);
                for made in std::mem::take(&mut self.group) {
                    if let Some(result) = made.answer {
                        self.tell_own(made.sequence, Some((made.input, made.begun)), *result);
                    } else if self.labels.len() < MAX_LABELS {
                        self.labels.insert(made.sequence, (made.input, made.begun));
                    }
                }
                self.note_dropped(&dropped);
            }
            Err(why) => {
                self.refused_at = Some(Instant::now());
                self.say(|| format!("event=not_accepted code={} why={:?}", why.exit() as u8, why.to_string()));
            }
        }
    }

    fn note_dropped(&mut self, dropped: &[u64]) {
        for &sequence in dropped {
            self.flights.remove(sequence);
            self.forget(sequence);
            self.told.remove(&sequence);
        }
        if !dropped.is_empty() {
            self.summary.dropped += dropped.len() as u64;
            self.metrics.dropped.add(dropped.len() as u64);
            let (count, total) = (dropped.len(), self.summary.dropped);
            self.say(|| format!("event=dropped_oldest frames={count} total={total}"));
        }
    }

    /// Moves kept frames into the window, oldest first.
    fn fill_window(&mut self) {
        while self.flights.has_room() {
            match self.keep.next_after(self.pulled) {
                Ok(Some((sequence, frame))) => {
                    self.pulled = Some(sequence);
                    self.flights.add(sequence, frame, Instant::now());
                }
                Ok(None) => return,
                Err(why) => {
                    self.say(|| {
                        format!(
                            "event=keep_unreadable code={} why={:?}",
                            why.exit() as u8,
                            why.to_string()
                        )
                    });
                    return;
                }
            }
        }
    }

    /// Sends what is due; gives how long to wait for deliveries then.
    fn send(&mut self) -> Duration {
        let connections = self.broker.connections();
        if connections != self.connections {
            self.connections = connections;
            self.flights.resend_all(Instant::now());
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
                Ok(true) => {}
                Ok(false) => return Duration::ZERO,
                Err(Refused::ForEver(why)) => self.give_up(sequence, &why),
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

    /// Sends one frame; false when the broker has no room for it now.
    fn send_one(&mut self, sequence: u64, frame: &Bytes) -> Result<bool, Refused> {
        let id = FrameId {
            device: self.config.device.clone(),
            boot: self.boot,
            sequence,
        };
        let message = if own::is_answer(frame) {
            self.result_message(&id, frame)?
        } else {
            Message::new(self.topic.clone(), self.envelope(&id, frame)?)
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
            return Ok(true);
        }
        Ok(false)
    }

    /// The frame's envelope, made once.
    fn envelope(&mut self, id: &FrameId, frame: &Bytes) -> Result<Bytes, Refused> {
        let flight = self.flights.flight_mut(id.sequence);
        let (sends, known) = flight.map_or((0, None), |f| (f.sends, f.envelope.clone()));
        // An object that nobody could read is put again: a store may have lost it.
        let envelope = match known.filter(|_| sends < PUT_AGAIN_AFTER) {
            Some(envelope) => envelope,
            None => self
                .envelopes
                .wrap(id, frame)
                .map_err(|why| Refused::of_envelope(&why))?,
        };
        if let Some(flight) = self.flights.flight_mut(id.sequence) {
            flight.envelope = Some(envelope.clone());
        }
        Ok(envelope)
    }

    fn free(&mut self, sequence: u64) {
        if let Err(why) = self.keep.free(sequence) {
            self.say(|| format!("event=not_freed code={} why={:?}", why.exit() as u8, why.to_string()));
        }
    }

    /// What the input of a frame that is done with was called, and when it was taken; another may be taken in its place.
    fn forget(&mut self, sequence: u64) -> Option<(String, Instant)> {
        // Frames that an earlier run left in the keep never entered; answers of our own have left.
        if sequence >= self.first && !self.told.contains(&sequence) {
            self.gate.leave();
        }
        self.labels.remove(&sequence)
    }

    /// Warns, no more than once a minute.
    fn say(&mut self, text: impl FnOnce() -> String) {
        if self.said_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.said_at = Some(Instant::now());
            log::warn!("{}", text());
        }
    }
}
