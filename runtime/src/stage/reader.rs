//! A reader: delivers each result once, whatever comes twice, and confirms it where the last stage leaves that to it.
//!
//! Owns: the memory of what was delivered, and the order of write, confirm and acknowledge. Must not know: where results
//! go. Start at [`Reader::step`].
//!
//! With a [`Sink`] that remembers (a file) this holds over restarts too: what was written is the memory. A result is
//! confirmed and acknowledged only after the sink has it for good; killed between, it comes again and is known.

use std::time::Duration;

use kerf_wire::{DeviceId, FrameId, Receipt};
use serde::Deserialize;

use super::dedupe::Delivered;
use crate::broker::topics::Topics;
use crate::broker::{Broker, BrokerError, Delivery, Message};

/// Results written at once, before one sync.
const MAX_GROUP: usize = 64;
/// How long a confirmation may wait for the outgoing slot; the result then comes again.
const SLOT_WAIT: Duration = Duration::from_secs(20);

/// Where results go.
pub trait Sink {
    /// Takes one result's JSON.
    ///
    /// # Errors
    /// When it cannot be written; it is then neither confirmed nor acknowledged, and comes again.
    fn write(&mut self, result: &[u8]) -> std::io::Result<()>;
    /// Makes durable what was written.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn sync(&mut self) -> std::io::Result<()>;
}

/// What a reader did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Results delivered, each once.
    pub delivered: u64,
    /// Results that were known.
    pub repeats: u64,
    /// Messages that are no result.
    pub refused: u64,
}

/// Why a reader stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReaderError {
    /// The sink fails.
    #[error("results cannot be written: {0}")]
    Sink(#[from] std::io::Error),
    /// So many holes in the sequences that no more ids fit in memory.
    #[error("too many gaps between frames to remember which were delivered: {0} ranges")]
    Memory(usize),
}

/// A reader over its connection.
pub struct Reader {
    broker: Box<dyn Broker>,
    topics: Topics,
    delivered: Delivered,
    counts: Counts,
}

/// The one field that the reader needs.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    frame: std::borrow::Cow<'a, str>,
}

/// The id of a result's JSON.
pub fn id_of(result: &[u8]) -> Option<FrameId> {
    let header: Header<'_> = serde_json::from_slice(result).ok()?;
    let mut parts = header.frame.split('/');
    let (device, boot, sequence) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(FrameId {
        device: DeviceId::new(device).ok()?,
        boot: u64::from_str_radix(boot, 16).ok()?,
        sequence: sequence.parse().ok()?,
    })
}

impl Reader {
    /// A reader of a broker on which it has subscribed; `delivered` is what it remembers of earlier runs.
    pub fn new(broker: Box<dyn Broker>, topics: Topics, delivered: Delivered) -> Self {
        Self {
            broker,
            topics,
            delivered,
            counts: Counts::default(),
        }
    }

    /// What was done up to now.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Waits for results and deals with those that are there; gives how many deliveries that were.
    ///
    /// # Errors
    /// When the sink fails or the memory is full. A dead broker is waited for.
    pub fn step(&mut self, wait: Duration, sink: &mut dyn Sink) -> Result<usize, ReaderError> {
        let group = self.group(wait);
        if group.is_empty() {
            return Ok(0);
        }
        let mut confirmed = Vec::with_capacity(group.len());
        let mut new = false;
        for delivery in &group {
            let Some(id) = self.known(delivery) else {
                self.counts.refused += 1;
                confirmed.push((delivery, None));
                continue;
            };
            if self.delivered.contains(&id) {
                self.counts.repeats += 1;
            } else {
                let payload = &delivery.message.payload;
                if self.delivered.note(&id).is_none() {
                    return Err(ReaderError::Memory(self.delivered.ranges()));
                }
                sink.write(payload)?;
                self.counts.delivered += 1;
                new = true;
            }
            confirmed.push((delivery, Some(id)));
        }
        if new {
            sink.sync()?;
        }
        for (delivery, id) in confirmed {
            if let Err(why) = self.confirm(delivery, id.as_ref()) {
                log::debug!("event=not_confirmed why={:?}", why.to_string());
            }
        }
        Ok(group.len())
    }

    fn group(&mut self, wait: Duration) -> Vec<Delivery> {
        let mut group = Vec::new();
        let mut wait = wait;
        while group.len() < MAX_GROUP {
            match self.broker.receive(wait) {
                Ok(Some(delivery)) => group.push(delivery),
                Ok(None) => break,
                Err(why) => {
                    log::debug!("event=not_received why={:?}", why.to_string());
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        group
    }

    /// The id, where the message is a result of the device on whose topic it came.
    fn known(&self, delivery: &Delivery) -> Option<FrameId> {
        let message = &delivery.message;
        let of_topic = self.topics.device_of(&message.topic);
        let id = id_of(&message.payload).filter(|id| message.is_intact() && of_topic == Some(id.device.as_str()));
        if id.is_none() {
            log::warn!("event=result_refused topic={}", message.topic);
        }
        id
    }

    /// Sends the receipt that came with the result, where one did, and acknowledges.
    fn confirm(&mut self, delivery: &Delivery, id: Option<&FrameId>) -> Result<(), BrokerError> {
        let message = &delivery.message;
        if let (Some(id), Some(receipt)) = (id, &message.correlation) {
            let topic = self.topics.receipt(&id.device);
            // Only to where receipts of this device go, and only this frame's: a result must not make us write elsewhere.
            let expected = message.response_topic.as_ref() == Some(&topic);
            if expected && Receipt::parse(receipt).is_ok_and(|r| r.id == *id) {
                let receipt = Message::new(topic, receipt.clone());
                if !self.broker.publish(&receipt, SLOT_WAIT)? {
                    // Not acknowledged: the result comes again, and with it the chance to confirm it.
                    return Ok(());
                }
            } else {
                log::warn!("event=receipt_refused frame={id}");
            }
        }
        self.broker.ack(delivery.token)
    }
}
