//! What is good in the segments when a spool is opened.
//!
//! Owns: cutting a bad tail off, skipping a bad middle, where sequences go on. Must not know: the bound.

use std::io;

use super::segment::SegmentReader;
use super::{Segment, Spool, cursor, parse_name};
use crate::stage::keep::Keep as _;

/// Sequences of one opening: far beyond what one can accept.
const OPENING: u64 = 1 << 32;

impl Spool {
    pub(super) fn recover(&mut self) -> io::Result<()> {
        let mut found: Vec<(u64, u64, String)> = Vec::new();
        for name in self.storage.list()? {
            if let Some((boot, number)) = parse_name(&name) {
                found.push((boot, number, name));
            }
        }
        found.sort();
        // Files of another boot number are not ours to send under this one; they are told and left alone.
        let Some(boot) = found.last().map(|&(boot, _, _)| boot) else {
            return Ok(());
        };
        let foreign = found.iter().filter(|f| f.0 != boot).count();
        if foreign > 0 {
            log::error!("event=foreign_segments files={foreign} effect=\"left alone\"");
        }
        self.boot = boot;
        self.answered = cursor::read(self.storage.as_ref(), boot)?.unwrap_or_default();
        for (_, number, name) in found.into_iter().filter(|f| f.0 == boot) {
            self.next_number = number + 1;
            self.recover_segment(name)?;
        }
        self.next = self.next_number.saturating_mul(OPENING);
        self.recovered.frames = self.frames();
        self.remove_answered();
        Ok(())
    }

    /// Reads one segment through: what is good in it, and where its last good record ends.
    fn recover_segment(&mut self, name: String) -> io::Result<()> {
        let length = self.storage.len(&name)?;
        let mut reader = SegmentReader::new(name.clone());
        let mut segment = Segment::empty(name);
        let mut last = self.segments.back().map(|s| s.last);
        while let Some(record) = reader.next(self.storage.as_ref(), length)? {
            let sequence = record.sequence;
            segment.bytes = reader.offset();
            if last.is_some_and(|last| sequence <= last) {
                continue;
            }
            if segment.is_empty() {
                segment.first = sequence;
            } else {
                // Damaged records between two good ones are lost; nobody may wait for them.
                for lost in segment.last + 1..sequence {
                    self.answered.insert(lost);
                }
            }
            segment.last = sequence;
            segment.waiting += u64::from(!self.answered.contains(sequence));
            last = Some(sequence);
        }
        let tail = length.saturating_sub(segment.bytes);
        self.recovered.damaged_bytes += reader.damaged_bytes + tail;
        if tail > 0 {
            log::warn!("event=spool_tail_cut file={} damaged_bytes={tail}", segment.name);
            self.storage.truncate(&segment.name, segment.bytes)?;
        }
        if reader.damaged_bytes > 0 {
            let bytes = reader.damaged_bytes;
            log::error!("event=spool_damaged file={} damaged_bytes={bytes}", segment.name);
        }
        self.segments.push_back(segment);
        Ok(())
    }
}
