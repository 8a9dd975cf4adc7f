//! A running stage says what is wrong, locally and on its status topic, with the code that it would have had at its start,
//! and goes on when that is over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kerf_runtime::broker::Broker;
use kerf_tests::http::Client;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::{Running, eventually};
use kerf_tests::relay::{connect, next_delivery};
use kerf_tests::stages::{lenet_bundle, picture, stage};
use kerf_tests::succeed;

const SOON: Duration = Duration::from_secs(5);
const CANARY: &str = "canary-of-the-device-55";

/// Status and troubles of a stage's `/readyz`.
fn ready(address: SocketAddr) -> (u16, serde_json::Value) {
    let (status, _, body) = Client::new(address).send("GET", "/readyz", &[], b"");
    (status, serde_json::from_slice(&body).unwrap())
}

/// Waits until a stage's first trouble has this code; gives how long that took.
fn told(address: SocketAddr, code: u8) -> Duration {
    let begun = Instant::now();
    eventually(&format!("code {code} in /readyz"), || {
        let (status, health) = ready(address);
        status == 503 && health["troubles"][0]["code"] == code
    });
    begun.elapsed()
}

/// The address that a stage says it listens on.
fn address(stage: &mut Running) -> SocketAddr {
    let line = stage.wait_for_line("event=metrics address=");
    line.rsplit_once("address=").unwrap().1.trim().parse().unwrap()
}

fn set_password(folder: &Path, password: &str) {
    let file = folder.join("passwords");
    if !file.exists() {
        std::fs::write(&file, "").unwrap();
    }
    succeed(
        Command::new("mosquitto_passwd")
            .arg("-b")
            .arg(file)
            .args(["cam", password]),
    );
}

#[test]
fn a_password_taken_away_shows_as_41_within_five_seconds_and_costs_no_frame() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = lenet_bundle(&at("bundle"));
    let mut broker = Mosquitto::start_with(|folder, port| {
        set_password(folder, CANARY);
        let passwords = folder.join("passwords");
        // The tail comes in by a door of its own, without a password.
        format!(
            "per_listener_settings true\nlistener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n\
             listener 0 {}\nallow_anonymous true\n",
            passwords.display(),
            folder.join("door").display()
        )
    });
    std::fs::write(at("password"), CANARY).unwrap();
    std::fs::create_dir(at("in")).unwrap();
    let mut head = stage(&bundle, &broker.url(), "0");
    head.env("KERF_LOG", "debug");
    head.args([
        "--broker-user",
        "cam",
        "--metrics",
        "127.0.0.1:0",
        "--broker-password-file",
    ]);
    head.arg(at("password"))
        .arg("--spool-dir")
        .arg(at("spool"))
        .arg("--watch")
        .arg(at("in"));
    let mut head = Running::start(&mut head);
    let health = address(&mut head);
    head.wait_for("event=ready");
    eventually("readiness", || ready(health).0 == 200);
    set_password(broker.folder(), "another");
    broker.restart();
    let took = told(health, 41);
    let refused = Instant::now();
    assert!(took <= SOON, "told after {took:?}");
    head.wait_for("code=41");
    for n in 0..5 {
        std::fs::write(at("part"), picture(n)).unwrap();
        std::fs::rename(at("part"), at("in").join(format!("{n}.npy"))).unwrap();
    }
    set_password(broker.folder(), CANARY);
    broker.reload();
    eventually("readiness", || ready(health).0 == 200);
    let again = refused.elapsed();
    assert!(again >= Duration::from_secs(25), "tried again after {again:?} already");
    let waiting = || {
        let (_, _, body) = Client::new(health).send("GET", "/metrics", &[], b"");
        String::from_utf8(body).unwrap()
    };
    eventually("all five frames kept and sent", || {
        let text = waiting();
        text.contains("\nkerf_waiting_frames 5\n") && text.contains("\nkerf_frames_sent_total 5\n")
    });
    let said = head.stop();
    assert!(!said.contains("canary"), "the password is in the log:\n{said}");
}

#[test]
fn a_broker_that_goes_away_shows_as_40_and_its_return_as_readiness() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = lenet_bundle(&folder.path().join("bundle"));
    let mut broker = Mosquitto::start("");
    let mut tail = stage(&bundle, &broker.url(), "1");
    let mut tail = Running::start(tail.args(["--metrics", "127.0.0.1:0"]));
    let health = address(&mut tail);
    tail.wait_for("event=ready");
    assert_eq!(ready(health).0, 200);
    broker.kill();
    let took = told(health, 40);
    assert!(took <= SOON, "told after {took:?}");
    broker.restart();
    eventually("readiness", || ready(health).0 == 200);
}

#[test]
fn the_status_topic_has_the_counters() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = lenet_bundle(&at("bundle"));
    let broker = Mosquitto::start("");
    std::fs::create_dir(at("in")).unwrap();
    for n in 0..3 {
        std::fs::write(at("in").join(format!("{n}.npy")), picture(n)).unwrap();
    }
    let mut tail = stage(&bundle, &broker.url(), "1");
    let mut tail = Running::start(tail.args(["--status-every-s", "1"]));
    tail.wait_for("event=ready");
    succeed(stage(&bundle, &broker.url(), "0").arg("--input").arg(at("in")));
    let mut operator = connect(&broker.url(), "operator");
    operator.subscribe("kerf/+/status/+").unwrap();
    let counted = loop {
        let delivery = next_delivery(&mut operator, Duration::from_secs(10)).expect("a status every second");
        let status: serde_json::Value = serde_json::from_slice(&delivery.message.payload).unwrap();
        operator.ack(delivery.token).unwrap();
        if delivery.message.topic == "kerf/cloud/status/1" && status["frames"]["answered"] == 3 {
            break status;
        }
    };
    assert_eq!(counted["state"], "online");
    assert_eq!(counted["health"]["ready"], true);
}
