//! Early exits at a head and at a middle part: answered there, told once, on the broker for whoever reads results.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;
use crate::stage::keep::Keep as _;

/// Passes its tensor on; an even one is an answer.
struct EvenAnswers;

impl Part for EvenAnswers {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        let (name, tensor) = input.tensors.first().expect("one tensor");
        let even = tensor.bytes().first().is_some_and(|b| b % 2 == 0);
        Ok(Leaving {
            values: vec![(name.as_str(), tensor.view())],
            run: Duration::ZERO,
            exit: even.then_some(name.as_str()),
        })
    }

    fn backend(&self) -> Option<&'static str> {
        Some("even")
    }
}

fn config(confirm: Confirm) -> HeadConfig {
    HeadConfig {
        exits: true,
        confirm,
        ..head_config()
    }
}

fn keep() -> MemoryKeep {
    MemoryKeep::new(1 << 20, WhenFull::RefuseNew)
}

/// The ids of the results that wait for this reader.
fn ids(reader: &mut impl Broker) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(delivery) = reader.receive(Duration::ZERO).unwrap() {
        let result: serde_json::Value = serde_json::from_slice(&delivery.message.payload).unwrap();
        ids.push(result["frame"].as_str().unwrap().to_owned());
        reader.ack(delivery.token).unwrap();
    }
    ids
}

#[test]
fn what_an_exit_answers_goes_no_further_and_is_told_once() {
    let hub = Hub::default();
    let mut tail = tail(&hub);
    let mut reader = hub.connect();
    reader.subscribe("t/+/result").unwrap();
    let config = config(Confirm::Stage);
    let mut ran = 0;
    let mut steps = 0;
    let (summary, answers) = until(
        || run_head_of(&hub, 200, &mut EvenAnswers, &config, keep()),
        || {
            steps += 1;
            if steps % 53 == 0 {
                hub.crash();
            }
            ran += tail.step(Duration::from_millis(20)).ran;
        },
    );
    assert_eq!((summary.accepted, summary.answered, summary.refused), (200, 200, 0));
    assert_eq!(answers.len(), 200, "an answer was told twice");
    assert_eq!(data(&answers), expected(200));
    assert_eq!(ran, 100, "the tail ran what an exit had answered");
    for answer in &answers {
        let early = answer.result.exit.as_deref() == Some("x");
        let number = answer.result.outputs[0].data.as_ref().unwrap().as_u64().unwrap();
        assert_eq!(early, number % 2 == 0, "{answer:?}");
        assert_eq!(answer.result.hops.len(), if early { 1 } else { 2 });
    }
    let read: BTreeSet<String> = ids(&mut reader).into_iter().collect();
    let told: BTreeSet<String> = answers.iter().map(|a| a.result.frame.clone()).collect();
    assert_eq!(told.len(), 200);
    // A crash of the broker takes what waits for a reader with it; what the reader has is of these.
    assert!(!read.is_empty() && read.is_subset(&told));
}

#[test]
fn a_reader_of_results_sees_each_early_answer() {
    let hub = Hub::default();
    let mut tail = tail(&hub);
    let mut reader = hub.connect();
    reader.subscribe("t/+/result").unwrap();
    let config = HeadConfig {
        results: false,
        ..config(Confirm::Stage)
    };
    let (summary, _) = until(
        || run_head_of(&hub, 50, &mut EvenAnswers, &config, keep()),
        || {
            tail.step(Duration::from_millis(20));
        },
    );
    assert_eq!(summary.answered, 50);
    let read: BTreeSet<String> = ids(&mut reader).into_iter().collect();
    assert_eq!(read.len(), 50);
}

