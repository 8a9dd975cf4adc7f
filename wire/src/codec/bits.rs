//! Bits one after the other, the first in the lowest bit of the first byte.

use alloc::vec::Vec;

use crate::error::WireError;

/// Appends bits to a vector of bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, held: 0, count: 0 }
    }

    /// Appends the low `count` bits, at most 32; those above must be zero.
    #[inline]
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.held |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            #[allow(clippy::cast_possible_truncation, reason = "the low half leaves")]
            self.out.extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= 32;
            self.count -= 32;
        }
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(self) {
        let bytes = self.held.to_le_bytes();
        let used = usize::try_from(self.count.div_ceil(8)).unwrap_or(0);
        self.out.extend(bytes.iter().take(used));
    }
}

/// Takes bits off a slice.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    held: u64,
    count: u32,
    /// Bits past the end were taken.
    is_short: bool,
}

/// An Elias gamma code of a number above 0: rare, so it stands out of the way of what is not.
#[cold]
#[inline(never)]
pub(super) fn put_gamma(bits: &mut BitWriter<'_>, number: u32) {
    let length = number.ilog2();
    bits.put(0, length);
    // The leading one ends the zeros; the bits below it follow.
    bits.put(1, 1);
    bits.put(number & ((1 << length) - 1), length);
}

/// The inverse of [`put_gamma`], for numbers below 2^`most`.
#[cold]
#[inline(never)]
pub(super) fn take_gamma(bits: &mut BitReader<'_>, most: u32) -> Option<u32> {
    let mut length = 0;
    while bits.take(1)? == 0 {
        length += 1;
        if length > most {
            return None;
        }
    }
    Some((1 << length) + bits.take(length)?)
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            held: 0,
            count: 0,
            is_short: false,
        }
    }

    /// The next `count` bits, at most 32; none past the end.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        if self.count < count {
            self.refill();
        }
        self.count = self.count.checked_sub(count)?;
        let mask = (1_u64 << count) - 1;
        #[allow(clippy::cast_possible_truncation, reason = "masked to 32 bits")]
        let bits = (self.held & mask) as u32;
        self.held >>= count;
        Some(bits)
    }

    /// The next 32 bits, zeros past the end.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low half is asked for")]
    pub(super) fn peek(&mut self) -> u32 {
        if self.count < 32 {
            self.refill();
        }
        self.held as u32
    }

    /// Goes past `count` of the bits that were just peeked at. Past the end, [`BitReader::finish`] refuses.
    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        self.is_short |= count > self.count;
        self.held >>= count;
        self.count = self.count.saturating_sub(count);
    }

    fn refill(&mut self) {
        if let Some((four, rest)) = self.bytes.split_first_chunk::<4>() {
            self.held |= u64::from(u32::from_le_bytes(*four)) << self.count;
            self.count += 32;
            self.bytes = rest;
            return;
        }
        while let Some((byte, rest)) = self.bytes.split_first() {
            self.held |= u64::from(*byte) << self.count;
            self.count += 8;
            self.bytes = rest;
        }
    }

    /// Checks that only the padding of the last byte is left, and that it is zero.
    pub(super) fn finish(self) -> Result<(), WireError> {
        if self.is_short {
            Err(WireError::BadCodec("a level is cut short"))
        } else if self.bytes.is_empty() && self.count < 8 && self.held == 0 {
            Ok(())
        } else {
            Err(WireError::BadCodec("bits behind the last level"))
        }
    }
}
