//! Whoever has not the right neither reads nor writes, learns it within five seconds, and no secret is in a log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kerf_runtime::broker::mqtt::{Credentials, MqttBroker, MqttConfig};
use kerf_runtime::broker::{Broker, BrokerError, Message};
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::relay::next_delivery;
use kerf_tests::{kerf_stage, succeed};

const CANARY: &str = "canary-9f3b-password";
const SOON: Duration = Duration::from_secs(5);

fn acl() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mosquitto/acl");
    file.display().to_string()
}

/// A broker with the documented access list, and these users, each with [`CANARY`] as password.
fn guarded(users: &[&str]) -> Mosquitto {
    let users: Vec<String> = users.iter().map(|u| (*u).to_owned()).collect();
    Mosquitto::start_with(move |folder, port| {
        let passwords = folder.join("passwords");
        std::fs::write(&passwords, "").unwrap();
        for user in &users {
            succeed(
                Command::new("mosquitto_passwd")
                    .arg("-b")
                    .arg(&passwords)
                    .args([user.as_str(), CANARY]),
            );
        }
        let (passwords, acl) = (passwords.display(), acl());
        format!("listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nacl_file {acl}\n")
    })
}

fn config(broker: &Mosquitto, user: &str, password: &str) -> MqttConfig {
    // One client id a connection: a second one of the same id would end the first.
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let client = format!("{user}-{}", CONNECTIONS.fetch_add(1, Ordering::Relaxed));
    let mut config = MqttConfig::new(broker.url().parse().unwrap(), client);
    config.credentials = Some(Credentials {
        user: user.to_owned(),
        password: password.to_owned(),
    });
    config
}

fn connect(broker: &Mosquitto, user: &str) -> MqttBroker {
    MqttBroker::connect(config(broker, user, CANARY)).unwrap_or_else(|why| panic!("{user}: {why}"))
}

fn send(broker: &mut MqttBroker, topic: &str, payload: &'static str) {
    assert!(broker.publish(&Message::new(topic, payload), SOON).unwrap());
}

#[test]
fn a_wrong_password_ends_the_start_with_41_and_is_not_in_the_log() {
    let broker = guarded(&["reader"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("wrong-{CANARY}\n")).unwrap();
    let begun = Instant::now();
    let mut command = kerf_stage();
    command.args(["-vv", "results", "--broker", &broker.url(), "--broker-user", "reader"]);
    let output = command.arg("--broker-password-file").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(41), "{said}");
    assert!(begun.elapsed() < SOON, "it took {:?}", begun.elapsed());
    assert!(!said.contains("canary"), "the password is in the log:\n{said}");
    assert!(said.contains("does not authorise"), "{said}");
}

#[test]
fn a_broker_that_is_not_there_ends_the_start_with_40() {
    let port = kerf_tests::mosquitto::free_port();
    let url = format!("mqtt://127.0.0.1:{port}");
    let said = kerf_tests::fail(kerf_stage().args(["results", "--broker", &url]), 40);
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
}

#[test]
fn a_device_writes_and_reads_under_its_own_name_only() {
    let broker = guarded(&["cam-1", "cam-2", "tail", "reader"]);
    let mut tail = connect(&broker, "tail");
    tail.subscribe("kerf/+/frames/x").unwrap();
    let mut spy = connect(&broker, "cam-2");
    // mosquitto grants any subscription and checks each delivery.
    for filter in ["kerf/+/frames/x", "kerf/cam-1/receipt", "kerf/+/result", "#"] {
        spy.subscribe(filter).unwrap();
    }
    send(&mut connect(&broker, "cam-1"), "kerf/cam-1/frames/x", "own");
    let got = next_delivery(&mut tail, SOON).expect("a device's own frame arrives");
    assert_eq!(got.message.payload, "own");
    tail.ack(got.token).unwrap();
    for forbidden in [
        "kerf/cam-1/frames/x",
        "kerf/cam-1/receipt",
        "kerf/cam-1/input",
        "kerf/cam-2/receipt",
    ] {
        let mut thief = connect(&broker, "cam-2");
        send(&mut thief, forbidden, "stolen");
    }
    send(&mut tail, "kerf/cam-1/receipt", "for cam-1");
    send(&mut tail, "kerf/cam-1/result", "for cam-1");
    // What is sent last and allowed is the first that arrives: nothing forbidden came before it.
    send(&mut connect(&broker, "cam-1"), "kerf/cam-1/frames/x", "last");
    let got = next_delivery(&mut tail, SOON).expect("the last frame arrives");
    assert_eq!(got.message.payload, "last");
    send(&mut tail, "kerf/cam-2/receipt", "for cam-2");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|p| p != "for cam-2") {
        let got = next_delivery(&mut spy, SOON).expect("the spy's own receipt arrives");
        seen.push(String::from_utf8(got.message.payload.to_vec()).unwrap());
        spy.ack(got.token).unwrap();
    }
    assert!(
        seen.iter().all(|p| p == "for cam-2"),
        "a device read what is not its own: {seen:?}"
    );
}

