//! The desk broker as rumqttc's client sees it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test says what failed by panicking"
)]

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};

use super::DeskBroker;

fn client(broker: &DeskBroker, name: &str, manual_acks: bool) -> (Client, Connection) {
    let mut options = MqttOptions::new(name, "127.0.0.1", broker.address().port());
    options
        .set_clean_start(false)
        .set_manual_acks(manual_acks)
        .set_max_packet_size(Some(16 << 20));
    Client::new(options, 10)
}

/// Drives a connection up to the first packet that `pick` takes.
fn until<T>(connection: &mut Connection, pick: impl Fn(Packet) -> Option<T>) -> T {
    for event in connection.iter() {
        if let Event::Incoming(packet) = event.unwrap()
            && let Some(picked) = pick(packet)
        {
            return picked;
        }
    }
    panic!("the connection ended");
}

fn publish(packet: Packet) -> Option<Publish> {
    match packet {
        Packet::Publish(publish) => Some(publish),
        _ => None,
    }
}

fn suback(packet: Packet) -> Option<()> {
    matches!(packet, Packet::SubAck(_)).then_some(())
}

fn puback(packet: Packet) -> Option<()> {
    matches!(packet, Packet::PubAck(_)).then_some(())
}

#[test]
fn a_large_message_arrives_whole_and_subscribers_are_seen() {
    let broker = DeskBroker::start().unwrap();
    let (reader, mut reading) = client(&broker, "reader", false);
    reader.subscribe("kerf/+/frames", QoS::AtLeastOnce).unwrap();
    until(&mut reading, suback);
    let (writer, mut writing) = client(&broker, "writer", false);
    let body: Vec<u8> = (0..5_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    writer
        .publish("kerf/a/frames", QoS::AtLeastOnce, false, body.clone())
        .unwrap();
    until(&mut writing, puback);
    let got = until(&mut reading, publish);
    assert!(got.payload == body, "the payload changed");
    let moment = Duration::from_millis(10);
    assert!(broker.wait_for_subscriber("/frames", moment) && !broker.wait_for_subscriber("/receipt", moment));
}

#[test]
fn what_was_not_acknowledged_comes_again_to_the_same_client() {
    let broker = DeskBroker::start().unwrap();
    let (reader, mut reading) = client(&broker, "reader", true);
    reader.subscribe("t", QoS::AtLeastOnce).unwrap();
    until(&mut reading, suback);
    let (writer, mut writing) = client(&broker, "writer", false);
    writer.publish("t", QoS::AtLeastOnce, false, "1").unwrap();
    until(&mut writing, puback);
    assert!(!until(&mut reading, publish).dup);
    drop((reader, reading));
    let (_reader, mut reading) = client(&broker, "reader", true);
    let again = until(&mut reading, publish);
    assert!(again.dup && again.payload == "1");
}

#[test]
fn retained_messages_and_wills_reach_later_subscribers() {
    let broker = DeskBroker::start().unwrap();
    let mut options = MqttOptions::new("stage", "127.0.0.1", broker.address().port());
    let will = rumqttc::v5::mqttbytes::v5::LastWill::new("status", "gone", QoS::AtLeastOnce, true, None);
    options.set_last_will(will);
    let (stage, mut running) = Client::new(options, 10);
    stage.publish("status", QoS::AtLeastOnce, true, "here").unwrap();
    until(&mut running, puback);
    let (reader, mut reading) = client(&broker, "reader", false);
    reader.subscribe("status", QoS::AtLeastOnce).unwrap();
    let here = until(&mut reading, publish);
    assert!(here.retain && here.payload == "here");
    // Dropped without a DISCONNECT.
    drop((stage, running));
    assert_eq!(until(&mut reading, publish).payload, "gone");
}

#[test]
fn a_shared_subscription_gives_each_message_to_one_member() {
    let broker = DeskBroker::start().unwrap();
    let mut members: Vec<_> = ["a", "b"].map(|name| client(&broker, name, true)).into();
    for (member, connection) in &mut members {
        member.subscribe("$share/tails/t", QoS::AtLeastOnce).unwrap();
        until(connection, suback);
    }
    let (writer, mut writing) = client(&broker, "writer", false);
    for body in ["1", "2"] {
        writer.publish("t", QoS::AtLeastOnce, false, body).unwrap();
        until(&mut writing, puback);
    }
    let mut got: Vec<_> = members
        .iter_mut()
        .map(|(_, connection)| until(connection, publish).payload)
        .collect();
    got.sort();
    assert_eq!(got, ["1", "2"]);
}
