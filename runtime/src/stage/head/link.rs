//! The thread that owns a head's links: accepts frames into the keep, sends them, takes receipts and results.
//!
//! Owns: when a frame is sent, sent again and freed. Must not know: engines, packets, disks.
//! Start at [`Link::run`]. Nothing here ends the stage: a dead broker and a full disk are waited for, and logged.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kerf_wire::{InferenceResult, Outcome, Receipt};

use super::make::Made;
use super::{Answer, HeadConfig, Summary};
use crate::broker::{Broker, BrokerError, Delivery, Message};
use crate::stage::flights::{Flight, Flights};
use crate::stage::handoff::Reader;
use crate::stage::keep::Keep;
use crate::stage::sequence_of;

/// How long one publish may wait for the outgoing slot before receipts are looked at again.
const SLOT_WAIT: Duration = Duration::from_millis(20);
/// How long to wait before trying again what the disk or the broker refused.
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// How long to wait when nothing is due.
const IDLE_WAIT: Duration = Duration::from_secs(60);
/// Deliveries taken before sending goes on.
const MAX_DELIVERIES: usize = 64;
/// Names of inputs that are remembered until the answer; beyond, answers come without.
const MAX_LABELS: usize = 65_536;
/// The same trouble is logged no more often.
const LOG_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Link<'a> {
    broker: Box<dyn Broker>,
    keep: Box<dyn Keep>,
    reader: Reader<Made>,
    config: &'a HeadConfig,
    answered: &'a mut (dyn FnMut(Answer) + Send),
    topic: String,
    receipt_topic: String,
    flights: Flights,
    /// Taken from the reader, not yet accepted.
    group: Vec<Made>,
    /// The last frame taken from the keep into the window.
    pulled: Option<u64>,
    labels: HashMap<u64, String>,
    connections: u64,
    boot: u64,
    summary: Summary,
    refused_at: Option<Instant>,
    said_at: Option<Instant>,
}

impl<'a> Link<'a> {
    pub(super) fn new(
        broker: Box<dyn Broker>,
        keep: Box<dyn Keep>,
        reader: Reader<Made>,
        config: &'a HeadConfig,
        answered: &'a mut (dyn FnMut(Answer) + Send),
    ) -> Self {
        let crossing = config.onward.crossing;
        Self {
            connections: broker.connections(),
            boot: keep.boot(),
            broker,
            keep,
            reader,
            config,
            answered,
            topic: config.topics.frames(&config.device, &crossing.model, &crossing.cut),
            receipt_topic: config.topics.receipt(&config.device),
            flights: Flights::new(),
            group: Vec::new(),
            pulled: None,
            labels: HashMap::new(),
            summary: Summary::default(),
            refused_at: None,
            said_at: None,
        }
    }

