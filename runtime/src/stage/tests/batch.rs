//! Frames that run together: the same answers, each its own receipt, in turns, and one by one where an engine does not
//! take them together.

use std::sync::Mutex;

use super::*;
use crate::broker::{BrokerError, Delivery, DeliveryToken, Probe, Waker};
use crate::metrics::Metrics;

/// What an engine does with more rows than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joined {
    /// What it does with one, row by row.
    Rows,
    /// Fails.
    Fails,
    /// Fails where a row is 13, alone too.
    FailsAtThirteen,
    /// Answers depend on the neighbours.
    Leaks,
    /// Gives one row for all.
    Folds,
}

/// Adds 100 to each row of `[n]` bytes; notes how many rows came at once.
struct Adding {
    joined: Joined,
    seen: Arc<Mutex<Vec<u32>>>,
    out: Tensor,
}

impl Part for Adding {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        let (name, tensor) = input.tensors.first().expect("one tensor");
        let rows = tensor.shape()[0];
        self.seen.lock().unwrap().push(rows);
        let engine = |what: &str| Err(RunError::Engine(what.to_owned()));
        match self.joined {
            Joined::Fails if rows > 1 => return engine("a batch of one is baked in"),
            Joined::FailsAtThirteen if tensor.bytes().contains(&13) => return engine("thirteen"),
            _ => {}
        }
        let leak = u8::from(self.joined == Joined::Leaks && rows > 1);
        let folded = self.joined == Joined::Folds && rows > 1;
        self.out.reset(DType::U8, &[if folded { 1 } else { rows }]).unwrap();
        for (out, byte) in self.out.bytes_mut().iter_mut().zip(tensor.bytes()) {
            *out = byte + 100 + leak;
        }
        Ok(Leaving {
            values: vec![(name.as_str(), self.out.view())],
            run: Duration::ZERO,
            exit: None,
        })
    }

    fn backend(&self) -> Option<&'static str> {
        Some("adding")
    }

    fn takes_batches(&self) -> bool {
        true
    }
}

/// A broker that notes acknowledgements, and refuses them out of order.
struct InOrder {
    broker: crate::broker::memory::MemoryBroker,
    last: u64,
}

impl Broker for InOrder {
    fn subscribe(&mut self, filter: &str) -> Result<(), BrokerError> {
        self.broker.subscribe(filter)
    }

    fn publish(&mut self, message: &Message, wait: Duration) -> Result<bool, BrokerError> {
        self.broker.publish(message, wait)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<Delivery>, BrokerError> {
        self.broker.receive(wait)
    }

    fn ack(&mut self, token: DeliveryToken) -> Result<(), BrokerError> {
        assert!(token.0 > self.last, "{token:?} after {}", self.last);
        self.last = token.0;
        self.broker.ack(token)
    }

    fn waker(&self) -> Waker {
        self.broker.waker()
    }

    fn probe(&self) -> Probe {
        self.broker.probe()
    }

    fn connections(&self) -> u64 {
        self.broker.connections()
    }
}

struct Batches {
    tail: Tail,
    seen: Arc<Mutex<Vec<u32>>>,
    metrics: Arc<Metrics>,
}

impl Batches {
    fn of(hub: &Hub, joined: Joined, frames: usize, wait: Duration) -> Self {
        let mut broker = hub.connect();
        let filter = topics().frames_filter(&CROSSING.model, &CROSSING.cut, None);
        broker.subscribe(&filter).unwrap();
        let config = tail_config(CROSSING, BatchConfig { frames, wait });
        let (seen, metrics) = (Arc::default(), Arc::<Metrics>::default());
        let links = TailLinks {
            broker: Box::new(InOrder { broker, last: 0 }),
            envelopes: Envelopes::new(None, usize::MAX),
            metrics: Arc::clone(&metrics),
            status: None,
        };
        let part = Adding {
            joined,
            seen: Arc::clone(&seen),
            out: Tensor::default(),
        };
        Self {
            tail: Tail::new(links, Box::new(part), Box::new(FirstByte), config),
            seen,
            metrics,
        }
    }

