//! Frames in an object store cannot be swapped and do not rot unnoticed: what is not the frame is refused, and the frame
//! is kept and sent again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kerf_runtime::broker::memory::Hub;
use kerf_runtime::object::directory::DirectoryStore;
use kerf_runtime::object::{ObjectError, ObjectStore, digest_of};
use kerf_runtime::stage::envelope::Envelopes;
use kerf_runtime::stage::keep::{MemoryKeep, WhenFull};
use kerf_runtime::stage::tail::Confirm;
use kerf_tests::random::{Random, seed};
use kerf_tests::relay::{Counting, assert_each_once, run_head, run_tail, tail};
use kerf_wire::Digest;

#[test]
fn what_a_store_gives_back_is_the_object_or_an_error() {
    let mut random = Random::new(seed(31));
    let folder = tempfile::tempdir().unwrap();
    let mut store = DirectoryStore::open(folder.path()).unwrap();
    let body: Vec<u8> = (0..10_000).map(|_| random.byte()).collect();
    let (digest, bytes) = (digest_of(&body), body.len() as u64);
    assert!(matches!(store.fetch(&digest, bytes, ""), Err(ObjectError::Missing(_))));
    store.put(&digest, &body).unwrap();
    assert_eq!(store.fetch(&digest, bytes, "").unwrap(), body);
    let file = folder.path().join(digest.to_string());
    for _ in 0..50 {
        let mut damaged = body.clone();
        match random.below(4) {
            0 => damaged[random.below(10_000)] ^= 1 << random.below(8),
            1 => damaged.truncate(random.below(10_000)),
            2 => damaged.extend([0; 9]),
            _ => random.shuffle(&mut damaged),
        }
        std::fs::write(&file, &damaged).unwrap();
        let fetched = store.fetch(&digest, bytes, "");
        assert!(matches!(fetched, Err(ObjectError::Damaged { .. })), "{fetched:?}");
    }
    // Putting it again mends it.
    store.put(&digest, &body).unwrap();
    assert_eq!(store.fetch(&digest, bytes, "").unwrap(), body);
    assert!(matches!(
        store.fetch(&digest, u64::MAX, ""),
        Err(ObjectError::TooLarge { .. })
    ));
    store.remove(&digest).unwrap();
    store.remove(&digest).unwrap();
    assert!(matches!(store.fetch(&digest, bytes, ""), Err(ObjectError::Missing(_))));
}

/// A store that fails every third call, by a seed: damaged, missing or not there.
struct Naughty {
    store: DirectoryStore,
    random: Random,
    failures: u32,
}

impl Naughty {
    fn fails(&mut self, digest: &Digest) -> Option<ObjectError> {
        if !self.random.one_in(3) {
            return None;
        }
        self.failures += 1;
        Some(match self.random.below(3) {
            0 => ObjectError::Missing(*digest),
            1 => ObjectError::Damaged {
                digest: *digest,
                what: "for the test".to_owned(),
            },
            _ => ObjectError::Unreachable {
                store: "naughty".to_owned(),
                why: "for the test".to_owned(),
            },
        })
    }
}

impl ObjectStore for Naughty {
    fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
        let failure = self.fails(digest);
        failure.map_or_else(|| self.store.put(digest, body), Err)
    }

    fn fetch(&mut self, digest: &Digest, bytes: u64, location: &str) -> Result<Vec<u8>, ObjectError> {
        let failure = self.fails(digest);
        failure.map_or_else(|| self.store.fetch(digest, bytes, location), Err)
    }

    fn remove(&mut self, digest: &Digest) -> Result<(), ObjectError> {
        self.store.remove(digest)
    }
}

fn envelopes(folder: &Path, seed: u64) -> Envelopes {
    let store = Naughty {
        store: DirectoryStore::open(folder).unwrap(),
        random: Random::new(seed),
        failures: 0,
    };
    Envelopes::new(Some(Box::new(store)), 1000)
}

#[test]
fn frames_through_a_store_that_fails_every_third_call_are_all_answered_and_removed() {
    let seed = seed(32);
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::default();
    let mut tail = tail(hub.connect(), None, Confirm::Stage, envelopes(folder.path(), seed));
    let source = Counting {
        next: 0,
        end: 12,
        bytes: 5000,
        pause: Duration::ZERO,
    };
    let done = AtomicBool::new(false);
    let (answers, steps) = std::thread::scope(|scope| {
        let head = scope.spawn(|| {
            let keep = MemoryKeep::new(1 << 20, WhenFull::RefuseNew);
            let outcome = run_head("cam", source, hub.connect(), keep, envelopes(folder.path(), seed + 1));
            done.store(true, Ordering::Release);
            outcome
        });
        let tail = scope.spawn(|| run_tail(&mut tail, &done));
        (head.join().unwrap().1, tail.join().unwrap())
    });
    assert_each_once(&answers, 12);
    assert!(steps.not_fetched > 0, "the store never failed: {steps:?}");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "{left} objects were left behind");
}
