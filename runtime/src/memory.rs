//! The memory of a program that loads one model and then runs for months.
//!
//! Owns: the allocator of static programs, and when it gives memory back. Must not know: what is loaded.
//!
//! musl's own allocator gives each freed tensor back to the system and asks for it anew, half as much again a frame.
//! dlmalloc keeps what it once had, which is right between frames, whose tensors are the same each time; but a load frees
//! the file, the parsed message and the weights as they were before they were packed, and none of that is needed again.

use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(any(target_env = "musl", test))]
mod sys;

#[cfg(any(target_env = "musl", test))]
pub use sys::Allocator;

static LOADS: AtomicUsize = AtomicUsize::new(0);

/// While one lives, large blocks that are freed go back to the system.
#[derive(Debug)]
pub struct Loading(());

impl Loading {
    /// From here to its drop.
    #[must_use]
    pub fn begin() -> Self {
        LOADS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// Whether any lives.
    #[cfg(any(target_env = "musl", test))]
    fn is_going_on() -> bool {
        LOADS.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        LOADS.fetch_sub(1, Ordering::Relaxed);
    }
}