    fn sizes(&self) -> Vec<u32> {
        self.seen.lock().unwrap().clone()
    }
}

fn answered(answers: &[Answer]) -> BTreeMap<String, serde_json::Value> {
    let right = answers.iter().filter(|a| a.result.error.is_none()).cloned();
    data(&right.collect::<Vec<_>>())
}

fn plus_hundred(inputs: impl Iterator<Item = u8>) -> BTreeMap<String, serde_json::Value> {
    inputs.map(|n| (format!("input {n}"), (n + 100).into())).collect()
}

/// A frame of one row, as this device would send it.
fn send(writer: &mut impl Broker, device: &str, sequence: u64, row: u8) {
    let mut builder = kerf_wire::FrameBuilder::new();
    let shape = [1];
    let bytes = [row];
    let tensor = TensorRef::new(DType::U8, &shape, &bytes).unwrap();
    let mut coder = kerf_wire::codec::Coder::new();
    builder
        .push_with(|out| coder.encode(&Codec::RAW, &tensor, out))
        .unwrap();
    let device = DeviceId::new(device).unwrap();
    let id = kerf_wire::FrameId {
        device: device.clone(),
        boot: 1,
        sequence,
    };
    let sealed = builder.seal(id, CROSSING.model, CROSSING.cut, &[]).unwrap().to_vec();
    let topic = topics().frames(&device, &CROSSING.model, &CROSSING.cut);
    assert!(writer.publish(&Message::new(topic, sealed), Duration::ZERO).unwrap());
}

/// The device, and the number, of each result that has come, in order.
fn results(reader: &mut impl Broker) -> Vec<(String, u64)> {
    let next = || {
        let delivery = reader.receive(Duration::ZERO).unwrap()?;
        let result: serde_json::Value = serde_json::from_slice(&delivery.message.payload).unwrap();
        let device = result["frame"].as_str()?.split('/').next()?.to_owned();
        Some((device, result["outputs"][0]["data"].as_u64()?))
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn a_batch_gives_each_frame_the_answer_that_it_has_alone() {
    let hub = Hub::default();
    let mut batches = Batches::of(&hub, Joined::Rows, 8, Duration::from_millis(20));
    let (summary, answers) = against(&hub, 150, || {
        batches.tail.step(Duration::from_millis(20));
    });
    assert_eq!((summary.answered, answers.len()), (150, 150));
    assert_eq!(answered(&answers), plus_hundred(0..150));
    let sizes = batches.sizes();
    assert!(sizes.contains(&8), "{sizes:?}");
    let metrics = &batches.metrics.together;
    // The first batch ran once more, to be compared.
    let (runs, rows) = (sizes.len() as u64, sizes.iter().map(|&n| u64::from(n)).sum::<u64>());
    assert_eq!(metrics.runs(), runs - 1);
    assert!(metrics.frames() >= 150 && metrics.frames() < rows, "{sizes:?}");
    let together: Vec<u32> = answers.iter().filter_map(|a| a.result.hops.last()?.together).collect();
    assert!(together.contains(&8), "{together:?}");
}

#[test]
fn an_engine_that_takes_no_batch_answers_one_by_one() {
    for joined in [Joined::Fails, Joined::Leaks, Joined::Folds] {
        let hub = Hub::default();
        let mut batches = Batches::of(&hub, joined, 4, Duration::from_millis(20));
        let (summary, answers) = against(&hub, 60, || {
            batches.tail.step(Duration::from_millis(20));
        });
        assert_eq!(summary.answered, 60, "{joined:?}");
        assert_eq!(answered(&answers), plus_hundred(0..60), "{joined:?}");
        let tries = batches.sizes().iter().filter(|&&rows| rows > 1).count();
        assert_eq!(tries, 1, "{joined:?} was tried again");
    }
}

#[test]
fn a_frame_that_does_not_run_does_not_take_its_batch_with_it() {
    let hub = Hub::default();
    let mut batches = Batches::of(&hub, Joined::FailsAtThirteen, 4, Duration::from_millis(20));
    let (summary, answers) = against(&hub, 40, || {
        batches.tail.step(Duration::from_millis(20));
    });
    assert_eq!((summary.answered, summary.refused), (39, 1));
    assert_eq!(answered(&answers), plus_hundred((0..40).filter(|n| *n != 13)));
    let behind = batches.sizes().into_iter().rev().take(6).any(|rows| rows > 1);
    assert!(behind, "one bad frame ended batching: {:?}", batches.sizes());
}

#[test]
fn a_device_that_floods_does_not_hold_up_another() {
    let hub = Hub::default();
    let mut batches = Batches::of(&hub, Joined::Rows, 4, Duration::ZERO);
    let (mut writer, mut reader) = (hub.connect(), hub.connect());
    reader.subscribe("t/+/result").unwrap();
    for n in 0..100 {
        send(&mut writer, "flood", u64::from(n), n);
    }
    send(&mut writer, "slow", 0, 1);
    batches.tail.step(Duration::ZERO);
    let first = results(&mut reader);
    assert_eq!(first.len(), 4);
    assert!(first.contains(&("slow".to_owned(), 101)), "{first:?}");
    let steps = batches.tail.step(Duration::ZERO);
    assert_eq!(steps.ran, 4);
}

#[test]
fn a_repeat_that_waits_beside_its_first_copy_runs_once() {
    let hub = Hub::default();
    let mut batches = Batches::of(&hub, Joined::Rows, 4, Duration::ZERO);
    let (mut writer, mut reader) = (hub.connect(), hub.connect());
    reader.subscribe("t/+/result").unwrap();
    for sequence in [5, 5, 6, 5] {
        send(&mut writer, "cam", sequence, 7);
    }
    let steps = batches.tail.step(Duration::ZERO);
    assert_eq!((steps.ran, steps.repeats), (2, 2));
    assert_eq!(results(&mut reader).len(), 4, "each delivery has its answer");
}

#[test]
fn a_stage_that_is_killed_in_a_batch_costs_no_frame() {
    let hub = Hub::default();
    let mut killed = Batches::of(&hub, Joined::Rows, 4, Duration::ZERO);
    let (mut writer, mut reader) = (hub.connect(), hub.connect());
    reader.subscribe("t/+/result").unwrap();
    for n in 0..10 {
        send(&mut writer, "cam", u64::from(n), n);
    }
    // It has all of them, has answered four, and is gone; what it had not acknowledged is shared out again by a broker
    // that keeps its session, or sent again by the head. Here by the latter.
    assert_eq!(killed.tail.step(Duration::ZERO).ran, 4);
    drop(killed);
    let mut next = Batches::of(&hub, Joined::Rows, 4, Duration::ZERO);
    for n in 0..10 {
        send(&mut writer, "cam", u64::from(n), n);
    }
    let mut ran = 0;
    while ran < 10 {
        ran += next.tail.step(Duration::ZERO).ran;
    }
    let numbers: std::collections::BTreeSet<u64> = results(&mut reader).into_iter().map(|(_, n)| n).collect();
    assert_eq!(numbers, (100..110).collect());
}