#[test]
fn a_reader_that_confirms_frees_an_early_answer_and_nobody_else_does() {
    let hub = Hub::default();
    let mut tail = tail(&hub);
    let mut reader = hub.connect();
    reader.subscribe("t/+/result").unwrap();
    let config = config(Confirm::Reader);
    let mut confirmed = 0;
    let (summary, answers) = until(
        || run_head_of(&hub, 20, &mut EvenAnswers, &config, keep()),
        || {
            tail.step(Duration::from_millis(5));
            while let Some(delivery) = reader.receive(Duration::ZERO).unwrap() {
                let message = &delivery.message;
                if let (Some(topic), Some(receipt)) = (&message.response_topic, &message.correlation) {
                    let receipt = Message::new(topic.clone(), receipt.clone());
                    assert!(reader.publish(&receipt, Duration::from_secs(1)).unwrap());
                    confirmed += 1;
                }
                reader.ack(delivery.token).unwrap();
            }
        },
    );
    assert_eq!((summary.answered, answers.len()), (20, 20));
    assert!(
        confirmed >= 10,
        "{confirmed} early answers were confirmed, there are 10"
    );
}

#[test]
fn an_early_answer_kept_by_an_earlier_life_is_published_and_told() {
    let hub = Hub::default();
    let mut reader = hub.connect();
    reader.subscribe("t/+/result").unwrap();
    let mut keep = keep();
    let frame = format!("cam/{:016x}/0", keep.boot());
    let model = CROSSING.model;
    let json = serde_json::json!({"frame": frame, "model": model, "outputs": [], "exit": "x", "hops": []});
    keep.accept(&[(0, Bytes::from(json.to_string()))]).unwrap();
    let (summary, answers) = run_head_of(&hub, 0, &mut EvenAnswers, &config(Confirm::Stage), keep);
    assert_eq!(summary.answered, 1);
    assert_eq!(
        (answers[0].input.clone(), answers[0].result.frame.clone()),
        (None, frame.clone())
    );
    assert_eq!(ids(&mut reader), [frame]);
}

#[test]
fn a_middle_part_answers_at_its_exit_and_sends_the_others_on() {
    let hub = Hub::default();
    let onward = Crossing {
        cut: CutId([7; 16]),
        ..CROSSING
    };
    let mut broker = hub.connect();
    broker
        .subscribe(&topics().frames_filter(&CROSSING.model, &CROSSING.cut, None))
        .unwrap();
    let middle = TailConfig {
        topics: topics(),
        part: 1,
        before: border(CROSSING),
        onward: Some(border(onward)),
        confirm: Confirm::Stage,
        warnings: Vec::new(),
        batch: BatchConfig::NONE,
    };
    let links = TailLinks {
        broker: Box::new(broker),
        envelopes: Envelopes::new(None, usize::MAX),
        metrics: Arc::default(),
        status: None,
    };
    let mut middle = Tail::new(links, Box::new(EvenAnswers), Box::new(FirstByte), middle);
    let mut broker = hub.connect();
    broker
        .subscribe(&topics().frames_filter(&onward.model, &onward.cut, None))
        .unwrap();
    let links = TailLinks {
        broker: Box::new(broker),
        envelopes: Envelopes::new(None, usize::MAX),
        metrics: Arc::default(),
        status: None,
    };
    let last = TailConfig {
        topics: topics(),
        part: 2,
        before: border(onward),
        onward: None,
        confirm: Confirm::Stage,
        warnings: Vec::new(),
        batch: BatchConfig::NONE,
    };
    let mut last = Tail::new(links, Box::new(Passing), Box::new(FirstByte), last);
    let (summary, answers) = against(&hub, 40, || {
        middle.step(Duration::from_millis(10));
        last.step(Duration::from_millis(10));
    });
    assert_eq!(summary.answered, 40);
    assert_eq!(data(&answers), expected(40));
    for answer in &answers {
        let hops = if answer.result.exit.is_some() { 2 } else { 3 };
        assert_eq!(answer.result.hops.len(), hops, "{answer:?}");
    }
    let early = answers.iter().filter(|a| a.result.exit.is_some()).count();
    assert_eq!(early, 20);
}
