//! A stage that is fed from a bucket answers each object that comes, once, also over kills and a store that is away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kerf_runtime::broker::{Broker, Message};
use kerf_runtime::object::Folder;
use kerf_runtime::object::directory::DirectoryStore;
use kerf_runtime::object::s3::S3Store;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::{Running, eventually};
use kerf_tests::relay::connect;
use kerf_tests::s3::{ACCESS_KEY, BUCKET, Kind, S3Server, SECRET_KEY};
use kerf_tests::stages::picture;
use kerf_tests::{fixture, kerf, kerf_stage, model, succeed};

/// LeNet-5 with images, cut once or whole.
fn bundle(folder: &Path, at: &[&str]) -> PathBuf {
    let images = ["--colour", "grey", "--size", "32x32", "--scale", "255"];
    let mut split = kerf();
    split.arg("split").arg(model("lenet5")).args(images).args(at);
    succeed(split.arg("-o").arg(folder));
    folder.to_owned()
}

fn stage(bundle: &Path, store: &str) -> Command {
    let mut command = kerf_stage();
    command
        .args(["run", "--store", store, "--store-bucket", BUCKET, "--bundle"])
        .arg(bundle);
    command.args(["--bucket-input", "in/", "--bucket-output", "out/"]);
    command
        .env("KERF_STORE_ACCESS_KEY", ACCESS_KEY)
        .env("KERF_STORE_SECRET_KEY", SECRET_KEY);
    command
}

fn keys(folder: &mut dyn Folder, prefix: &str) -> Vec<String> {
    folder
        .list(prefix)
        .unwrap()
        .into_iter()
        .map(|entry| entry.key)
        .collect()
}

fn document(folder: &mut dyn Folder, key: &str) -> serde_json::Value {
    // rclone's server lists what it does not give for some milliseconds more.
    eventually(key, || folder.read(key, 100_000).is_ok());
    serde_json::from_slice(&folder.read(key, 100_000).unwrap()).unwrap()
}

#[test]
fn a_picture_a_tensor_and_a_frame_in_a_folder_are_answered_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bundle = bundle(&at("bundle"), &["--at", "/MaxPool_1_output_0"]);
    let photo = fixture("images/digits/d007.png");
    let part = |part: &str| {
        let mut command = kerf_stage();
        command.args(["once", "--part", part, "--bundle"]).arg(&bundle);
        command
    };
    succeed(part("0").arg("--input").arg(&photo).arg("--output").arg(at("head.npz")));
    let expected = succeed(part("1").arg("--input").arg(at("head.npz")));
    let expected: serde_json::Value = serde_json::from_str(expected.trim()).unwrap();
    let mut store = DirectoryStore::open(&at("store")).unwrap();
    store
        .write("in/day one/head.npz", &std::fs::read(at("head.npz")).unwrap())
        .unwrap();
    store.write("in/nonsense.npz", b"nothing").unwrap();
    let url = format!("file://{}", at("store").display());
    let mut tail = Running::start(stage(&bundle, &url).args(["--bucket-every-s", "1"]));
    tail.wait_for("event=ready");
    eventually("two answers and no inputs", || {
        keys(&mut store, "out/").len() == 2 && keys(&mut store, "in/").is_empty()
    });
    assert_eq!(
        document(&mut store, "out/day one/head.npz.json")["outputs"],
        expected["outputs"]
    );
    assert!(document(&mut store, "out/nonsense.npz.json")["error"].is_string());
    let mut within = kerf_stage();
    within.args([
        "run",
        "--store",
        &url,
        "--bucket-input",
        "in/",
        "--bucket-output",
        "in/out/",
        "--bundle",
    ]);
    let within = kerf_tests::fail(within.arg(&bundle), 2);
    assert!(within.contains("in/out/"), "{within}");
}

#[test]
fn a_notification_of_the_store_brings_the_answer_at_once_and_kills_cost_none() {
    let Some(mut server) = S3Server::start(Kind::Rclone) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let bundle = bundle(&folder.path().join("bundle"), &[]);
    let broker = Mosquitto::start("");
    let mut store = S3Store::new(server.config(server.port())).unwrap();
    let url = format!("http://localhost:{}", server.port());
    let solo = || {
        let mut command = stage(&bundle, &url);
        // So seldom that only a notification explains an answer.
        command.args([
            "--bucket-every-s",
            "3600",
            "--bucket-events",
            "minio/events",
            "--broker",
            &broker.url(),
        ]);
        let mut running = Running::start(&mut command);
        running.wait_for("event=ready");
        running
    };
    let mut running = solo();
    let mut minio = connect(&broker.url(), "minio");
    let event = fixture("events/minio-put.json");
    let event = std::fs::read(event).unwrap();
    put(&mut store, &mut minio, &event, "a photo +1.npy");
    eventually("an answer", || keys(&mut store, "out/") == ["out/a photo +1.npy.json"]);
    let first = document(&mut store, "out/a photo +1.npy.json");
    drop(running);
    // What came while nobody looked is answered at the start, without a notification.
    put(&mut store, &mut minio, &event, "b.npy");
    running = solo();
    eventually("an answer", || keys(&mut store, "out/").len() == 2);
    assert_eq!(document(&mut store, "out/b.npy.json")["outputs"], first["outputs"]);
    // A store that is away is waited for.
    server.kill();
    assert!(
        minio
            .publish(&Message::new("minio/events", event.clone()), Duration::from_secs(5))
            .unwrap()
    );
    running.wait_for("event=bucket_not_read code=42");
    server.restart();
    server.wait_until_up();
    put(&mut store, &mut minio, &event, "c.npy");
    eventually("an answer", || keys(&mut store, "out/").len() == 3);
}

fn put(store: &mut S3Store, minio: &mut impl Broker, event: &[u8], name: &str) {
    store.write(&format!("in/{name}"), &picture(1)).unwrap();
    let message = Message::new("minio/events", event.to_vec());
    assert!(minio.publish(&message, Duration::from_secs(5)).unwrap());
}
