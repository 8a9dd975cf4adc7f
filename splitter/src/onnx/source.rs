//! Where a model's bytes are: a file that is read by ranges, or memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

/// Bytes that are read by range and never all at once.
#[derive(Debug)]
pub enum Source {
    /// A regular file.
    File {
        /// Open for reading.
        file: File,
        /// Its length when it was opened.
        len: u64,
    },
    /// Bytes at hand.
    Memory(Bytes),
}

/// A range of one of a model's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 0 is the model's own file, others are its external data.
    pub source: usize,
    /// Bytes from the file's start.
    pub bytes: Range<u64>,
}

impl Span {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.bytes.end.saturating_sub(self.bytes.start)
    }

    /// True where it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Source {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// True where it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills a buffer from an offset.
    ///
    /// # Errors
    /// When the file cannot be read or ends before the buffer is full.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.read_exact_at(buffer, offset),
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(buffer.len());
                let from = bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(from);
                Ok(())
            }
        }
    }
}

/// Reads forward through a source with one small buffer; what is skipped is not read.
pub(super) struct Window<'a> {
    source: &'a Source,
    buffer: Vec<u8>,
    start: u64,
}

const WINDOW_BYTES: u64 = 64 * 1024;

impl<'a> Window<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// At least one byte from an offset, as many as the window holds; none at the end.
    pub(super) fn at(&mut self, offset: u64) -> io::Result<&[u8]> {
        let end = self.start + self.buffer.len() as u64;
        if offset < self.start || offset >= end {
            let want = WINDOW_BYTES.min(self.source.len().saturating_sub(offset));
            self.buffer.resize(usize::try_from(want).unwrap_or(0), 0);
            self.start = offset;
            self.source.read_exact_at(&mut self.buffer, offset)?;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.buffer.get(from..).unwrap_or(&[]))
    }

    /// Appends a range to `out`.
    pub(super) fn copy(&mut self, range: Range<u64>, out: &mut Vec<u8>) -> io::Result<()> {
        let mut offset = range.start;
        while offset < range.end {
            let left = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            let bytes = self.at(offset)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = bytes.len().min(left);
            out.extend_from_slice(&bytes[..take]);
            offset += take as u64;
        }
        Ok(())
    }
}
