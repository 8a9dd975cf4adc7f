//! Writing new records, and room for them.
//!
//! Owns: appending a group durably, the bound, removing segments. Must not know: what is read.

use std::collections::VecDeque;

use super::{Segment, Spool, disk, segment_name};
use crate::stage::keep::{KeepError, WhenFull};

/// Longest segment, bytes; one frame always fits. Disk space comes back a segment at a time.
const MAX_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Segments within the bound, at least.
const MIN_SEGMENTS: u64 = 8;

impl Spool {
    fn segment_bytes(&self) -> u64 {
        (self.limits.bytes / MIN_SEGMENTS).clamp(1, MAX_SEGMENT_BYTES)
    }

    /// Makes room for `new` bytes, by the policy.
    pub(super) fn make_room(&mut self, new: u64) -> Result<(), KeepError> {
        while self.used_bytes() + new > self.limits.bytes {
            // One group always has room, so that a bound below one frame's size does not stop the stage for ever.
            let Some(oldest) = self.segments.front() else {
                return Ok(());
            };
            if oldest.waiting > 0 && self.limits.when_full == WhenFull::RefuseNew {
                return Err(KeepError::Full {
                    bytes: self.used_bytes(),
                    limit: self.limits.bytes,
                });
            }
            for sequence in oldest.first..=oldest.last {
                if self.answered.insert(sequence) {
                    self.dropped.push(sequence);
                }
            }
            self.segments
                .pop_front()
                .map_or(Ok(()), |oldest| self.remove(&oldest))?;
        }
        Ok(())
    }

    /// Removes a segment's file.
    fn remove(&mut self, segment: &Segment) -> Result<(), KeepError> {
        self.is_active &= !self.segments.is_empty();
        let removed = self.storage.remove(&segment.name);
        removed.map_err(|why| disk(&segment.name, why))
    }

    /// Removes segments in which nothing waits; the newest stays.
    pub(super) fn remove_answered(&mut self) {
        let newest = self.segments.pop_back();
        let (answered, waiting): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.segments)
            .into_iter()
            .partition(|s| s.waiting == 0);
        self.segments = waiting;
        self.segments.extend(newest);
        for segment in &answered {
            if let Err(why) = self.remove(segment) {
                log::warn!("event=not_removed why={:?}", why.to_string());
            }
        }
    }

    /// Appends the group that is in `scratch` and makes it durable.
    pub(super) fn append(&mut self, first: u64, last: u64, count: u64) -> Result<(), KeepError> {
        let new = self.scratch.len() as u64;
        let full = self
            .segments
            .back()
            .is_none_or(|s| s.bytes + new > self.segment_bytes());
        let fresh = full || !self.is_active;
        let (name, before) = if let Some(active) = self.segments.back().filter(|_| !fresh) {
            (active.name.clone(), active.bytes)
        } else {
            self.next_number += 1;
            (segment_name(self.boot, self.next_number), 0)
        };
        let storage = self.storage.as_mut();
        let mut outcome = storage.append(&name, &self.scratch).and_then(|()| storage.sync(&name));
        if fresh {
            outcome = outcome.and_then(|()| storage.sync_dir());
        }
        if let Err(why) = outcome {
            // After a failed sync nothing behind the last good one may be trusted, and a second sync may lie: the file
            // is cut back and never appended to again.
            let cut = if before == 0 {
                storage.remove(&name)
            } else {
                storage.truncate(&name, before)
            };
            if let Err(why) = cut {
                log::debug!("event=not_cut_back file={name} why={:?}", why.to_string());
            }
            self.is_active = false;
            return Err(disk(&name, why));
        }
        if fresh {
            let empty = Segment::empty(name);
            self.segments.push_back(Segment { first, ..empty });
        }
        if let Some(active) = self.segments.back_mut() {
            active.last = last;
            active.bytes = before + new;
            active.waiting += count;
        }
        self.is_active = true;
        Ok(())
    }
}
