//! How many inputs may wait for their answers at once.
//!
//! Owns: the count. Must not know: frames, links. The maker enters before it takes an input; the link leaves for each
//! frame that is answered, refused or dropped, and the maker itself for each input that gave no frame.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, PoisonError};

/// Counts inputs on their way.
#[derive(Debug)]
pub(super) struct Gate {
    most: usize,
    inside: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    /// Lets this many in; all where none is said.
    pub(super) fn new(most: Option<NonZeroUsize>) -> Self {
        Self {
            most: most.map_or(usize::MAX, NonZeroUsize::get),
            inside: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    /// Waits until there is room, and takes it.
    pub(super) fn enter(&self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        while *inside >= self.most {
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        *inside += 1;
    }

    /// Gives room back.
    pub(super) fn leave(&self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        *inside = inside.saturating_sub(1);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_are_inside_than_were_asked_for() {
        let gate = Arc::new(Gate::new(NonZeroUsize::new(2)));
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        gate.enter();
                        let before = inside.fetch_add(1, Ordering::SeqCst);
                        assert!(before < 2, "{before} were inside already");
                        inside.fetch_sub(1, Ordering::SeqCst);
                        gate.leave();
                    }
                })
            })
            .collect();
        assert!(threads.into_iter().all(|thread| thread.join().is_ok()));
    }
}
