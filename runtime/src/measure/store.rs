//! What it costs to move bodies through an object store: put here, fetched at the other end.
//!
//! Owns: which bodies, how often, and the lines through what was measured. Must not know: frames, brokers, plans.

use std::time::{Duration, Instant};

use kerf_wire::profile::{LinkPoint, Sample};

use super::link::line::Line;
use crate::object::{ObjectError, ObjectStore, digest_of};

/// Lengths of the bodies: around what goes to a store, and far above.
const SIZES: [usize; 4] = [4 * 1024, 128 * 1024, 512 * 1024, 2 * 1024 * 1024];
/// Turns of each length; the first warms up and does not count.
const TURNS: usize = 6;
/// Turns after which no more are begun when time is over.
const LEAST_TURNS: usize = 3;
/// Waited before each, as a frame now and then finds the machines.
const PAUSE: Duration = Duration::from_millis(20);

/// What was measured; each is a line over bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredStore {
    /// Each length: what putting it took.
    pub put: Vec<LinkPoint>,
    /// Each length: what fetching it took.
    pub fetch: Vec<LinkPoint>,
}

/// Milliseconds of no bytes, and of a byte.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Fixed, milliseconds.
    pub fixed_ms: f64,
    /// Nanoseconds a byte.
    pub ns_byte: f64,
}

impl MeasuredStore {
    /// What putting costs.
    pub fn put_cost(&self) -> Cost {
        cost(&self.put)
    }

    /// What fetching costs.
    pub fn fetch_cost(&self) -> Cost {
        cost(&self.fetch)
    }
}

fn cost(points: &[LinkPoint]) -> Cost {
    let line = Line::through(points);
    Cost {
        fixed_ms: line.base.max(0.0),
        ns_byte: line.slope * 1e6,
    }
}

/// Puts bodies on one end's store, fetches them on the other's and removes them. No turn is begun after `most`.
///
/// # Errors
/// When the store does not take, give or remove them.
pub fn measure_store(
    near: &mut dyn ObjectStore,
    far: &mut dyn ObjectStore,
    most: Duration,
) -> Result<MeasuredStore, ObjectError> {
    let begun = Instant::now();
    let mut put: [Vec<f64>; SIZES.len()] = Default::default();
    let mut fetch = put.clone();
    for turn in 0..TURNS {
        if turn >= LEAST_TURNS && begun.elapsed() > most {
            break;
        }
        for (index, size) in SIZES.into_iter().enumerate() {
            // Never the same twice: a store may keep what it has.
            let body = body(size, turn);
            let digest = digest_of(&body);
            std::thread::sleep(PAUSE);
            let start = Instant::now();
            let location = near.put(&digest, &body)?;
            let put_ms = super::milliseconds(start.elapsed());
            let start = Instant::now();
            far.fetch(&digest, size as u64, &location)?;
            let fetch_ms = super::milliseconds(start.elapsed());
            near.remove(&digest)?;
            if turn > 0 {
                put[index].push(put_ms);
                fetch[index].push(fetch_ms);
            }
        }
    }
    let points = |times: &[Vec<f64>]| {
        let point = |(bytes, times): (&usize, &Vec<f64>)| LinkPoint {
            bytes: *bytes as u64,
            ms: Sample::of(times),
        };
        SIZES.iter().zip(times).map(point).collect()
    };
    Ok(MeasuredStore {
        put: points(&put),
        fetch: points(&fetch),
    })
}

/// Bytes that do not repeat.
fn body(size: usize, turn: usize) -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut state = now.map_or(1, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)) ^ (turn as u64) << 32 | 1;
    let mut body = Vec::with_capacity(size + 8);
    while body.len() < size {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend(state.to_le_bytes());
    }
    body.truncate(size);
    body
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

    use kerf_wire::Digest;

    use super::*;

    /// Takes 4 ms and 10 ns a byte to put, 2 ms and 5 ns to fetch.
    #[derive(Default)]
    struct Slow {
        held: Vec<(Digest, Vec<u8>)>,
        removed: usize,
    }

    impl ObjectStore for Slow {
        fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
            std::thread::sleep(Duration::from_millis(4) + Duration::from_nanos(10 * body.len() as u64));
            self.held.push((*digest, body.to_vec()));
            Ok(String::new())
        }

        fn fetch(&mut self, digest: &Digest, bytes: u64, _: &str) -> Result<Vec<u8>, ObjectError> {
            std::thread::sleep(Duration::from_millis(2) + Duration::from_nanos(5 * bytes));
            let body = self
                .held
                .iter()
                .find(|(d, _)| d == digest)
                .map(|(_, body)| body.clone());
            body.ok_or(ObjectError::Missing(*digest))
        }

        fn remove(&mut self, _: &Digest) -> Result<(), ObjectError> {
            self.removed += 1;
            Ok(())
        }
    }

    /// One store, seen from both ends.
    struct Both(std::sync::Arc<std::sync::Mutex<Slow>>);

    impl ObjectStore for Both {
        fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
            self.0.lock().unwrap().put(digest, body)
        }

        fn fetch(&mut self, digest: &Digest, bytes: u64, location: &str) -> Result<Vec<u8>, ObjectError> {
            self.0.lock().unwrap().fetch(digest, bytes, location)
        }

        fn remove(&mut self, digest: &Digest) -> Result<(), ObjectError> {
            self.0.lock().unwrap().remove(digest)
        }
    }

    #[test]
    fn a_stores_fixed_and_byte_costs_are_found_and_nothing_is_left_there() {
        let store = std::sync::Arc::new(std::sync::Mutex::new(Slow::default()));
        let (mut near, mut far) = (Both(store.clone()), Both(store.clone()));
        let measured = measure_store(&mut near, &mut far, Duration::ZERO).unwrap();
        let (put, fetch) = (measured.put_cost(), measured.fetch_cost());
        // A sleep may be late, never early; least squares may bend a late one a little.
        assert!(
            (3.0..20.0).contains(&put.fixed_ms) && (1.0..15.0).contains(&fetch.fixed_ms),
            "{put:?} {fetch:?}"
        );
        assert!(put.ns_byte > 5.0 && fetch.ns_byte > 2.0, "{put:?} {fetch:?}");
        let store = store.lock().unwrap();
        assert_eq!(store.removed, store.held.len());
    }
}