    pub(super) fn run(mut self) -> Summary {
        loop {
            self.accept();
            self.fill_window();
            let wait = self.send();
            if self.group.is_empty() && self.reader.is_over() && self.keep.frames() == 0 {
                if let Err(why) = self.keep.flush() {
                    log::warn!("event=not_flushed why={:?}", why.to_string());
                }
                return self.summary;
            }
            self.receive(wait);
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
                for made in self.group.drain(..) {
                    if self.labels.len() < MAX_LABELS {
                        self.labels.insert(made.sequence, made.input);
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
            self.labels.remove(&sequence);
        }
        if !dropped.is_empty() {
            self.summary.dropped += dropped.len() as u64;
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
        while let Some((sequence, frame)) = self.flights.due(Instant::now()) {
            let frame_bytes = frame.len();
            let message = Message::new(self.topic.clone(), frame);
            match self.broker.publish(&message, SLOT_WAIT) {
                Ok(true) => {
                    if self.flights.sent(sequence, Instant::now()) {
                        self.summary.resent += 1;
                        log::debug!("event=resent sequence={sequence} frame_bytes={frame_bytes}");
                    }
                }
                Ok(false) => return Duration::ZERO,
                Err(why @ BrokerError::TooLarge { .. }) => self.give_up(sequence, &why.to_string()),
                Err(why) => {
                    log::debug!("event=not_sent sequence={sequence} why={:?}", why.to_string());
                    return RETRY_WAIT;
                }
            }
            if !self.group.is_empty() || !self.reader.is_empty() {
                // Frames wait to be accepted: a long backlog must not hold them.
                return Duration::ZERO;
            }
        }
        let due = self.flights.next_due();
        let wait = due.map_or(IDLE_WAIT, |due| due.saturating_duration_since(Instant::now()));
        if self.group.is_empty() {
            wait
        } else {
            wait.min(RETRY_WAIT)
        }
    }

    fn receive(&mut self, wait: Duration) {
        let mut wait = wait;
        for _ in 0..MAX_DELIVERIES {
            match self.broker.receive(wait) {
                Ok(Some(delivery)) => self.deliver(&delivery),
                Ok(None) => return,
                Err(why) => {
                    log::debug!("event=not_received why={:?}", why.to_string());
                    return;
                }
            }
            wait = Duration::ZERO;
        }
    }

    fn deliver(&mut self, delivery: &Delivery) {
        let message = &delivery.message;
        if message.topic == self.receipt_topic {
            self.take_receipt(delivery);
        } else {
            self.take_result(&message.payload);
        }
        if let Err(why) = self.broker.ack(delivery.token) {
            log::debug!("event=not_acknowledged why={:?}", why.to_string());
        }
    }

    fn take_receipt(&mut self, delivery: &Delivery) {
        let receipt = match Receipt::parse(&delivery.message.payload) {
            Ok(receipt) => receipt,
            Err(why) => {
                log::warn!("event=receipt_refused why={:?}", why.to_string());
                return;
            }
        };
        if receipt.id.device != self.config.device || receipt.id.boot != self.boot {
            return;
        }
        let sequence = receipt.id.sequence;
        self.flights.heard(sequence, delivery.at);
        if let Some(flight) = self.flights.flight_mut(sequence) {
            flight.receipt.get_or_insert((receipt, delivery.at));
        }
        self.finish(sequence);
    }

    fn take_result(&mut self, payload: &[u8]) {
        let result: InferenceResult = match serde_json::from_slice(payload) {
            Ok(result) => result,
            Err(why) => {
                log::warn!("event=result_refused why={:?}", why.to_string());
                return;
            }
        };
        let Some(sequence) = sequence_of(&result.frame, &self.config.device, self.boot) else {
            return;
        };
        if let Some(flight) = self.flights.flight_mut(sequence) {
            flight.result.get_or_insert(result);
        }
        self.finish(sequence);
    }

    /// Frees a frame when all that is waited for has come.
    fn finish(&mut self, sequence: u64) {
        let Some(flight) = self.flights.flight_mut(sequence) else {
            return;
        };
        let refused = matches!(&flight.receipt, Some((r, _)) if r.outcome != Outcome::Answered);
        let complete = flight.receipt.is_some() && (refused || !self.config.results || flight.result.is_some());
        if !complete {
            return;
        }
        let Some(flight) = self.flights.remove(sequence) else {
            return;
        };
        self.free(sequence);
        let answer = self.answer(sequence, flight);
        if answer.result.error.is_some() {
            self.summary.refused += 1;
        } else {
            self.summary.answered += 1;
        }
        if self.config.results {
            (self.answered)(answer);
        }
    }

    fn answer(&mut self, sequence: u64, flight: Flight) -> Answer {
        let receipt = flight.receipt;
        let transfer_ms = match (&receipt, flight.sent, flight.sends) {
            (Some((receipt, at)), Some(sent), 1) => {
                let out_ms = at.saturating_duration_since(sent).as_secs_f64() * 1e3;
                Some(out_ms - receipt.away_us as f64 / 1e3)
            }
            _ => None,
        };
        let result = flight.result.unwrap_or_else(|| {
            let reason = match receipt.map(|(r, _)| r.outcome) {
                Some(Outcome::Refused(reason)) => Some(reason.to_string()),
                _ => None,
            };
            self.no_result(sequence, reason)
        });
        Answer {
            input: self.labels.remove(&sequence),
            frame_bytes: flight.frame.len(),
            sends: flight.sends,
            transfer_ms,
            result,
        }
    }

    fn no_result(&self, sequence: u64, error: Option<String>) -> InferenceResult {
        InferenceResult {
            frame: format!("{}/{:016x}/{sequence}", self.config.device, self.boot),
            model: self.config.onward.crossing.model,
            top: Vec::new(),
            outputs: Vec::new(),
            exit: None,
            hops: Vec::new(),
            warnings: Vec::new(),
            error,
        }
    }

    /// A frame that can never be sent: told, counted, freed.
    fn give_up(&mut self, sequence: u64, why: &str) {
        log::error!("event=frame_refused sequence={sequence} why={why:?}");
        self.free(sequence);
        self.summary.refused += 1;
        if let Some(flight) = self.flights.remove(sequence) {
            let answer = Answer {
                input: self.labels.remove(&sequence),
                frame_bytes: flight.frame.len(),
                sends: flight.sends,
                transfer_ms: None,
                result: self.no_result(sequence, Some(why.to_owned())),
            };
            (self.answered)(answer);
        }
    }

    fn free(&mut self, sequence: u64) {
        if let Err(why) = self.keep.free(sequence) {
            self.say(|| format!("event=not_freed code={} why={:?}", why.exit() as u8, why.to_string()));
        }
    }

    /// Warns, no more than once a minute.
    fn say(&mut self, text: impl FnOnce() -> String) {
        if self.said_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.said_at = Some(Instant::now());
            log::warn!("{}", text());
        }
    }
}
