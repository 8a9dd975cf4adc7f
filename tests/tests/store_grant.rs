//! A board without keys: by a grant it puts its own frames into the bucket, and nothing else; a grant that is over is told,
//! keeps the frames, and a new one in its place goes on with them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kerf_runtime::broker::memory::Hub;
use kerf_runtime::metrics::Metrics;
use kerf_runtime::object::s3::{GrantedStore, PATIENCE, S3Config, S3Store};
use kerf_runtime::object::{Folder as _, ObjectError, ObjectStore as _, digest_of};
use kerf_runtime::stage::envelope::Envelopes;
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::tail::Confirm;
use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::{Running, eventually};
use kerf_tests::relay::{Counting, assert_each_once, run_head_counted, run_tail, tail};
use kerf_tests::s3::{ACCESS_KEY, Kind, S3Server, SECRET_KEY};
use kerf_tests::stages::{lenet_bundle, picture};
use kerf_tests::{kerf_stage, succeed};
use kerf_wire::DeviceId;

fn cam() -> DeviceId {
    DeviceId::new("cam").unwrap()
}

fn keyed(config: &S3Config) -> S3Store {
    S3Store::new(config.clone()).unwrap()
}

/// Writes a grant for `cam`.
fn grant(config: &S3Config, file: &Path, places: u16, valid: Duration) {
    let grant = keyed(config).grant(&cam(), places, valid).unwrap();
    let text = serde_json::to_string(&grant).unwrap();
    assert!(!text.contains(SECRET_KEY), "a grant holds no key");
    std::fs::write(file, text).unwrap();
}

fn granted(file: &Path) -> GrantedStore {
    GrantedStore::open(file, &cam(), None, PATIENCE).unwrap()
}

/// A head with a grant of four places and a tail, with keys or without, over the store.
fn frames_arrive(config: &S3Config, file: &Path, reader: &S3Config) {
    let hub = Hub::default();
    let envelopes = Envelopes::new(Some(Box::new(keyed(reader))), 1000);
    let mut tail = tail(hub.connect(), None, Confirm::Stage, envelopes);
    let source = Counting {
        next: 0,
        end: 40,
        bytes: 5000,
        pause: Duration::ZERO,
    };
    let done = AtomicBool::new(false);
    let (summary, answers) = std::thread::scope(|scope| {
        scope.spawn(|| run_tail(&mut tail, &done));
        let keep = MemoryKeep::new(64 << 20, WhenFull::RefuseNew);
        let envelopes = Envelopes::new(Some(Box::new(granted(file))), 1000);
        let outcome = run_head_counted("cam", source, hub.connect(), keep, envelopes, Arc::default());
        done.store(true, Ordering::Release);
        outcome
    });
    assert_eq!(summary.answered, 40);
    assert_each_once(&answers, 40);
    // Forty frames went through four places.
    let left = keyed(config).list("frames/cam/").unwrap();
    assert!((1..=4).contains(&left.len()), "{left:?}");
}

/// The addresses are for these places: with another name or another method they are refused.
fn nothing_else(config: &S3Config, file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let moved = file.with_extension("moved");
    std::fs::write(&moved, text.replace("frames/cam/", "frames/dog/")).unwrap();
    let refused = granted(&moved).put(&digest_of(b"x"), b"x").unwrap_err();
    assert!(matches!(refused, ObjectError::Unauthorised { .. }), "{refused}");
    assert!(keyed(config).list("frames/dog/").unwrap().is_empty());
    let swapped = file.with_extension("swapped");
    let written = text
        .replace("\"put\"", "\"other\"")
        .replace("\"get\"", "\"put\"")
        .replace("\"other\"", "\"get\"");
    std::fs::write(&swapped, written).unwrap();
    let refused = granted(&swapped).put(&digest_of(b"x"), b"x").unwrap_err();
    assert!(matches!(refused, ObjectError::Unauthorised { .. }), "{refused}");
    let other = GrantedStore::open(file, &DeviceId::new("dog").unwrap(), None, PATIENCE);
    let other = other.err().unwrap().to_string();
    assert!(other.contains("cam") && other.contains("dog"), "{other}");
    assert!(granted(file).fetch(&digest_of(b"x"), 1, "").is_err());
}

