//! Where accepted frames wait for their receipts.
//!
//! Owns: the promise behind "accepted". Must not know: brokers, what a frame holds.
//! [`MemoryKeep`] promises nothing over a restart and says so; the spool keeps frames over a power cut.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use bytes::Bytes;

use crate::broker::backoff::random;
use crate::exit::{Exit, Failure};

/// Frames by sequence, oldest first.
pub trait Keep: Send {
    /// The number drawn for this keep's life: the middle part of each frame's id.
    fn boot(&self) -> u64;
    /// The sequence that the next accepted frame gets.
    fn next_sequence(&self) -> u64;
    /// Takes frames in. When it returns they are accepted: they outlive whatever this keep promises to outlive.
    /// Gives what was dropped to make room, where that is the policy.
    ///
    /// # Errors
    /// When there is no room, or the disk fails: none of them is accepted then.
    fn accept(&mut self, frames: &[(u64, Bytes)]) -> Result<Vec<u64>, KeepError>;
    /// The oldest frame behind this sequence that is neither freed nor dropped.
    ///
    /// # Errors
    /// When the disk fails; a frame that is damaged there is skipped and counted, not an error.
    fn next_after(&mut self, sequence: Option<u64>) -> Result<Option<(u64, Bytes)>, KeepError>;
    /// Forgets a frame: it is answered.
    ///
    /// # Errors
    /// When the disk fails; the frame may then be sent again after a restart.
    fn free(&mut self, sequence: u64) -> Result<(), KeepError>;
    /// Writes down what was freed, so that it is not sent again after a restart.
    ///
    /// # Errors
    /// When the disk fails.
    fn flush(&mut self) -> Result<(), KeepError>;
    /// Frames waiting.
    fn frames(&self) -> usize;
    /// Bytes that they take.
    fn bytes(&self) -> u64;
}

/// What to do with a new frame when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Do not accept it: a file source waits, a live one drops it and counts.
    #[default]
    RefuseNew,
    /// Drop the oldest frames that are not answered yet; counted and logged.
    DropOldest,
}

/// Why a frame was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// No room under the configured bound.
    #[error("the spool is full: {bytes} of {limit} bytes wait for receipts")]
    Full {
        /// Bytes waiting.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// The disk has no room.
    #[error("no space left on the spool's disk: {0}")]
    DiskFull(#[source] io::Error),
    /// The disk fails.
    #[error("spool {file}: {why}")]
    Disk {
        /// Which file.
        file: String,
        /// The cause.
        why: io::Error,
    },
    /// What is on the disk is no spool of ours, or of another device.
    #[error("spool damaged: {0}")]
    Damaged(String),
}

impl KeepError {
    /// The exit code at the start; a running stage shows it in its log and goes on.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Full { .. } | Self::DiskFull(_) => Exit::DiskFull,
            Self::Disk { .. } | Self::Damaged(_) => Exit::SpoolDamaged,
        }
    }
}

impl From<KeepError> for Failure {
    fn from(error: KeepError) -> Self {
        Self::new(error.exit(), error)
    }
}

/// Frames in memory: lost when the program ends.
#[derive(Debug)]
pub struct MemoryKeep {
    boot: u64,
    next: u64,
    frames: BTreeMap<u64, Bytes>,
    bytes: u64,
    limit: u64,
    when_full: WhenFull,
}

impl MemoryKeep {
    /// A keep of at most `limit` bytes.
    pub fn new(limit: u64, when_full: WhenFull) -> Self {
        Self {
            boot: random(),
            next: 0,
            frames: BTreeMap::new(),
            bytes: 0,
            limit,
            when_full,
        }
    }

    fn remove(&mut self, sequence: u64) -> bool {
        let removed = self.frames.remove(&sequence);
        self.bytes -= removed.as_ref().map_or(0, |f| f.len() as u64);
        removed.is_some()
    }
}

impl Keep for MemoryKeep {
    fn boot(&self) -> u64 {
        self.boot
    }

    fn next_sequence(&self) -> u64 {
        self.next
    }

    fn accept(&mut self, frames: &[(u64, Bytes)]) -> Result<Vec<u64>, KeepError> {
        let new: u64 = frames.iter().map(|(_, f)| f.len() as u64).sum();
        let mut dropped = VecDeque::new();
        // One frame always has room, so that a bound below one frame's size does not stop the stage for ever.
        while self.bytes + new > self.limit && !self.frames.is_empty() {
            let oldest = self.frames.first_key_value().map(|(&s, _)| s);
            match (self.when_full, oldest) {
                (WhenFull::DropOldest, Some(oldest)) => {
                    self.remove(oldest);
                    dropped.push_back(oldest);
                }
                _ => {
                    return Err(KeepError::Full {
                        bytes: self.bytes,
                        limit: self.limit,
                    });
                }
            }
        }
        for (sequence, frame) in frames {
            self.bytes += frame.len() as u64;
            self.frames.insert(*sequence, frame.clone());
            self.next = self.next.max(sequence + 1);
        }
        Ok(dropped.into())
    }

    fn next_after(&mut self, sequence: Option<u64>) -> Result<Option<(u64, Bytes)>, KeepError> {
        let from = sequence.map_or(0, |s| s.saturating_add(1));
        Ok(self.frames.range(from..).next().map(|(&s, f)| (s, f.clone())))
    }

    fn free(&mut self, sequence: u64) -> Result<(), KeepError> {
        self.remove(sequence);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), KeepError> {
        Ok(())
    }

    fn frames(&self) -> usize {
        self.frames.len()
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
