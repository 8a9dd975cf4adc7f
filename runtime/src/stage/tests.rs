//! A head and a tail over the broker in memory, with a part that only passes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests say what failed by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kerf_wire::{CutId, DType, DeviceId, Digest};

use super::envelope::Envelopes;
use super::head::{self, Answer, HeadConfig, HeadLinks, Summary};
use super::keep::{MemoryKeep, WhenFull};
use super::tail::{BatchConfig, Confirm, Steps, Tail, TailConfig, TailLinks};
use super::*;
use crate::broker::memory::Hub;
use crate::broker::topics::Topics;
use crate::broker::{Broker, Message};
use crate::source::{Source, SourceError};
use crate::tensor::Tensor;

mod batch;
mod early;
mod silent_store;

/// Passes its one tensor on.
struct Passing;

impl Part for Passing {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        Ok(Leaving {
            values: input
                .tensors
                .iter()
                .map(|(name, t)| (name.as_str(), t.view()))
                .collect(),
            run: Duration::ZERO,
            exit: None,
        })
    }

    fn backend(&self) -> Option<&'static str> {
        None
    }
}

/// Answers with the first byte.
struct FirstByte;

impl Answerer for FirstByte {
    fn answer(&self, outputs: &[(&str, TensorRef<'_>)]) -> (Vec<Label>, Vec<Output>) {
        let (name, tensor) = outputs.first().expect("one output");
        let output = Output {
            name: (*name).to_owned(),
            dtype: tensor.dtype,
            shape: tensor.shape.to_vec(),
            data: tensor.bytes.first().map(|&b| b.into()),
        };
        (Vec::new(), vec![output])
    }
}

/// Gives tensors 0, 1, 2, …
struct Counting {
    next: u8,
    end: u8,
}

impl Source for Counting {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        if self.next == self.end {
            return Ok(None);
        }
        let mut tensor = Tensor::zeros(DType::U8, &[1]).unwrap();
        tensor.bytes_mut()[0] = self.next;
        self.next += 1;
        Ok(Some(Input {
            label: format!("input {}", self.next - 1),
            tensors: vec![("x".to_owned(), tensor)],
        }))
    }
}

const CROSSING: Crossing = Crossing {
    model: Digest([1; 32]),
    cut: CutId([2; 16]),
};

fn topics() -> Topics {
    Topics::new("t").unwrap()
}

fn border(crossing: Crossing) -> Border {
    Border {
        crossing,
        values: vec!["x".to_owned()],
        codecs: vec![Codec::RAW],
        coarser: Vec::new(),
    }
}

fn head_config() -> HeadConfig {
    HeadConfig {
        device: DeviceId::new("cam").unwrap(),
        topics: topics(),
        onward: border(CROSSING),
        results: true,
        exits: false,
        confirm: Confirm::Stage,
        warnings: Vec::new(),
        in_flight: None,
    }
}

fn tail(hub: &Hub) -> Tail {
    tail_of(hub, CROSSING)
}

fn with_envelopes(hub: &Hub, envelopes: Envelopes) -> Tail {
    tail_by(hub, CROSSING, envelopes)
}

fn tail_of(hub: &Hub, crossing: Crossing) -> Tail {
    tail_by(hub, crossing, Envelopes::new(None, usize::MAX))
}

fn tail_config(crossing: Crossing, batch: BatchConfig) -> TailConfig {
    TailConfig {
        topics: topics(),
        part: 1,
        before: border(crossing),
        onward: None,
        confirm: Confirm::Stage,
        warnings: Vec::new(),
        batch,
    }
}

fn tail_by(hub: &Hub, crossing: Crossing, envelopes: Envelopes) -> Tail {
    let mut broker = hub.connect();
    let filter = topics().frames_filter(&CROSSING.model, &CROSSING.cut, None);
    broker.subscribe(&filter).unwrap();
    let config = tail_config(crossing, BatchConfig::NONE);
    let links = TailLinks {
        broker: Box::new(broker),
        envelopes,
        metrics: Arc::default(),
        status: None,
    };
    Tail::new(links, Box::new(Passing), Box::new(FirstByte), config)
}

fn run_head(hub: &Hub, inputs: u8) -> (Summary, Vec<Answer>) {
    let keep = MemoryKeep::new(1 << 20, WhenFull::RefuseNew);
    run_head_of(hub, inputs, &mut Passing, &head_config(), keep)
}

fn run_head_of(
    hub: &Hub,
    inputs: u8,
    part: &mut dyn Part,
    config: &HeadConfig,
    keep: MemoryKeep,
) -> (Summary, Vec<Answer>) {
    let mut broker = hub.connect();
    head::subscribe(&mut broker, config).unwrap();
    let mut answers = Vec::new();
    let summary = head::run(
        &mut Counting { next: 0, end: inputs },
        part,
        HeadLinks {
            broker: Box::new(broker),
            keep: Box::new(keep),
            envelopes: Envelopes::new(None, usize::MAX),
            answerer: Box::new(FirstByte),
            metrics: Arc::default(),
            status: None,
        },
        config,
        &mut |answer| answers.push(answer),
    );
    (summary, answers)
}

/// Runs a head against `step`, which is called until the head is done.
fn against(hub: &Hub, inputs: u8, step: impl FnMut()) -> (Summary, Vec<Answer>) {
    until(|| run_head(hub, inputs), step)
}

/// Calls `step` until `head` is done.
fn until<T: Send>(head: impl FnOnce() -> T + Send, mut step: impl FnMut()) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let head = scope.spawn(|| {
            let outcome = head();
            done.store(true, Ordering::Release);
            outcome
        });
        while !done.load(Ordering::Acquire) {
            step();
        }
        head.join().unwrap()
    })
}

