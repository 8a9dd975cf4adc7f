//! The bounded queue between the thread that runs the part and the thread that owns the links.
//!
//! Owns: back-pressure between the two. Must not know: what is passed.
//! Many small things wait together, so that one disk sync serves them all; large ones wait one by one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Most things waiting.
const MAX_WAITING: usize = 64;
/// Most bytes waiting; one thing always has room.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    writer_gone: bool,
    reader_gone: bool,
}

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that puts in.
#[derive(Debug)]
pub struct Writer<T>(Arc<Shared<T>>);

/// The end that takes out.
#[derive(Debug)]
pub struct Reader<T>(Arc<Shared<T>>);

/// A queue.
pub fn handoff<T>() -> (Writer<T>, Reader<T>) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue {
            waiting: VecDeque::new(),
            bytes: 0,
            writer_gone: false,
            reader_gone: false,
        }),
        changed: Condvar::new(),
    });
    (Writer(Arc::clone(&shared)), Reader(shared))
}

impl<T> Writer<T> {
    /// Puts a thing of this many bytes in, waiting for room; gives it back when the reader is gone.
    ///
    /// # Errors
    /// The thing itself, when nobody will take it out.
    pub fn put(&self, thing: T, bytes: usize) -> Result<(), T> {
        let mut queue = self.0.lock();
        loop {
            if queue.reader_gone {
                return Err(thing);
            }
            let room = queue.waiting.len() < MAX_WAITING && queue.bytes.saturating_add(bytes) <= MAX_WAITING_BYTES;
            if room || queue.waiting.is_empty() {
                queue.bytes = queue.bytes.saturating_add(bytes);
                queue.waiting.push_back((thing, bytes));
                return Ok(());
            }
            queue = self.0.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Reader<T> {
    /// Takes all that waits; never blocks.
    pub fn take(&self) -> Vec<T> {
        let mut queue = self.0.lock();
        queue.bytes = 0;
        let taken = queue.waiting.drain(..).map(|(thing, _)| thing).collect();
        drop(queue);
        self.0.changed.notify_all();
        taken
    }

    /// True when nothing waits now.
    pub fn is_empty(&self) -> bool {
        self.0.lock().waiting.is_empty()
    }

    /// True when nothing waits and nothing will come.
    pub fn is_over(&self) -> bool {
        let queue = self.0.lock();
        queue.writer_gone && queue.waiting.is_empty()
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.0.lock().writer_gone = true;
        self.0.changed.notify_all();
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.0.lock().reader_gone = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    #[test]
    fn a_full_queue_holds_its_writer_until_the_reader_takes() {
        let (writer, reader) = handoff();
        let thread = std::thread::spawn(move || {
            for n in 0..1000_u32 {
                writer.put(n, MAX_WAITING_BYTES / 3).unwrap();
            }
        });
        let mut taken = Vec::new();
        while !reader.is_over() {
            let some = reader.take();
            assert!(some.len() <= 3, "{} things of a third each waited", some.len());
            taken.extend(some);
            std::thread::yield_now();
        }
        thread.join().unwrap();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_thing_larger_than_the_bound_passes_alone_and_a_lost_reader_is_told() {
        let (writer, reader) = handoff();
        writer.put("large", MAX_WAITING_BYTES * 2).unwrap();
        drop(reader);
        assert_eq!(writer.put("next", 1), Err("next"));
    }
}
