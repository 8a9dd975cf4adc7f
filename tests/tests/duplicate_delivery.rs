//! However often a result comes, in whatever order, over whatever restarts: the reader delivers it once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kerf_runtime::broker::{Broker, Message};
use kerf_runtime::stage::reader::id_of;
use kerf_tests::kerf_stage;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::random::{Random, seed, soak};
use kerf_tests::relay::{connect, next_delivery};
use kerf_wire::{DeviceId, FrameId, Outcome, Receipt};

const WAIT: Duration = Duration::from_secs(20);

/// A result as a last stage with `--confirm reader` sends it.
fn result(id: &FrameId) -> Message {
    let receipt = Receipt {
        id: id.clone(),
        outcome: Outcome::Answered,
        away_us: 1,
    };
    let mut message = Message::new("kerf/cam/result", format!("{{\"frame\":\"{id}\",\"outputs\":[]}}"));
    message.response_topic = Some("kerf/cam/receipt".to_owned());
    message.correlation = Some(receipt.to_vec().unwrap());
    message
}

/// Takes the receipts that are there, and waits this long for each next one.
fn confirm(tail: &mut impl Broker, wait: Duration, unconfirmed: &mut BTreeSet<u64>) {
    while let Some(delivery) = next_delivery(tail, wait) {
        let receipt = Receipt::parse(&delivery.message.payload).unwrap();
        unconfirmed.remove(&receipt.id.sequence);
        tail.ack(delivery.token).unwrap();
    }
}

#[test]
fn each_of_many_ids_is_delivered_once_over_repeats_shuffles_and_kills() {
    let count = 2_000 * soak().min(50);
    let mut random = Random::new(seed(21));
    let broker = Mosquitto::start("");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("results.jsonl");
    let reader = || {
        let mut command = kerf_stage();
        command
            .args(["results", "--broker", &broker.url(), "--output"])
            .arg(&output);
        let mut running = Running::start(&mut command);
        running.wait_for("event=ready");
        running
    };
    let mut running = reader();
    let mut tail = connect(&broker.url(), "tail");
    tail.subscribe("kerf/cam/receipt").unwrap();
    let id = |sequence| FrameId {
        device: DeviceId::new("cam").unwrap(),
        boot: 7,
        sequence,
    };
    let mut unconfirmed: BTreeSet<u64> = (0..count).collect();
    let mut kills = 0;
    let begun = Instant::now();
    while !unconfirmed.is_empty() {
        assert!(
            begun.elapsed() < WAIT * u32::try_from(soak() * 2).unwrap(),
            "{} ids unconfirmed",
            unconfirmed.len()
        );
        let mut batch: Vec<u64> = unconfirmed.iter().copied().take(500).collect();
        batch.extend(batch.clone().iter().flat_map(|&s| vec![s; random.below(5)]));
        random.shuffle(&mut batch);
        for (n, &sequence) in batch.iter().enumerate() {
            assert!(tail.publish(&result(&id(sequence)), WAIT).unwrap());
            // Read while writing: deliveries that wait are bounded.
            confirm(&mut tail, Duration::ZERO, &mut unconfirmed);
            if kills < 4 && n == batch.len() / 2 {
                // In the middle of writing: the next reader has only the file to remember by.
                drop(running);
                running = reader();
                kills += 1;
            }
        }
        confirm(&mut tail, Duration::from_millis(300), &mut unconfirmed);
    }
    drop(running);
    let text = std::fs::read_to_string(&output).unwrap();
    let delivered: Vec<u64> = text
        .lines()
        .map(|line| id_of(line.as_bytes()).unwrap().sequence)
        .collect();
    let distinct: BTreeSet<u64> = delivered.iter().copied().collect();
    assert_eq!(delivered.len(), distinct.len(), "an id was delivered twice");
    assert_eq!(distinct, (0..count).collect(), "a confirmed id was not delivered");
}

#[test]
fn a_result_cannot_make_the_reader_write_elsewhere() {
    let broker = Mosquitto::start("");
    let mut running = Running::start(kerf_stage().args(["results", "--broker", &broker.url()]));
    running.wait_for("event=ready");
    let mut thief = connect(&broker.url(), "thief");
    thief.subscribe("#").unwrap();
    let victim = FrameId {
        device: DeviceId::new("cam").unwrap(),
        boot: 7,
        sequence: 1,
    };
    let mut forged = result(&victim);
    forged.response_topic = Some("home/door/open".to_owned());
    assert!(thief.publish(&forged, WAIT).unwrap());
    let mut right = result(&victim);
    right.correlation = right.correlation.clone();
    assert!(thief.publish(&right, WAIT).unwrap());
    loop {
        let delivery = next_delivery(&mut thief, WAIT).expect("the receipt of the right one arrives");
        assert_ne!(delivery.message.topic, "home/door/open");
        thief.ack(delivery.token).unwrap();
        if delivery.message.topic == "kerf/cam/receipt" {
            break;
        }
    }
}