fn data(answers: &[Answer]) -> BTreeMap<String, serde_json::Value> {
    let pair = |a: &Answer| {
        let data = a.result.outputs.first().and_then(|o| o.data.clone());
        (a.input.clone().unwrap(), data.unwrap())
    };
    answers.iter().map(pair).collect()
}

fn expected(inputs: u8) -> BTreeMap<String, serde_json::Value> {
    (0..inputs).map(|n| (format!("input {n}"), n.into())).collect()
}

#[test]
fn every_input_is_answered_once_with_its_own_answer() {
    let hub = Hub::default();
    let mut tail = tail(&hub);
    let (summary, answers) = against(&hub, 200, || {
        tail.step(Duration::from_millis(20));
    });
    assert_eq!((summary.accepted, summary.answered, summary.failed), (200, 200, 0));
    assert_eq!(answers.len(), 200);
    assert_eq!(data(&answers), expected(200));
    assert!(answers.iter().all(|a| a.result.hops.len() == 2));
}

#[test]
fn a_broker_that_forgets_everything_costs_repeats_and_no_frame() {
    let hub = Hub::default();
    let mut tail = tail(&hub);
    let mut steps = 0;
    let mut repeats = 0;
    let (summary, answers) = against(&hub, 200, || {
        steps += 1;
        if steps % 37 == 0 {
            hub.crash();
        }
        repeats += tail.step(Duration::from_millis(20)).repeats;
    });
    assert_eq!(summary.answered, 200);
    assert_eq!(answers.len(), 200, "an answer was printed twice");
    assert_eq!(data(&answers), expected(200));
    assert!(
        summary.resent > 0 && repeats > 0,
        "the crashes cost nothing: {summary:?}, {repeats} repeats"
    );
}

#[test]
fn a_frame_of_another_cut_is_refused_by_name_and_not_sent_for_ever() {
    let hub = Hub::default();
    let other = Crossing {
        cut: CutId([9; 16]),
        ..CROSSING
    };
    let mut tail = tail_of(&hub, other);
    let (summary, answers) = against(&hub, 3, || {
        tail.step(Duration::from_millis(20));
    });
    assert_eq!((summary.answered, summary.refused), (0, 3));
    let error = answers.first().and_then(|a| a.result.error.clone()).unwrap();
    assert!(error.contains(&CROSSING.to_string()), "{error}");
}

