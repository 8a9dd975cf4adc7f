//! Every stage behind the first: takes frames, runs its part, and answers, or sends the frame on.
//!
//! Owns: what happens between a delivery and its acknowledgement. Must not know: engines, packets.
//! Start at [`Tail::step`]. The delivery is acknowledged last: a stage killed before costs a redelivery, never a frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kerf_wire::codec::Coder;
use kerf_wire::limits::MAX_REASON_BYTES;
use kerf_wire::{Envelope, FrameBuilder, FrameId, Outcome, Receipt, WireError};

use super::dedupe::{Answers, StoredAnswer};
use super::envelope::{EnvelopeError, Envelopes};
use super::status::Status;
use super::{Answerer, Border, Crossing, Part};
use crate::alive::Alive;
use crate::backend::RunError;
use crate::broker::topics::Topics;
use crate::broker::{Broker, BrokerError, Delivery, Message};
use crate::metrics::Metrics;

mod make;
mod output;

pub(super) use make::hop_times;
use output::Output;

/// How long one answer may wait for the outgoing slot; then the delivery is left to come again.
const SLOT_WAIT: Duration = Duration::from_secs(20);

/// What a stage behind the first needs to know.
#[derive(Debug, Clone)]
pub struct TailConfig {
    /// Where it writes and reads.
    pub topics: Topics,
    /// Its part.
    pub part: u8,
    /// The cut before it.
    pub before: Border,
    /// The cut behind it; none where it answers.
    pub onward: Option<Border>,
    /// Who gives the receipt.
    pub confirm: Confirm,
    /// Said in every result, e.g. that a backend stepped down.
    pub warnings: Vec<String>,
}

/// Who tells the head that a frame is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confirm {
    /// The last stage, once the broker has the result.
    #[default]
    Stage,
    /// The reader, once it has the result: the result carries the receipt as its correlation data, and the topic for it
    /// as its response topic.
    Reader,
}

/// What became of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing came within the wait.
    Nothing,
    /// The part ran; the frame is answered or on its way on.
    Ran,
    /// A repeat, answered from memory.
    Repeat,
    /// Refused; where the frame is known, its head was told.
    Refused,
    /// The link failed meanwhile: the delivery will come again.
    Lost,
    /// Its object could not be fetched; the head will send it again, and put the object again.
    NotFetched,
}

/// What a stage behind the first is linked to.
pub struct TailLinks {
    /// The broker, on which it has subscribed.
    pub broker: Box<dyn Broker>,
    /// How frames travel.
    pub envelopes: Envelopes,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// What it tells of itself, where it does.
    pub status: Option<Status>,
}

/// A stage behind the first.
pub struct Tail {
    broker: Box<dyn Broker>,
    envelopes: Envelopes,
    metrics: Arc<Metrics>,
    status: Option<Status>,
    alive: Alive,
    part: Box<dyn Part>,
    answerer: Box<dyn Answerer>,
    config: TailConfig,
    answers: Answers,
    builder: FrameBuilder,
    coder: Coder,
}

/// Why a frame is not answered, ever.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no part here for {theirs}: this stage takes {ours}")]
    Unknown { ours: Crossing, theirs: Crossing },
    #[error("expected {expected} tensors, got {got}")]
    Count { expected: usize, got: usize },
    #[error("frame of device {id} came on the topic of device {topic}")]
    Forged { id: String, topic: String },
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("result does not encode: {0}")]
    Json(#[from] serde_json::Error),
}

impl Tail {
    /// A stage over its links and its part.
    pub fn new(links: TailLinks, part: Box<dyn Part>, answerer: Box<dyn Answerer>, config: TailConfig) -> Self {
        links.metrics.health.watch(links.broker.probe());
        links.metrics.health.warn(&config.warnings);
        Self {
            status: links.status,
            broker: links.broker,
            envelopes: links.envelopes,
            metrics: links.metrics,
            alive: Alive::new(),
            part,
            answerer,
            config,
            answers: Answers::default(),
            builder: FrameBuilder::new(),
            coder: Coder::new(),
        }
    }

