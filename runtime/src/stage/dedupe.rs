//! What was answered already: repeats of a frame get the stored answer.
//!
//! Owns: the memory of answers and of delivered ids, and its bounds. Must not know: where repeats come from.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use kerf_wire::{DeviceId, FrameId};

use crate::ranges::Ranges;

/// Most bytes of stored answers; an older repeat is simply run again, which gives the same answer under the same id.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// What an entry takes besides its answer, roughly: the id twice, the maps' own space.
const ENTRY_BYTES: usize = 256;

/// A stage's answer to one frame: what it publishes again when the frame comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The result's JSON.
    pub result: Bytes,
    /// The sealed receipt.
    pub receipt: Bytes,
}

impl StoredAnswer {
    fn bytes(&self) -> usize {
        self.result.len() + self.receipt.len() + ENTRY_BYTES
    }
}

/// The latest answers, bounded by bytes.
#[derive(Debug, Default)]
pub struct Answers {
    by_id: HashMap<FrameId, StoredAnswer>,
    order: VecDeque<FrameId>,
    bytes: usize,
}

impl Answers {
    /// The answer given to this frame, as far as it is remembered.
    pub fn find(&self, id: &FrameId) -> Option<&StoredAnswer> {
        self.by_id.get(id)
    }

    /// Remembers an answer, forgetting the oldest beyond the bound.
    pub fn store(&mut self, id: FrameId, answer: StoredAnswer) {
        self.bytes += answer.bytes();
        if let Some(before) = self.by_id.insert(id.clone(), answer) {
            self.bytes -= before.bytes();
        } else {
            self.order.push_back(id);
        }
        while self.bytes > MAX_ANSWER_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.by_id.remove(&oldest).map_or(0, |a| a.bytes());
        }
    }
}

/// Most ranges of ids that are remembered: the bound of memory, about 64 MiB.
const MAX_RANGES: usize = 500_000;

/// Ids that were delivered, as ranges of sequences: a device that loses nothing costs one range, however long it runs.
#[derive(Debug, Default)]
pub struct Delivered {
    boots: HashMap<(DeviceId, u64), Ranges>,
    ranges: usize,
}

impl Delivered {
    /// Notes an id; true when it is new. None when the memory's bound is reached and the id does not fit in.
    pub fn note(&mut self, id: &FrameId) -> Option<bool> {
        let ranges = self.boots.entry((id.device.clone(), id.boot)).or_default();
        if self.ranges >= MAX_RANGES && !ranges.joins(id.sequence) {
            return None;
        }
        let before = ranges.len();
        let new = ranges.insert(id.sequence);
        self.ranges = self.ranges + ranges.len() - before;
        Some(new)
    }

    /// True when the id was noted before.
    pub fn contains(&self, id: &FrameId) -> bool {
        let ranges = self.boots.get(&(id.device.clone(), id.boot));
        ranges.is_some_and(|r| r.contains(id.sequence))
    }

    /// Ranges in memory.
    pub fn ranges(&self) -> usize {
        self.ranges
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;
    use std::collections::HashSet;

    fn id(device: &str, sequence: u64) -> FrameId {
        FrameId {
            device: DeviceId::new(device).unwrap(),
            boot: 1,
            sequence,
        }
    }

    #[test]
    fn a_shuffled_stream_with_repeats_is_delivered_once_and_ends_as_one_range() {
        // A full-period generator modulo 2^12 visits each sequence once, out of order.
        let mut delivered = Delivered::default();
        let mut known = HashSet::new();
        let mut x = 1_u64;
        for _ in 0..4096 {
            x = (x * 1_664_525 + 1_013_904_223) % 4096;
            for repeat in 0..=(x % 4) {
                let new = delivered.note(&id("a", x)).unwrap();
                assert_eq!(new, known.insert(x), "sequence {x}, repeat {repeat}");
            }
        }
        assert_eq!(known.len(), 4096);
        assert_eq!(delivered.ranges(), 1);
        assert!(delivered.contains(&id("a", 0)) && !delivered.contains(&id("b", 0)));
    }

    #[test]
    fn answers_are_bounded_by_their_bytes() {
        let mut answers = Answers::default();
        let large = StoredAnswer {
            result: Bytes::from(vec![0; MAX_ANSWER_BYTES / 4]),
            receipt: Bytes::new(),
        };
        for sequence in 0..10 {
            answers.store(id("a", sequence), large.clone());
        }
        assert!(answers.find(&id("a", 0)).is_none());
        assert!(answers.find(&id("a", 9)).is_some());
        assert!(answers.bytes <= MAX_ANSWER_BYTES);
    }
}
