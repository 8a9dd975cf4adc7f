//! What a stage behind the first publishes: frames for the next stage, results, receipts.
//!
//! Owns: which message says what, and in which order. Must not know: what is in a frame.

use std::time::{Duration, Instant};

use kerf_wire::limits::MAX_REASON_BYTES;
use kerf_wire::{FrameId, Outcome, Receipt};

use super::{Confirm, Refusal, Steps, Tail, elapsed_us};
use crate::broker::{BrokerError, Message};
use crate::stage::dedupe::StoredAnswer;

/// How long one answer may wait for the outgoing slot; then the frame is left to come again.
const SLOT_WAIT: Duration = Duration::from_secs(20);

impl Tail {
    pub(super) fn publish_answer(&mut self, id: &FrameId, answer: StoredAnswer) -> Result<(), BrokerError> {
        let topics = &self.work.config.topics;
        let mut result = Message::new(topics.result(&id.device), answer.result).checked();
        let receipt_topic = topics.receipt(&id.device);
        match self.work.config.confirm {
            Confirm::Stage => {
                self.publish(&result)?;
                self.publish(&Message::new(receipt_topic, answer.receipt))
            }
            Confirm::Reader => {
                result.response_topic = Some(receipt_topic);
                result.correlation = Some(answer.receipt.to_vec());
                self.publish(&result)
            }
        }
    }

    /// Tells the head why, where the frame can never be answered; without a receipt it comes again.
    pub(super) fn refuse(
        &mut self,
        id: &FrameId,
        why: Refusal,
        at: Instant,
        steps: &mut Steps,
    ) -> Result<(), BrokerError> {
        match why {
            Refusal::Envelope(why) if why.may_pass() => {
                log::warn!("event=not_fetched frame={id} why={:?}", why.to_string());
                self.work.metrics.health.store(why.trouble());
                steps.not_fetched += 1;
            }
            why => {
                log::warn!("event=frame_refused frame={id} why={:?}", why.to_string());
                self.publish_refusal(id, &why, at)?;
                steps.refused += 1;
            }
        }
        Ok(())
    }

    fn publish_refusal(&mut self, id: &FrameId, why: &Refusal, at: Instant) -> Result<(), BrokerError> {
        let text = why.to_string();
        let fitting = text.char_indices().take_while(|(at, _)| *at < MAX_REASON_BYTES - 4);
        let end = fitting.last().map_or(0, |(at, character)| at + character.len_utf8());
        let receipt = Receipt {
            id: id.clone(),
            outcome: Outcome::Refused(text.get(..end).unwrap_or_default().try_into().unwrap_or_default()),
            away_us: elapsed_us(at),
        };
        match receipt.to_vec() {
            Ok(receipt) => self.publish(&Message::new(self.work.config.topics.receipt(&id.device), receipt)),
            Err(why) => {
                log::error!("event=receipt_not_sealed frame={id} why={:?}", why.to_string());
                Ok(())
            }
        }
    }

    pub(super) fn publish(&mut self, message: &Message) -> Result<(), BrokerError> {
        if self.broker.publish(message, SLOT_WAIT)? {
            return Ok(());
        }
        Err(BrokerError::Unreachable {
            broker: "the broker".to_owned(),
            why: format!("it has taken nothing for {SLOT_WAIT:?}"),
        })
    }
}
