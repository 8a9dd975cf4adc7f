//! A store that is silent holds up its own frames and nothing else.

use std::sync::{Condvar, Mutex};

use super::*;
use crate::object::{ObjectError, ObjectStore};

/// A door that is shut until somebody opens it.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Door {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let shut = self.open.lock().unwrap();
        drop(self.changed.wait_while(shut, |open| !*open).unwrap());
    }
}

/// Bodies in memory, behind a door.
#[derive(Clone, Default)]
struct Behind {
    door: Arc<Door>,
    bodies: Arc<Mutex<BTreeMap<Digest, Vec<u8>>>>,
}

impl ObjectStore for Behind {
    fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
        self.door.pass();
        self.bodies.lock().unwrap().insert(*digest, body.to_vec());
        Ok(String::new())
    }

    fn fetch(&mut self, digest: &Digest, _bytes: u64, _location: &str) -> Result<Vec<u8>, ObjectError> {
        let bodies = self.bodies.lock().unwrap();
        bodies.get(digest).cloned().ok_or(ObjectError::Missing(*digest))
    }

    fn remove(&mut self, digest: &Digest) -> Result<(), ObjectError> {
        self.bodies.lock().unwrap().remove(digest);
        Ok(())
    }
}

/// Every tenth input is large.
struct Mixed(u8);

impl Source for Mixed {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        if self.0 == 100 {
            return Ok(None);
        }
        let bytes = if self.0.is_multiple_of(10) { 5000 } else { 10 };
        let mut tensor = Tensor::zeros(DType::U8, &[bytes]).unwrap();
        tensor.bytes_mut()[0] = self.0;
        self.0 += 1;
        Ok(Some(Input {
            label: format!("input {}", self.0 - 1),
            tensors: vec![("x".to_owned(), tensor)],
        }))
    }
}

#[test]
fn a_silent_store_holds_up_neither_receipts_nor_inline_frames() {
    let hub = Hub::default();
    let store = Behind::default();
    let envelopes = || Envelopes::new(Some(Box::new(store.clone())), 1000);
    let mut tail = with_envelopes(&hub, envelopes());
    let mut broker = hub.connect();
    let config = head_config();
    head::subscribe(&mut broker, &config).unwrap();
    let links = HeadLinks {
        broker: Box::new(broker),
        keep: Box::new(MemoryKeep::new(1 << 20, WhenFull::RefuseNew)),
        envelopes: envelopes(),
        answerer: Box::new(FirstByte),
        metrics: Arc::default(),
        status: None,
    };
    let metrics = Arc::clone(&links.metrics);
    let answers = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&answers);
    let mut opened = false;
    let summary = until(
        || {
            head::run(&mut Mixed(0), &mut Passing, links, &config, &mut |answer| {
                told.lock().unwrap().push(answer);
            })
        },
        || {
            tail.step(Duration::from_millis(20));
            // All that is small is answered, and its receipts were taken, while the first object is still on its way.
            if !opened && metrics.answered.value() == 90 {
                assert!(store.bodies.lock().unwrap().is_empty());
                store.door.open();
                opened = true;
            }
        },
    );
    assert!(opened);
    assert_eq!((summary.answered, summary.refused), (100, 0));
    assert_eq!(data(&answers.lock().unwrap()), expected(100));
    assert!(store.bodies.lock().unwrap().is_empty(), "an object was left behind");
}
