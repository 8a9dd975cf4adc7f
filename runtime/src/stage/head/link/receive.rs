//! What comes back for a head's frames: receipts and results, and the answers made of them.
//!
//! Owns: when a frame is complete, and what its answer says. Must not know: how a frame is kept or sent.
//! Start at [`Link::receive`].

use std::time::Duration;

use kerf_wire::{InferenceResult, Outcome, Receipt};

use super::{Link, own};
use crate::broker::Delivery;
use crate::stage::flights::Flight;
use crate::stage::head::Answer;
use crate::stage::sequence_of;

/// Deliveries taken before sending goes on.
const MAX_DELIVERIES: usize = 64;

impl Link<'_> {
    pub(super) fn receive(&mut self, wait: Duration) {
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
            self.take_result(delivery);
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

    fn take_result(&mut self, delivery: &Delivery) {
        if !delivery.message.is_intact() {
            // The frame stays unanswered, is sent again, and so is its result.
            log::warn!("event=result_damaged topic={}", delivery.message.topic);
            return;
        }
        let result: InferenceResult = match serde_json::from_slice(&delivery.message.payload) {
            Ok(result) => result,
            Err(why) => {
                log::warn!("event=result_refused why={:?}", why.to_string());
                return;
            }
        };
        let Some(sequence) = sequence_of(&result.frame, &self.config.device, self.boot) else {
            return;
        };
        let mut echo = false;
        if let Some(flight) = self.flights.flight_mut(sequence) {
            echo = own::is_answer(&flight.frame);
            flight.result.get_or_insert(result);
        }
        if echo {
            self.flights.heard(sequence, delivery.at);
        }
        self.finish(sequence);
    }

    /// Frees a frame when all that is waited for has come.
    fn finish(&mut self, sequence: u64) {
        let Some(flight) = self.flights.flight_mut(sequence) else {
            return;
        };
        if own::is_answer(&flight.frame) {
            return self.finish_own(sequence);
        }
        let refused = matches!(&flight.receipt, Some((r, _)) if r.outcome != Outcome::Answered);
        let complete = flight.receipt.is_some() && (refused || !self.config.results || flight.result.is_some());
        if !complete {
            return;
        }
        let Some(flight) = self.flights.remove(sequence) else {
            return;
        };
        self.free(sequence);
        self.posting.discard(sequence, flight.frame.clone());
        if let (Some(sent), Some((_, at))) = (flight.first_sent, &flight.receipt) {
            self.metrics.answer.observe(at.saturating_duration_since(sent));
        }
        let answer = self.answer(sequence, flight);
        if answer.result.error.is_some() {
            self.summary.refused += 1;
            self.metrics.refused.add(1);
        } else {
            self.summary.answered += 1;
            self.metrics.answered.add(1);
        }
        (self.answered)(answer);
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
        let taken = self.forget(sequence);
        Answer {
            total_ms: taken.as_ref().map(|(_, begun)| begun.elapsed().as_secs_f64() * 1e3),
            input: taken.map(|(label, _)| label),
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
    pub(super) fn give_up(&mut self, sequence: u64, why: &str) {
        log::error!("event=frame_refused sequence={sequence} why={why:?}");
        self.free(sequence);
        self.summary.refused += 1;
        self.metrics.refused.add(1);
        if let Some(flight) = self.flights.remove(sequence) {
            let answer = Answer {
                input: self.forget(sequence).map(|(label, _)| label),
                total_ms: None,
                frame_bytes: flight.frame.len(),
                sends: flight.sends,
                transfer_ms: None,
                result: self.no_result(sequence, Some(why.to_owned())),
            };
            (self.answered)(answer);
        }
    }
}
