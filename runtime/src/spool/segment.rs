//! Reading a segment record by record, over whatever damage is in it.
//!
//! Owns: one reading position. Must not know: which frames are freed.

use std::io;

use bytes::Bytes;

use super::record::{self, HEADER_BYTES, Header};
use crate::storage::Storage;

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads one segment from front to back.
#[derive(Debug)]
pub(super) struct SegmentReader {
    name: String,
    /// Where `buffer` begins in the file.
    start: u64,
    buffer: Vec<u8>,
    /// The next byte to look at, within `buffer`.
    at: usize,
    /// Bytes that were skipped as damaged, up to now.
    pub(super) damaged_bytes: u64,
}

/// A good record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) frame: Bytes,
}

impl SegmentReader {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            start: 0,
            buffer: Vec::new(),
            at: 0,
            damaged_bytes: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the next record begins.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The next good record that ends within the first `limit` bytes of the file; none when there is no more.
    ///
    /// Damaged bytes are skipped up to the next magic. Bytes at the end that hold no good record are not passed: the
    /// offset stays behind the last good record.
    pub(super) fn next(&mut self, storage: &dyn Storage, limit: u64) -> io::Result<Option<Record>> {
        let begin = self.offset();
        let damaged = self.damaged_bytes;
        loop {
            if !self.fill(storage, HEADER_BYTES, limit)? {
                break;
            }
            if let Some(record) = self.here(storage, limit)? {
                return Ok(Some(record));
            }
            let skip = match record::next_magic(self.rest()) {
                Ok(skip) | Err(skip) => skip,
            };
            self.at += skip;
            self.damaged_bytes += skip as u64;
        }
        self.seek(begin);
        self.damaged_bytes = damaged;
        Ok(None)
    }

    /// The record that begins here, where one does.
    fn here(&mut self, storage: &dyn Storage, limit: u64) -> io::Result<Option<Record>> {
        let Some(header) = self.rest().first_chunk().and_then(Header::read) else {
            return Ok(None);
        };
        if !self.fill(storage, HEADER_BYTES + header.frame_bytes, limit)? {
            return Ok(None);
        }
        let frame = self.rest().get(HEADER_BYTES..HEADER_BYTES + header.frame_bytes);
        let Some(frame) = frame.filter(|frame| header.fits(frame)) else {
            return Ok(None);
        };
        let frame = Bytes::copy_from_slice(frame);
        self.at += HEADER_BYTES + header.frame_bytes;
        Ok(Some(Record {
            sequence: header.sequence,
            frame,
        }))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Goes on at this offset.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.seek(offset);
    }

    fn seek(&mut self, offset: u64) {
        self.start = offset;
        self.buffer.clear();
        self.at = 0;
    }

    /// Makes at least `wanted` bytes from here available; false where the file has fewer within `limit`.
    fn fill(&mut self, storage: &dyn Storage, wanted: usize, limit: u64) -> io::Result<bool> {
        if self.offset().saturating_add(wanted as u64) > limit {
            return Ok(false);
        }
        if self.rest().len() >= wanted {
            return Ok(true);
        }
        self.start = self.offset();
        self.buffer.drain(..self.at.min(self.buffer.len()));
        self.at = 0;
        let have = self.buffer.len();
        let from = self.start + have as u64;
        let more = usize::try_from(limit.saturating_sub(from)).unwrap_or(usize::MAX);
        let target = have + (wanted - have).max(CHUNK_BYTES).min(more);
        self.buffer.resize(target, 0);
        let target = self.buffer.get_mut(have..).unwrap_or_default();
        let read = storage.read(&self.name, from, target)?;
        self.buffer.truncate(have + read);
        Ok(self.rest().len() >= wanted)
    }
}
