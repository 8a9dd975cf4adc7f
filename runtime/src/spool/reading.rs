//! Giving the frames out again, in their order.
//!
//! Owns: how far the frames were read, and what is lost on the way. Must not know: how records are written.

use std::io;

use bytes::Bytes;

use super::segment::SegmentReader;
use super::{Segment, Spool};

/// How far the frames were read.
pub(super) struct Position {
    reader: SegmentReader,
    /// The last frame given out.
    given: Option<u64>,
    /// The sequence that the next record of this segment should have.
    expected: u64,
}

impl Position {
    fn at_start_of(segment: &Segment, given: Option<u64>) -> Self {
        Self {
            reader: SegmentReader::new(segment.name.clone()),
            given,
            expected: segment.first,
        }
    }
}

impl Spool {
    pub(super) fn read_after(&mut self, sequence: Option<u64>) -> io::Result<Option<(u64, Bytes)>> {
        let mut position = match self.position.take() {
            Some(position) if position.given == sequence => position,
            _ => match self.segments.front() {
                Some(first) => Position::at_start_of(first, sequence),
                None => return Ok(None),
            },
        };
        loop {
            let segment = self.segments.iter().find(|s| s.name == position.reader.name());
            let (limit, last) = segment.map_or((0, 0), |s| (s.bytes, s.last));
            if let Some(record) = position.reader.next(self.storage.as_ref(), limit)? {
                self.lose(position.expected..record.sequence);
                position.expected = position.expected.max(record.sequence.saturating_add(1));
                let behind = sequence.is_none_or(|s| record.sequence > s);
                if behind && !self.answered.contains(record.sequence) {
                    position.given = Some(record.sequence);
                    self.position = Some(position);
                    return Ok(Some((record.sequence, record.frame)));
                }
                continue;
            }
            if position.reader.offset() < limit {
                // Nothing good is left, though good records were written here.
                self.lose(position.expected..last.saturating_add(1));
                position.reader.skip_to(limit);
            }
            let name = position.reader.name();
            if let Some(next) = self.segments.iter().find(|s| s.name.as_str() > name) {
                position = Position::at_start_of(next, sequence);
            } else {
                // At the end: the next record will be appended right here.
                self.position = Some(position);
                return Ok(None);
            }
        }
    }

    /// Records that were good when they were written or recovered, and cannot be read any more.
    fn lose(&mut self, lost: std::ops::Range<u64>) {
        let lost: Vec<u64> = lost.filter(|&s| !self.answered.contains(s)).collect();
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            log::error!(
                "event=spool_damaged code=51 frames={} first={first} last={last}",
                lost.len()
            );
        }
        for sequence in lost {
            self.settle(sequence);
        }
    }
}
