//! Answers that a head gives by itself, at an early exit: kept as frames are, and published where a frame would be sent.
//!
//! Owns: what such an answer looks like in the keep, and what frees it: its echo from the broker, or, where the reader
//! confirms, the reader's receipt. Must not know: engines, what an exit is.
//! An answer is told at once, whatever the network does; whoever reads results on the broker gets it too, at least once.

use std::time::Instant;

use bytes::Bytes;
use kerf_wire::{FrameId, InferenceResult, Outcome, Receipt};

use super::Link;
use super::refused::Refused;
use crate::broker::Message;
use crate::stage::head::Answer;
use crate::stage::tail::Confirm;

/// True for a result's JSON; a sealed frame begins with its own mark.
pub(super) fn is_answer(kept: &[u8]) -> bool {
    kept.first() == Some(&b'{')
}

impl Link<'_> {
    /// What the broker carries for an answer of our own.
    pub(super) fn result_message(&self, id: &FrameId, result: &Bytes) -> Result<Message, Refused> {
        let mut message = Message::new(self.config.topics.result(&id.device), result.clone()).checked();
        if self.config.confirm == Confirm::Reader {
            let receipt = Receipt {
                id: id.clone(),
                outcome: Outcome::Answered,
                away_us: 0,
            };
            let receipt = receipt.to_vec().map_err(|why| Refused::ForEver(why.to_string()))?;
            message.response_topic = Some(self.receipt_topic.clone());
            message.correlation = Some(receipt);
        }
        Ok(message)
    }

    /// Tells an answer of our own, once accepted.
    pub(super) fn tell_own(&mut self, sequence: u64, taken: Option<(String, Instant)>, result: InferenceResult) {
        if taken.is_some() {
            self.gate.leave();
        }
        self.told.insert(sequence);
        self.summary.answered += 1;
        self.metrics.answered.add(1);
        (self.answered)(Answer {
            total_ms: taken.as_ref().map(|(_, begun)| begun.elapsed().as_secs_f64() * 1e3),
            input: taken.map(|(label, _)| label),
            frame_bytes: 0,
            sends: 0,
            transfer_ms: None,
            result,
        });
    }

    /// Frees an answer of our own that has arrived where it had to.
    pub(super) fn finish_own(&mut self, sequence: u64) {
        let Some(flight) = self.flights.flight_mut(sequence) else {
            return;
        };
        let arrived = match self.config.confirm {
            Confirm::Stage => flight.result.is_some(),
            Confirm::Reader => flight.receipt.is_some(),
        };
        if !arrived {
            return;
        }
        let flight = self.flights.remove(sequence);
        self.free(sequence);
        // Kept by an earlier life of this stage, which may have ended before it could tell.
        let untold = flight.filter(|_| !self.told.remove(&sequence));
        if let Some(result) = untold.and_then(|f| serde_json::from_slice(&f.frame).ok()) {
            self.tell_own(sequence, None, result);
            self.told.remove(&sequence);
        }
    }
}
