//! The spool: accepted frames on the disk until their receipts come.
//!
//! Owns: segments, recovery, the receipt cursor, the bound and what happens at it. Must not know: what a frame holds, who
//! sends it. Start at [`Spool::open`], then [`Keep::accept`].
//!
//! Append-only segments, each record with a magic and a checksum ([`record`]); one `fdatasync` a group, and "accepted"
//! means after it. Why not an embedded database: a flipped bit must cost one record at most, found again by its magic;
//! a page-structured file cannot promise that.
//!
//! Sequences never come twice, whatever is lost: segments are numbered in their names, each opening begins at 2³² × the
//! next number, and the newest segment is removed only with the last; where none is found the boot number is drawn anew.

mod cursor;
mod record;
mod segment;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::broker::backoff::random;
use crate::ranges::Ranges;
use crate::stage::keep::{Keep, KeepError, WhenFull};
use crate::storage::{DiskStorage, Storage};
use segment::SegmentReader;

/// Longest segment, bytes; one frame always fits. Disk space comes back a segment at a time.
const MAX_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Segments within the bound, at least.
const MIN_SEGMENTS: u64 = 8;
/// The cursor is written no more often; what it misses is sent again after a restart.
const CURSOR_EVERY: Duration = Duration::from_secs(2);
/// Sequences of one opening: far beyond what one can accept.
const OPENING: u64 = 1 << 32;
const SEGMENT_PREFIX: &str = "frames";

/// How a spool is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Most bytes of all segments.
    pub bytes: u64,
    /// What happens to a new frame at the bound.
    pub when_full: WhenFull,
}

/// Opens the spool in a folder, for this process alone.
///
/// # Errors
/// When another process has it, or the disk fails.
pub fn open(dir: &Path, limits: SpoolLimits) -> Result<Spool, KeepError> {
    let folder = || dir.display().to_string();
    let mut storage = DiskStorage::open(dir).map_err(|why| disk(&folder(), why))?;
    storage.lock().map_err(|why| disk(&folder(), why))?;
    let spool = Spool::open(Box::new(storage), limits)?;
    let Recovered { frames, damaged_bytes } = spool.recovered();
    log::info!(
        "event=spool_open dir={} frames={frames} damaged_bytes={damaged_bytes}",
        folder()
    );
    Ok(spool)
}

/// What recovery found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Frames that wait for their receipts.
    pub frames: usize,
    /// Bytes that hold no good record, behind the last good one of a segment included.
    pub damaged_bytes: u64,
}

/// Frames on a disk.
pub struct Spool {
    storage: Box<dyn Storage>,
    limits: SpoolLimits,
    boot: u64,
    next: u64,
    next_number: u64,
    segments: VecDeque<Segment>,
    /// The last of `segments` takes new records.
    is_active: bool,
    answered: Ranges,
    unwritten_answers: bool,
    cursor_at: Instant,
    position: Option<Position>,
    scratch: Vec<u8>,
    /// Dropped by the policy, not yet told.
    dropped: Vec<u64>,
    recovered: Recovered,
}

/// One file of records.
#[derive(Debug)]
struct Segment {
    name: String,
    /// Sequences of its first and last good record.
    first: u64,
    last: u64,
    /// Bytes up to the end of its last good record; what is behind was never accepted.
    bytes: u64,
    /// Records that are neither answered nor lost.
    waiting: u64,
}

/// How far the frames were read.
struct Position {
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

impl Segment {
    fn empty(name: String) -> Self {
        Self {
            name,
            first: 1,
            last: 0,
            bytes: 0,
            waiting: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.first > self.last
    }
}

impl Spool {
    /// Opens a spool and recovers what is there: a bad tail is cut off, a bad middle skipped.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(storage: Box<dyn Storage>, limits: SpoolLimits) -> Result<Self, KeepError> {
        let mut spool = Self {
            storage,
            limits,
            boot: random(),
            next: 0,
            next_number: 0,
            segments: VecDeque::new(),
            is_active: false,
            answered: Ranges::default(),
            unwritten_answers: false,
            cursor_at: Instant::now(),
            position: None,
            scratch: Vec::new(),
            dropped: Vec::new(),
            recovered: Recovered::default(),
        };
        spool.recover().map_err(|why| disk("recovery", why))?;
        Ok(spool)
    }

    /// What [`Spool::open`] found.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    fn recover(&mut self) -> io::Result<()> {
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

    fn used_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }

    fn segment_bytes(&self) -> u64 {
        (self.limits.bytes / MIN_SEGMENTS).clamp(1, MAX_SEGMENT_BYTES)
    }