    /// Waits for one delivery and deals with it, wholly.
    pub fn step(&mut self, wait: Duration) -> Step {
        self.alive.tick();
        let mut wait = wait.min(self.alive.longest_wait());
        if let Some(status) = &mut self.status {
            status.tick(self.broker.as_mut(), &self.metrics);
            wait = wait.min(status.wait());
        }
        let delivery = match self.broker.receive(wait) {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return Step::Nothing,
            Err(why) => {
                log::debug!("event=not_received why={:?}", why.to_string());
                return Step::Lost;
            }
        };
        let step = match self.deal_with(&delivery) {
            Ok(step) => step,
            Err(why) => {
                log::debug!("event=answer_lost why={:?}", why.to_string());
                Step::Lost
            }
        };
        match step {
            Step::Ran => self.metrics.answered.add(1),
            Step::Repeat => self.metrics.repeats.add(1),
            Step::Refused => self.metrics.refused.add(1),
            Step::NotFetched => self.metrics.not_fetched.add(1),
            Step::Nothing | Step::Lost => {}
        }
        step
    }

    fn deal_with(&mut self, delivery: &Delivery) -> Result<Step, BrokerError> {
        let message = &delivery.message;
        let envelope = match Envelope::parse(&message.payload) {
            Ok(envelope) => envelope,
            Err(why) => {
                log::warn!("event=frame_refused topic={} why={:?}", message.topic, why.to_string());
                self.broker.ack(delivery.token)?;
                return Ok(Step::Refused);
            }
        };
        let id = envelope.id().clone();
        if let Err(why) = self.check_sender(&id, &message.topic) {
            // No receipt: it would go to a device that has sent nothing.
            log::warn!("event=frame_refused topic={} why={:?}", message.topic, why.to_string());
            self.broker.ack(delivery.token)?;
            return Ok(Step::Refused);
        }
        let (answer, step) = match self.answers.find(&id).cloned() {
            Some(stored) => (Ok(Output::Answer(stored)), Step::Repeat),
            None => (self.output(&envelope, delivery.at), Step::Ran),
        };
        let step = match answer {
            Ok(Output::Onward(onward)) => {
                self.publish(&onward)?;
                step
            }
            Ok(Output::Answer(answer)) => {
                if step == Step::Ran {
                    self.answers.store(id.clone(), answer.clone());
                }
                self.publish_answer(&id, answer)?;
                step
            }
            Err(Refusal::Envelope(why)) if why.may_pass() => {
                // Acknowledged all the same, or it would block those behind it; without a receipt it comes again.
                log::warn!("event=not_fetched frame={id} why={:?}", why.to_string());
                self.metrics.health.store(why.trouble());
                Step::NotFetched
            }
            Err(why) => {
                log::warn!("event=frame_refused frame={id} why={:?}", why.to_string());
                self.publish_refusal(&id, &why, delivery.at)?;
                Step::Refused
            }
        };
        log::debug!("event=frame_done frame={id} step={step:?}");
        self.broker.ack(delivery.token)?;
        Ok(step)
    }

    /// A device may speak in its own name only; the broker's access list holds it to its own topic.
    fn check_sender(&self, id: &FrameId, topic: &str) -> Result<(), Refusal> {
        let of_topic = self.config.topics.device_of(topic).unwrap_or_default();
        if of_topic == id.device.as_str() {
            return Ok(());
        }
        Err(Refusal::Forged {
            id: id.device.to_string(),
            topic: of_topic.to_owned(),
        })
    }

    fn publish_answer(&mut self, id: &FrameId, answer: StoredAnswer) -> Result<(), BrokerError> {
        let mut result = Message::new(self.config.topics.result(&id.device), answer.result).checked();
        let receipt_topic = self.config.topics.receipt(&id.device);
        match self.config.confirm {
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
            Ok(receipt) => self.publish(&Message::new(self.config.topics.receipt(&id.device), receipt)),
            Err(why) => {
                log::error!("event=receipt_not_sealed frame={id} why={:?}", why.to_string());
                Ok(())
            }
        }
    }

    fn publish(&mut self, message: &Message) -> Result<(), BrokerError> {
        if self.broker.publish(message, SLOT_WAIT)? {
            return Ok(());
        }
        Err(BrokerError::Unreachable {
            broker: "the broker".to_owned(),
            why: format!("it has taken nothing for {SLOT_WAIT:?}"),
        })
    }
}

fn elapsed_us(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
