//! One suite over every object store: a folder, and two real S3 servers. What comes back is the object or an error,
//! whatever happens to the server, the network, the keys and the object.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kerf_runtime::broker::memory::Hub;
use kerf_runtime::object::directory::DirectoryStore;
use kerf_runtime::object::s3::{S3Config, S3Store};
use kerf_runtime::object::{Folder, ObjectError, ObjectStore, digest_of};
use kerf_runtime::stage::envelope::Envelopes;
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::tail::Confirm;
use kerf_tests::certificates;
use kerf_tests::proxy::{Proxy, Weather};
use kerf_tests::random::{Random, seed};
use kerf_tests::relay::{Counting, assert_each_once, run_head, run_tail, tail};
use kerf_tests::s3::{Kind, S3Server, SECRET_KEY};
use kerf_wire::Digest;

/// Longer than one part of a multipart upload, and no multiple of it.
const LARGE: usize = 17 * 1024 * 1024 + 12_345;

fn body(random: &mut Random, bytes: usize) -> Vec<u8> {
    (0..=bytes / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .take(bytes)
        .collect()
}

/// What every store does with intact, damaged and missing objects. `raw` is a second way to the same objects.
fn conforms(store: &mut impl ObjectStore, raw: &mut impl Folder, place: &str) {
    let mut random = Random::new(seed(33));
    for bytes in [0, 1, 10_000, LARGE] {
        let body = body(&mut random, bytes);
        let digest = digest_of(&body);
        let missing = store.fetch(&digest, bytes as u64, "");
        assert!(
            matches!(missing, Err(ObjectError::Missing(_))),
            "{bytes} bytes: {missing:?}"
        );
        let location = store.put(&digest, &body).unwrap();
        store.put(&digest, &body).unwrap();
        assert!(
            store.fetch(&digest, bytes as u64, &location).unwrap() == body,
            "{bytes} bytes"
        );
        store.remove(&digest).unwrap();
        store.remove(&digest).unwrap();
        assert!(matches!(
            store.fetch(&digest, bytes as u64, ""),
            Err(ObjectError::Missing(_))
        ));
    }
    let whole = body(&mut random, 10_000);
    let digest = digest_of(&whole);
    let key = format!("{place}{digest}");
    for damage in 0..12 {
        let mut damaged = whole.clone();
        match damage % 4 {
            0 => damaged[random.below(10_000)] ^= 1 << random.below(8),
            1 => damaged.truncate(random.below(10_000)),
            2 => damaged.extend([0; 9]),
            _ => random.shuffle(&mut damaged),
        }
        raw.write(&key, &damaged).unwrap();
        let fetched = store.fetch(&digest, 10_000, "");
        assert!(
            matches!(fetched, Err(ObjectError::Damaged { .. })),
            "damage {damage}: {fetched:?}"
        );
    }
    // Putting it again mends it.
    store.put(&digest, &whole).unwrap();
    assert_eq!(store.fetch(&digest, 10_000, "").unwrap(), whole);
    let huge = store.fetch(&digest, u64::MAX, "");
    assert!(matches!(huge, Err(ObjectError::TooLarge { .. })), "{huge:?}");
    store.remove(&digest).unwrap();
}

/// What a stage that is fed from a bucket needs.
fn lists(folder: &mut impl Folder) {
    let keys = |folder: &mut dyn Folder, prefix: &str| -> Vec<String> {
        folder
            .list(prefix)
            .unwrap()
            .into_iter()
            .map(|entry| entry.key)
            .collect()
    };
    assert!(keys(folder, "in/").is_empty());
    for key in [
        "in/b.npy",
        "in/a photo +&.jpg",
        "in/deep/c.npz",
        "other/d.npy",
        "in/b.npy",
    ] {
        folder.write(key, key.as_bytes()).unwrap();
    }
    assert_eq!(keys(folder, "in/"), ["in/a photo +&.jpg", "in/b.npy", "in/deep/c.npz"]);
    assert_eq!(folder.read("in/a photo +&.jpg", 100).unwrap(), b"in/a photo +&.jpg");
    assert!(matches!(folder.read("in/b.npy", 3), Err(ObjectError::Longer { .. })));
    assert!(matches!(folder.read("in/z.npy", 3), Err(ObjectError::Absent(_))));
    for key in keys(folder, "") {
        folder.delete(&key).unwrap();
        folder.delete(&key).unwrap();
    }
    assert!(keys(folder, "").is_empty());
}

#[test]
fn a_folder_keeps_the_stores_promises() {
    let dir = tempfile::tempdir().unwrap();
    let open = || DirectoryStore::open(dir.path()).unwrap();
    conforms(&mut open(), &mut open(), "");
    lists(&mut open());
    for key in ["../outside", "a/../../b", "/etc/passwd", "", "a//b", "a/.hidden"] {
        let written = open().write(key, b"x");
        assert!(matches!(written, Err(ObjectError::BadKey(_))), "{key:?}: {written:?}");
    }
}

fn store(config: S3Config) -> S3Store {
    S3Store::new(config).unwrap()
}

/// A request that must not be tried for long.
fn impatient(config: S3Config) -> S3Store {
    let patience = Duration::from_millis(400);
    store(S3Config { patience, ..config })
}

fn s3_suite(kind: Kind) {
    let Some(mut server) = S3Server::start(kind) else {
        return;
    };
    let config = server.config(server.port());
    store(config.clone()).check_keys().unwrap();
    conforms(&mut store(config.clone()), &mut store(config.clone()), "frames/");
    lists(&mut store(config.clone()));
    without_the_right(&config);
    without_keys(&config);
    in_bad_weather(&server);
    over_restarts(&mut server);
}

/// A wrong secret and a wrong bucket.
fn without_the_right(config: &S3Config) {
    let wrong = S3Config {
        keys: Some((
            "kerf-test-key".to_owned(),
            "another-secret-than-the-stores-0123".to_owned(),
        )),
        ..config.clone()
    };
    let digest = digest_of(b"x");
    let begun = Instant::now();
    for refused in [
        store(wrong.clone()).check_keys(),
        store(wrong.clone()).put(&digest, b"x").map(drop),
        store(wrong.clone()).put(&digest, &vec![0; LARGE]).map(drop),
        store(wrong).fetch(&digest, 1, "").map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, ObjectError::Unauthorised { .. }), "{refused}");
        assert!(!refused.to_string().contains("Signature="), "{refused}");
    }
    let elsewhere = S3Config {
        bucket: "no-such-bucket".to_owned(),
        ..config.clone()
    };
    let refused = store(elsewhere).check_keys().unwrap_err().to_string();
    assert!(refused.contains("no-such-bucket"), "{refused}");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "a refusal was tried again: {:?}",
        begun.elapsed()
    );
}