/// A grant that is over, then a new file in its place.
fn renewed(config: &S3Config, file: &Path) {
    grant(config, file, 2, Duration::from_secs(1));
    // The store's clock counts whole seconds.
    std::thread::sleep(Duration::from_millis(2100));
    let hub = Hub::default();
    let envelopes = Envelopes::new(Some(Box::new(keyed(config))), 1000);
    let mut tail = tail(hub.connect(), None, Confirm::Stage, envelopes);
    let metrics: Arc<Metrics> = Arc::default();
    let done = AtomicBool::new(false);
    let (summary, answers) = std::thread::scope(|scope| {
        let head = scope.spawn(|| {
            let source = Counting {
                next: 0,
                end: 3,
                bytes: 5000,
                pause: Duration::ZERO,
            };
            let keep = MemoryKeep::new(64 << 20, WhenFull::RefuseNew);
            let envelopes = Envelopes::new(Some(Box::new(granted(file))), 1000);
            run_head_counted("cam", source, hub.connect(), keep, envelopes, Arc::clone(&metrics))
        });
        scope.spawn(|| run_tail(&mut tail, &done));
        eventually("a grant that is over shows in the health", || {
            let troubles = metrics.health.troubles();
            troubles
                .iter()
                .any(|t| t.code == 41 && t.why.contains("kerf-stage grant") && !t.why.contains("Signature="))
        });
        assert_eq!(metrics.answered.value(), 0);
        grant(config, file, 2, Duration::from_mins(5));
        let outcome = head.join().unwrap();
        done.store(true, Ordering::Release);
        outcome
    });
    assert_eq!((summary.answered, summary.refused, summary.dropped), (3, 0, 0));
    assert_each_once(&answers, 3);
    assert!(metrics.health.troubles().is_empty());
}

fn suite(kind: Kind) {
    let Some(server) = S3Server::start(kind) else {
        return;
    };
    let config = server.config(server.port());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cam.grant");
    grant(&config, &file, 4, Duration::from_mins(5));
    let without_keys = S3Config {
        keys: None,
        ..config.clone()
    };
    frames_arrive(&config, &file, &config);
    frames_arrive(&config, &file, &without_keys);
    nothing_else(&config, &file);
    renewed(&config, &file);
}

#[test]
fn seaweedfs_takes_frames_by_a_grant() {
    suite(Kind::SeaweedFs);
}

#[test]
fn rclones_server_takes_frames_by_a_grant() {
    suite(Kind::Rclone);
}

#[test]
fn the_commands_grant_run_and_refuse() {
    let Some(server) = S3Server::start(Kind::Rclone) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let endpoint = format!("http://localhost:{}", server.port());
    std::fs::write(at("store.keys"), format!("{ACCESS_KEY}\n{SECRET_KEY}\n")).unwrap();
    let mut command = kerf_stage();
    command.args([
        "grant", "--store", &endpoint, "--device", "cam", "--hours", "1", "--places", "8",
    ]);
    succeed(
        command
            .arg("--store-keys-file")
            .arg(at("store.keys"))
            .arg("-o")
            .arg(at("cam.grant")),
    );
    let bundle = lenet_bundle(&at("bundle"));
    let broker = Mosquitto::start("");
    let by_store = ["--inline-bytes", "100"];
    let mut tail = kerf_stage();
    tail.args(["run", "--part", "1", "--broker", &broker.url(), "--store", &endpoint])
        .args(by_store);
    let mut tail = Running::start(tail.arg("--bundle").arg(&bundle));
    tail.wait_for("event=ready");
    std::fs::create_dir(at("in")).unwrap();
    for n in 0..20 {
        std::fs::write(at("in").join(format!("{n:02}.npy")), picture(n)).unwrap();
    }
    let head = |grant: &Path| {
        let mut head = kerf_stage();
        head.args(["run", "--part", "0", "--device", "cam", "--broker", &broker.url()])
            .args(by_store);
        head.arg("--bundle")
            .arg(&bundle)
            .arg("--store-grant")
            .arg(grant)
            .arg("--input")
            .arg(at("in"));
        head
    };
    let printed = succeed(&mut head(&at("cam.grant")));
    assert_eq!(printed.lines().count(), 20, "{printed}");
    // What is not signed by these keys is refused at the start.
    let text = std::fs::read_to_string(at("cam.grant")).unwrap();
    std::fs::write(at("bad.grant"), text.replace("X-Amz-Signature=", "X-Amz-Signature=0")).unwrap();
    let refused = head(&at("bad.grant")).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(41), "{said}");
    assert!(
        said.contains("kerf-stage grant") && !said.contains("X-Amz-Signature"),
        "{said}"
    );
    let other = head(&at("cam.grant")).args(["--store", &endpoint]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
}