#[test]
fn a_device_cannot_speak_for_another() {
    let hub = Hub::default();
    let mut tail = tail(&hub);
    let mut watcher = hub.connect();
    watcher.subscribe("t/+/receipt").unwrap();
    watcher.subscribe("t/+/result").unwrap();
    let forged = kerf_wire::FrameBuilder::new()
        .seal(
            kerf_wire::FrameId {
                device: DeviceId::new("victim").unwrap(),
                boot: 1,
                sequence: 1,
            },
            CROSSING.model,
            CROSSING.cut,
            &[],
        )
        .unwrap()
        .to_vec();
    let topic = topics().frames(&DeviceId::new("thief").unwrap(), &CROSSING.model, &CROSSING.cut);
    watcher.publish(&Message::new(topic, forged), Duration::ZERO).unwrap();
    assert_eq!(tail.step(Duration::ZERO).refused, 1);
    assert!(watcher.receive(Duration::ZERO).unwrap().is_none());
    assert_eq!(tail.step(Duration::ZERO), Steps::default(), "it was acknowledged");
}

#[test]
fn bytes_that_are_no_frame_are_acknowledged_and_dropped() {
    let hub = Hub::default();
    let mut tail = tail(&hub);
    let mut writer = hub.connect();
    let topic = topics().frames(&DeviceId::new("cam").unwrap(), &CROSSING.model, &CROSSING.cut);
    writer
        .publish(&Message::new(topic, "no frame"), Duration::ZERO)
        .unwrap();
    assert_eq!(tail.step(Duration::ZERO).refused, 1);
    assert_eq!(tail.step(Duration::ZERO), Steps::default());
}

/// A broker whose link flips one bit of each result's first copy.
struct Flipping {
    broker: crate::broker::memory::MemoryBroker,
    seen: std::collections::HashSet<Vec<u8>>,
}

impl Broker for Flipping {
    fn subscribe(&mut self, filter: &str) -> Result<(), crate::broker::BrokerError> {
        self.broker.subscribe(filter)
    }

    fn publish(&mut self, message: &Message, wait: Duration) -> Result<bool, crate::broker::BrokerError> {
        self.broker.publish(message, wait)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<crate::broker::Delivery>, crate::broker::BrokerError> {
        let mut delivery = self.broker.receive(wait)?;
        if let Some(delivery) = &mut delivery
            && delivery.message.topic.ends_with("/result")
            && self.seen.insert(delivery.message.payload.to_vec())
        {
            // `"data":N` becomes `"dat`":N`: still JSON, and no answer any more.
            let text = String::from_utf8(delivery.message.payload.to_vec()).unwrap();
            delivery.message.payload = text.replace("\"data\"", "\"dat`\"").into();
        }
        Ok(delivery)
    }

    fn ack(&mut self, token: crate::broker::DeliveryToken) -> Result<(), crate::broker::BrokerError> {
        self.broker.ack(token)
    }

    fn waker(&self) -> crate::broker::Waker {
        self.broker.waker()
    }

    fn probe(&self) -> crate::broker::Probe {
        self.broker.probe()
    }

    fn connections(&self) -> u64 {
        self.broker.connections()
    }
}

#[test]
fn a_result_that_was_damaged_on_its_way_is_not_delivered_and_comes_again() {
    let hub = Hub::default();
    let mut tail = tail(&hub);
    let mut broker = Flipping {
        broker: hub.connect(),
        seen: std::collections::HashSet::new(),
    };
    let config = head_config();
    head::subscribe(&mut broker, &config).unwrap();
    let links = HeadLinks {
        broker: Box::new(broker),
        keep: Box::new(MemoryKeep::new(1 << 20, WhenFull::RefuseNew)),
        envelopes: Envelopes::new(None, usize::MAX),
        answerer: Box::new(FirstByte),
        metrics: Arc::default(),
        status: None,
    };
    let done = AtomicBool::new(false);
    let mut data = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                tail.step(Duration::from_millis(10));
            }
        });
        let mut source = Counting { next: 0, end: 3 };
        head::run(&mut source, &mut Passing, links, &config, &mut |answer| {
            data.extend(answer.result.outputs[0].data.clone());
        });
        done.store(true, Ordering::Release);
    });
    assert_eq!(data.len(), 3, "{data:?}");
}
