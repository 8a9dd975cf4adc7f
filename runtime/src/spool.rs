//! The spool: accepted frames on the disk until their receipts come.
//!
//! Owns: segments, recovery, the receipt cursor, the bound and what happens at it. Must not know: what a frame holds, who
//! sends it. Start at [`Spool::open`], then [`Keep::accept`]; [`recovery`], [`writing`] and [`reading`] do their parts.
//!
//! Append-only segments, each record with a magic and a checksum ([`record`]); one `fdatasync` a group, and "accepted"
//! means after it. Why not an embedded database: a flipped bit must cost one record at most, found again by its magic;
//! a page-structured file cannot promise that.
//!
//! Sequences never come twice, whatever is lost: segments are numbered in their names, each opening begins at 2³² × the
//! next number, and the newest segment is removed only with the last; where none is found the boot number is drawn anew.

mod cursor;
mod reading;
mod record;
mod recovery;
mod segment;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::broker::backoff::random;
use crate::ranges::Ranges;
use crate::stage::keep::{Keep, KeepError, WhenFull};
use crate::storage::{DiskStorage, Storage};
use reading::Position;

/// The cursor is written no more often; what it misses is sent again after a restart.
const CURSOR_EVERY: Duration = Duration::from_secs(2);
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

    fn used_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
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