/// A reader that has no keys reads by the location that came with the frame, while that is valid.
fn without_keys(config: &S3Config) {
    let presigning = |seconds| S3Config {
        presign: Some(Duration::from_secs(seconds)),
        ..config.clone()
    };
    let reader = S3Config {
        keys: None,
        ..config.clone()
    };
    let digest = digest_of(b"presigned");
    let location = store(presigning(60)).put(&digest, b"presigned").unwrap();
    assert!(!location.contains(SECRET_KEY), "{location}");
    assert_eq!(
        store(reader.clone()).fetch(&digest, 9, &location).unwrap(),
        b"presigned"
    );
    assert!(store(reader.clone()).fetch(&digest, 9, "").is_err(), "anyone may read");
    let short = store(presigning(1)).put(&digest, b"presigned").unwrap();
    // The store's clock counts whole seconds.
    std::thread::sleep(Duration::from_millis(2100));
    let expired = store(reader).fetch(&digest, 9, &short);
    assert!(matches!(expired, Err(ObjectError::Unauthorised { .. })), "{expired:?}");
}

/// Faults between us and the store: every answer is the object or an error, and nothing hangs.
fn in_bad_weather(server: &S3Server) {
    let proxy = Proxy::start(server.port(), seed(34));
    let config = server.config(proxy.port());
    let mut random = Random::new(seed(35));
    let body = body(&mut random, 300_000);
    let digest = digest_of(&body);
    let bytes = body.len() as u64;
    store(config.clone()).put(&digest, &body).unwrap();
    let weathers = [
        Weather::Unavailable,
        Weather::Refuse,
        Weather::Blackhole,
        Weather::Slow(Duration::from_millis(900)),
        Weather::Truncate(100),
        Weather::Truncate(100_000),
    ];
    for weather in weathers {
        proxy.set(weather);
        for outcome in [
            impatient(config.clone()).fetch(&digest, bytes, "").map(drop),
            impatient(config.clone()).put(&digest, &body).map(drop),
        ] {
            match outcome {
                // A short answer to a PUT may pass whole.
                Ok(()) => assert!(matches!(weather, Weather::Truncate(_)), "{weather:?}"),
                Err(ObjectError::Unreachable { .. } | ObjectError::Damaged { .. }) => {}
                Err(other) => panic!("{weather:?}: {other}"),
            }
        }
        proxy.cut();
    }
    proxy.set(Weather::Corrupt(2));
    for _ in 0..20 {
        // HTTP has no checksum: the digest must find what was flipped on the way.
        if let Ok(fetched) = impatient(config.clone()).fetch(&digest, bytes, "") {
            assert!(fetched == body, "wrong bytes were delivered");
        }
        proxy.cut();
    }
    // What passes is tried again within the call.
    proxy.set(Weather::Unavailable);
    let healing = proxy.clone();
    let heals = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(250));
        healing.set(Weather::Fair);
    });
    assert!(store(config).fetch(&digest, bytes, "").unwrap() == body);
    heals.join().unwrap();
}