#[test]
fn a_denied_publish_is_told_and_not_tried_again_for_half_a_minute() {
    let broker = guarded(&["cam-1"]);
    let mut thief = connect(&broker, "cam-1");
    send(&mut thief, "kerf/cam-2/frames/x", "stolen");
    let begun = Instant::now();
    let told = loop {
        match thief.publish(&Message::new("kerf/cam-1/frames/x", "own"), SOON) {
            Ok(_) => assert!(begun.elapsed() < SOON, "the denial was not told"),
            Err(why) => break why,
        }
    };
    assert!(matches!(told, BrokerError::Unauthorised { .. }), "{told}");
}

#[test]
fn a_password_taken_away_while_running_is_told_as_such() {
    let mut broker = guarded(&["cam-1"]);
    let mut device = connect(&broker, "cam-1");
    send(&mut device, "kerf/cam-1/frames/x", "own");
    let passwords = broker.folder().join("passwords");
    succeed(
        Command::new("mosquitto_passwd")
            .arg("-b")
            .arg(passwords)
            .args(["cam-1", "another"]),
    );
    broker.restart();
    let begun = Instant::now();
    let told = loop {
        match device.receive(Duration::from_millis(100)) {
            Err(why @ BrokerError::Unauthorised { .. }) => break why,
            _ => assert!(begun.elapsed() < SOON, "the refusal was not told"),
        }
    };
    assert!(!told.to_string().contains("canary"), "{told}");
}

mod tls {
    use super::*;
    use kerf_runtime::broker::mqtt::TlsConfig;

    fn secured(name: &'static str, days: &'static str) -> (Mosquitto, MqttConfig) {
        let broker = Mosquitto::start_with(move |folder, port| {
            kerf_tests::certificates::make(folder, name, days);
            let file = |name: &str| folder.join(name).display().to_string();
            let (ca, cert, key) = (file("ca.pem"), file("broker.pem"), file("broker.key"));
            format!("listener {port} 127.0.0.1\nallow_anonymous true\ncafile {ca}\ncertfile {cert}\nkeyfile {key}\n")
        });
        let url = format!("mqtts://localhost:{}", broker.port());
        let mut config = MqttConfig::new(url.parse().unwrap(), "device");
        config.tls = TlsConfig {
            ca: Some(std::fs::read(broker.folder().join("ca.pem")).unwrap()),
            identity: None,
        };
        (broker, config)
    }

    #[test]
    fn a_brokers_certificate_must_be_valid_and_its_own() {
        let (_right, config) = secured("localhost", "30");
        let mut device = MqttBroker::connect(config).unwrap();
        assert!(device.publish(&Message::new("kerf/a/status/0", "x"), SOON).unwrap());
        for (name, days, word) in [("elsewhere", "30", "NotValidForName"), ("localhost", "0", "Expired")] {
            let (_broker, config) = secured(name, days);
            // A certificate of no days is over as soon as the clock's second is.
            std::thread::sleep(Duration::from_millis(1100));
            let begun = Instant::now();
            let refused = MqttBroker::connect(config).expect_err("a wrong certificate was taken");
            assert!(
                matches!(refused, BrokerError::Unauthorised { .. }),
                "{name}, {days} days: {refused}"
            );
            assert!(refused.to_string().contains(word), "{name}, {days} days: {refused}");
            assert!(begun.elapsed() < SOON);
        }
    }
}
