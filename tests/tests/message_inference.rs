//! Any MQTT client can have a picture classified: Debian's mosquitto_pub and mosquitto_sub are the judges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::stages::{lenet_bundle, picture, stage};
use kerf_tests::{fixture, kerf, kerf_stage, model, succeed};

fn client(program: &str, broker: &Mosquitto) -> Command {
    let mut command = Command::new(program);
    command.args([
        "-V",
        "5",
        "-h",
        "127.0.0.1",
        "-p",
        &broker.port().to_string(),
        "-q",
        "1",
    ]);
    command
}

/// One message of a topic: correlation data, a space, the payload.
fn listen(broker: &Mosquitto, topic: &str) -> Child {
    // Line by line, or its first word would come with its last.
    let mut command = Command::new("stdbuf");
    command.args(["-oL", "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-q", "1"]);
    command
        .args(["-p", &broker.port().to_string()])
        .args(["-t", topic, "-C", "1", "-W", "20", "-F", "%D %p", "-d"]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("mosquitto_sub; build-scripts/test installs it");
    // With -d it says on standard output when its subscription is granted.
    let mut said = Vec::new();
    let out = child.stdout.as_mut().unwrap();
    while !String::from_utf8_lossy(&said).contains("Subscribed (mid") {
        let mut byte = [0];
        out.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    child
}

fn heard(mut child: Child) -> (String, serde_json::Value) {
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "nothing came: {said}");
    let line = said
        .lines()
        .find(|line| line.ends_with('}'))
        .unwrap_or_else(|| panic!("no answer in {said}"));
    let (correlation, json) = line.split_once(' ').unwrap();
    (correlation.to_owned(), serde_json::from_str(json).unwrap())
}

fn ask(broker: &Mosquitto, file: &Path, more: &[&str]) {
    let mut command = client("mosquitto_pub", broker);
    succeed(command.args(["-t", "kerf/cam/input", "-f"]).arg(file).args(more));
}

/// Best class and outputs of a document, which times and ids are not part of.
fn answer(document: &serde_json::Value) -> String {
    format!("{} {}", document["top"], document["outputs"])
}

#[test]
fn a_published_picture_is_answered_where_its_sender_asked() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    let photo = fixture("images/digits/d007.png");
    let images = ["--colour", "grey", "--size", "32x32", "--scale", "255"];
    succeed(
        kerf()
            .arg("split")
            .arg(model("lenet5"))
            .args(images)
            .arg("-o")
            .arg(&bundle),
    );
    let broker = Mosquitto::start("");
    let mut solo = kerf_stage();
    solo.args([
        "run",
        "--device",
        "cam",
        "--messages",
        "--broker",
        &broker.url(),
        "--bundle",
    ])
    .arg(&bundle);
    let mut solo = Running::start(&mut solo);
    solo.wait_for("event=ready");
    let once = succeed(
        kerf_stage()
            .args(["once", "--bundle"])
            .arg(&bundle)
            .arg("--input")
            .arg(&photo),
    );
    let expected = answer(&serde_json::from_str(once.trim()).unwrap());
    let (mine, all) = (listen(&broker, "me/replies"), listen(&broker, "kerf/cam/result"));
    let properties = [
        "-D",
        "publish",
        "response-topic",
        "me/replies",
        "-D",
        "publish",
        "correlation-data",
        "job-7",
    ];
    ask(&broker, &photo, &properties);
    let (correlation, document) = heard(mine);
    assert_eq!(correlation, "job-7");
    assert_eq!(answer(&document), expected);
    assert_eq!(answer(&heard(all).1), expected);
    // What is no picture is answered too, with the reason.
    let nonsense = folder.path().join("nonsense");
    std::fs::write(&nonsense, "no picture").unwrap();
    let mine = listen(&broker, "me/replies");
    ask(&broker, &nonsense, &properties);
    let (correlation, document) = heard(mine);
    assert_eq!(correlation, "job-7");
    assert!(document["error"].is_string(), "{document}");
}

#[test]
fn a_published_tensor_is_answered_over_a_head_and_a_tail() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = lenet_bundle(&folder.path().join("bundle"));
    let broker = Mosquitto::start("");
    let mut tail = Running::start(&mut stage(&bundle, &broker.url(), "1"));
    tail.wait_for("event=ready");
    let mut head = Running::start(stage(&bundle, &broker.url(), "0").arg("--messages"));
    head.wait_for("event=ready");
    let file = folder.path().join("picture.npy");
    std::fs::write(&file, picture(3)).unwrap();
    let mine = listen(&broker, "me/replies");
    ask(&broker, &file, &["-D", "publish", "response-topic", "me/replies"]);
    let (_, document) = heard(mine);
    assert!(document["outputs"][0]["shape"].is_array(), "{document}");
    assert_eq!(document["hops"].as_array().map(Vec::len), Some(2), "{document}");
}