/// A head and a tail whose frames all go through the store, while the server is killed twice.
fn over_restarts(server: &mut S3Server) {
    let hub = Hub::default();
    let config = server.config(server.port());
    let envelopes = || Envelopes::new(Some(Box::new(store(config.clone()))), 1000);
    let mut tail = tail(hub.connect(), None, Confirm::Stage, envelopes());
    let source = Counting {
        next: 0,
        end: 30,
        bytes: 200_000,
        pause: Duration::from_millis(60),
    };
    let done = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let head = scope.spawn(|| {
            let keep = MemoryKeep::new(64 << 20, WhenFull::RefuseNew);
            let outcome = run_head("cam", source, hub.connect(), keep, envelopes());
            done.store(true, Ordering::Release);
            outcome.1
        });
        let tail = scope.spawn(|| run_tail(&mut tail, &done));
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(500));
            server.kill();
            std::thread::sleep(Duration::from_millis(300));
            server.restart();
        }
        let answers = head.join().unwrap();
        tail.join().unwrap();
        answers
    });
    assert_each_once(&answers, 30);
    let left = store(config).list("frames/").unwrap();
    // The presigned one of the test before, and nothing of this one.
    assert!(left.len() <= 2, "{} objects were left behind", left.len());
}

#[test]
fn seaweedfs_keeps_the_stores_promises() {
    s3_suite(Kind::SeaweedFs);
}

#[test]
fn rclones_server_keeps_the_stores_promises() {
    s3_suite(Kind::Rclone);
}

#[test]
fn a_stores_certificate_must_be_of_the_authority_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    certificates::make(folder.path(), "localhost", "30");
    let Some(server) = S3Server::start_secured(folder) else {
        return;
    };
    let config = server.config(server.port());
    let digest: Digest = digest_of(b"x");
    let mut right = store(config.clone());
    right.put(&digest, b"x").unwrap();
    assert_eq!(right.fetch(&digest, 1, "").unwrap(), b"x");
    let other = tempfile::tempdir().unwrap();
    certificates::make(other.path(), "localhost", "30");
    let ca = Some(std::fs::read(other.path().join("ca.pem")).unwrap());
    let refused = impatient(S3Config { ca, ..config.clone() })
        .fetch(&digest, 1, "")
        .unwrap_err();
    assert!(matches!(refused, ObjectError::Unreachable { .. }), "{refused}");
    assert!(refused.to_string().to_lowercase().contains("certificate"), "{refused}");
    let none = S3Store::new(S3Config { ca: None, ..config });
    assert!(none.is_err_and(|why| why.to_string().contains("--store-ca")));
}
