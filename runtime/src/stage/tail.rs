//! Every stage behind the first: takes frames, runs its part, and answers, or sends the frame on.
//!
//! Owns: what happens between a delivery and its acknowledgement. Must not know: engines, packets.
//! Start at [`Tail::step`]; [`waiting`] says whose turn it is, [`judge`] what a delivery is, [`batch`] what runs together,
//! [`output`] what is made of it.
//! The delivery is acknowledged last: a stage killed before costs a redelivery, never a frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kerf_wire::FrameBuilder;
use kerf_wire::codec::Coder;

use super::dedupe::Answers;
use super::envelope::Envelopes;
use super::status::Status;
use super::{Answerer, Border, Part};
use crate::alive::Alive;
use crate::broker::topics::Topics;
use crate::broker::{Broker, BrokerError, Delivery};
use crate::metrics::Metrics;

mod batch;
mod judge;
mod make;
mod output;
mod publish;
mod waiting;

pub use batch::BatchConfig;
use batch::Batching;
use judge::{Refusal, Verdict};
pub(super) use make::hop_times;
use output::{Output, Taken, Work};
use waiting::Waiting;

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
    /// How many frames may run together.
    pub batch: BatchConfig,
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

/// What became of the deliveries of one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps {
    /// Frames that ran, and are answered or on their way on.
    pub ran: u64,
    /// Repeats, answered from memory.
    pub repeats: u64,
    /// Refused; where the frame is known, its head was told.
    pub refused: u64,
    /// The link failed meanwhile: they come again.
    pub lost: u64,
    /// Their objects could not be fetched; the head will send them again, and put the objects again.
    pub not_fetched: u64,
}

impl std::ops::AddAssign for Steps {
    fn add_assign(&mut self, other: Self) {
        self.ran += other.ran;
        self.repeats += other.repeats;
        self.refused += other.refused;
        self.lost += other.lost;
        self.not_fetched += other.not_fetched;
    }
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
    status: Option<Status>,
    alive: Alive,
    part: Box<dyn Part>,
    work: Work,
    answers: Answers,
    waiting: Waiting,
    batching: Batching,
}

impl Tail {
    /// A stage over its links and its part.
    pub fn new(links: TailLinks, part: Box<dyn Part>, answerer: Box<dyn Answerer>, config: TailConfig) -> Self {
        links.metrics.health.watch(links.broker.probe());
        links.metrics.health.warn(&config.warnings);
        Self {
            status: links.status,
            broker: links.broker,
            alive: Alive::new(),
            batching: Batching::new(config.batch, part.takes_batches()),
            part,
            work: Work {
                envelopes: links.envelopes,
                answerer,
                metrics: links.metrics,
                config,
                builder: FrameBuilder::new(),
                coder: Coder::new(),
            },
            answers: Answers::default(),
            waiting: Waiting::default(),
        }
    }

    /// Waits for a delivery, and for others that may run with it, and deals with them, wholly.
    pub fn step(&mut self, wait: Duration) -> Steps {
        self.alive.tick();
        let mut wait = wait.min(self.alive.longest_wait());
        if let Some(status) = &mut self.status {
            status.tick(self.broker.as_mut(), &self.work.metrics);
            wait = wait.min(status.wait());
        }
        let mut steps = Steps::default();
        if let Err(why) = self.gather(wait) {
            log::debug!("event=not_received why={:?}", why.to_string());
            steps.lost += u64::from(self.waiting.is_empty());
        }
        let count = self.batching.size(self.waiting.len());
        let taken: Vec<_> = std::iter::from_fn(|| self.waiting.take()).take(count).collect();
        self.deal_with(taken, &mut steps);
        let metrics = &self.work.metrics;
        metrics.answered.add(steps.ran);
        metrics.repeats.add(steps.repeats);
        metrics.refused.add(steps.refused);
        metrics.not_fetched.add(steps.not_fetched);
        steps
    }

    /// Takes all that the broker has delivered; waits for the first, and for a full batch as long as it may.
    fn gather(&mut self, wait: Duration) -> Result<(), BrokerError> {
        while self.waiting.has_room() {
            let wait = match self.waiting.oldest() {
                None => wait,
                Some(since) => self.batching.wait(self.waiting.len(), since),
            };
            match self.broker.receive(wait)? {
                Some(delivery) => {
                    let device = self.work.config.topics.device_of(&delivery.message.topic);
                    let device = device.unwrap_or_default().to_owned();
                    self.waiting.push(&device, delivery);
                }
                None if wait.is_zero() || self.waiting.is_empty() => break,
                // Woken.
                None => {}
            }
        }
        Ok(())
    }

    fn deal_with(&mut self, taken: Vec<(u64, Delivery)>, steps: &mut Steps) {
        let mut ready: Vec<Taken> = Vec::new();
        let mut again = Vec::new();
        for (number, delivery) in taken {
            match self.judge(number, &delivery) {
                // Sent again while its first copy waited: answered from memory, once that has run.
                Verdict::Ready(frame) if ready.iter().any(|other| other.id == frame.id) => {
                    again.push((number, delivery));
                }
                Verdict::Ready(frame) => ready.push(frame),
                verdict => {
                    let outcome = self.answer_now(verdict, delivery.at, steps);
                    self.settle(number, outcome, steps);
                }
            }
        }
        for (frame, output) in self.run_all(ready) {
            let outcome = self.publish_output(&frame, output, steps);
            log::debug!("event=frame_done frame={}", frame.id);
            self.settle(frame.number, outcome, steps);
        }
        for repeat in again {
            self.deal_with(vec![repeat], steps);
        }
    }

    /// Answers what needs no run.
    fn answer_now(&mut self, verdict: Verdict, at: Instant, steps: &mut Steps) -> Result<(), BrokerError> {
        match verdict {
            Verdict::Silent => {
                steps.refused += 1;
                Ok(())
            }
            Verdict::Repeat(id, stored) => {
                self.publish_answer(&id, stored)?;
                steps.repeats += 1;
                Ok(())
            }
            Verdict::Refused(id, why) => self.refuse(&id, why, at, steps),
            Verdict::Ready(_) => Ok(()),
        }
    }

    fn publish_output(
        &mut self,
        frame: &Taken,
        output: Result<Output, Refusal>,
        steps: &mut Steps,
    ) -> Result<(), BrokerError> {
        match output {
            Ok(Output::Onward(onward)) => self.publish(&onward)?,
            Ok(Output::Answer(answer)) => {
                self.answers.store(frame.id.clone(), answer.clone());
                self.publish_answer(&frame.id, answer)?;
            }
            Err(why) => return self.refuse(&frame.id, why, frame.at, steps),
        }
        steps.ran += 1;
        Ok(())
    }

    /// Acknowledges the delivery, and those behind it that waited for that. One whose answer was not taken is acknowledged
    /// too, for it would hold up the others: without its receipt it comes again from its head.
    fn settle(&mut self, number: u64, outcome: Result<(), BrokerError>, steps: &mut Steps) {
        self.waiting.settle(number);
        let mut outcome = outcome;
        while let Some(token) = self.waiting.acknowledgeable() {
            outcome = outcome.and(self.broker.ack(token));
        }
        if let Err(why) = outcome {
            log::debug!("event=answer_lost why={:?}", why.to_string());
            steps.lost += 1;
        }
    }
}

fn elapsed_us(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