    /// Makes room for `new` bytes, by the policy.
    fn make_room(&mut self, new: u64) -> Result<(), KeepError> {
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
    fn remove_answered(&mut self) {
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

    fn write_cursor(&mut self) -> Result<(), KeepError> {
        // What lies below all segments is over.
        let low = self.segments.front().map_or(self.next, |s| s.first);
        self.answered.forget_below(low);
        self.cursor_at = Instant::now();
        cursor::write(self.storage.as_mut(), self.boot, &self.answered).map_err(|why| disk("cursor", why))?;
        self.unwritten_answers = false;
        Ok(())
    }

    /// Appends the group that is in `scratch` and makes it durable.
    fn append(&mut self, first: u64, last: u64, count: u64) -> Result<(), KeepError> {
        let new = self.scratch.len() as u64;
        let full = self
            .segments
            .back()
            .is_none_or(|s| s.bytes + new > self.segment_bytes());
        let fresh = full || !self.is_active;
        let (name, before) = match self.segments.back().filter(|_| !fresh) {
            Some(active) => (active.name.clone(), active.bytes),
            None => {
                self.next_number += 1;
                (segment_name(self.boot, self.next_number), 0)
            }
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

    /// What can wait, now and then.
    fn tidy(&mut self) {
        let oldest_is_done = self.segments.front().is_some_and(|s| s.waiting == 0);
        if oldest_is_done && self.segments.len() > 1 {
            self.remove_answered();
        }
        if self.unwritten_answers
            && self.cursor_at.elapsed() >= CURSOR_EVERY
            && let Err(why) = self.write_cursor()
        {
            // Costs repeats after a restart, no frame: accepting goes on.
            log::warn!("event=cursor_not_written why={:?}", why.to_string());
        }
    }

    fn read_after(&mut self, sequence: Option<u64>) -> io::Result<Option<(u64, Bytes)>> {
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
            match self.segments.iter().find(|s| s.name.as_str() > name) {
                Some(next) => position = Position::at_start_of(next, sequence),
                None => {
                    // At the end: the next record will be appended right here.
                    self.position = Some(position);
                    return Ok(None);
                }
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

    /// Nobody waits for this frame any more; false where nobody did.
    fn settle(&mut self, sequence: u64) -> bool {
        if !self.answered.insert(sequence) {
            return false;
        }
        self.unwritten_answers = true;
        let segment = self
            .segments
            .iter_mut()
            .find(|s| s.first <= sequence && sequence <= s.last);
        if let Some(segment) = segment {
            segment.waiting = segment.waiting.saturating_sub(1);
        }
        true
    }
}

impl Keep for Spool {
    fn boot(&self) -> u64 {
        self.boot
    }

    fn next_sequence(&self) -> u64 {
        self.next
    }

    fn accept(&mut self, frames: &[(u64, Bytes)]) -> Result<Vec<u64>, KeepError> {
        let (Some(&(first, _)), Some(&(last, _))) = (frames.first(), frames.last()) else {
            return Ok(Vec::new());
        };
        self.scratch.clear();
        for (sequence, frame) in frames {
            if *sequence < self.next || !record::write(&mut self.scratch, *sequence, frame) {
                let what = format!("frame {sequence} of {} bytes does not fit in", frame.len());
                return Err(KeepError::Damaged(what));
            }
        }
        self.tidy();
        self.make_room(self.scratch.len() as u64)?;
        self.append(first, last, frames.len() as u64)?;
        self.next = last + 1;
        Ok(std::mem::take(&mut self.dropped))
    }

    fn next_after(&mut self, sequence: Option<u64>) -> Result<Option<(u64, Bytes)>, KeepError> {
        self.read_after(sequence).map_err(|why| disk("reading", why))
    }

    fn free(&mut self, sequence: u64) -> Result<(), KeepError> {
        if self.settle(sequence) {
            self.tidy();
        }
        Ok(())
    }

    fn frames(&self) -> usize {
        let waiting: u64 = self.segments.iter().map(|s| s.waiting).sum();
        usize::try_from(waiting).unwrap_or(usize::MAX)
    }

    fn bytes(&self) -> u64 {
        self.used_bytes()
    }

    fn flush(&mut self) -> Result<(), KeepError> {
        if self.unwritten_answers {
            self.write_cursor()?;
        }
        Ok(())
    }
}

fn segment_name(boot: u64, number: u64) -> String {
    format!("{SEGMENT_PREFIX}-{boot:016x}-{number:016x}")
}

fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (boot, number) = name.strip_prefix(SEGMENT_PREFIX)?.strip_prefix('-')?.split_once('-')?;
    let boot = u64::from_str_radix(boot, 16).ok()?;
    let number = u64::from_str_radix(number, 16).ok()?;
    // Only names that we would write ourselves.
    (segment_name(boot, number) == name).then_some((boot, number))
}

fn disk(file: &str, why: io::Error) -> KeepError {
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => KeepError::DiskFull(why),
        _ => KeepError::Disk {
            file: file.to_owned(),
            why,
        },
    }
}
