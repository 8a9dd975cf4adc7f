//! An interleaved range coder in the form of asymmetric numeral systems, and the packer that uses it on bytes.
//!
//! Source: J. Duda, "Asymmetric numeral systems", arXiv:1311.2540 (the range variant); the division by a frequency is a
//! multiplication by its reciprocal as in F. Giesen's public-domain ryg_rans. Four states take turns, symbol by symbol, so
//! that a core can work on four at once. States lie in 2¹⁵ … 2³¹ − 1 and are refilled 16 bits at a time.
//!
//! `constriction` covers the same ground; its models are per symbol and generic over the word, which costs three to four
//! times the time here, and ours fits a page.

#![allow(
    clippy::indexing_slicing,
    reason = "a byte indexes 256 entries, a slot is taken modulo their number"
)]

use alloc::vec::Vec;

use crate::error::WireError;

/// States that take turns.
pub(super) const STATES: usize = 4;
/// Lower bound of a state; also its first and last value, which the decoder checks.
pub(super) const LOWEST: u32 = 1 << 15;
/// Bytes of the states before the words.
pub(super) const STATE_BYTES: usize = STATES * 4;

/// A symbol's share of 2^scale, ready for encoding. `frequency` is 1 … 2^scale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    most: u32,
    reciprocal: u32,
    bias: u32,
    complement: u32,
    shift: u32,
}

impl Symbol {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a reciprocal is below 2^32, since frequency > 2^(log - 1)"
    )]
    pub(super) const fn new(start: u32, frequency: u32, scale: u32) -> Self {
        let total = 1_u32 << scale;
        let (reciprocal, shift, bias) = if frequency < 2 {
            (u32::MAX, 0, start + total - 1)
        } else {
            let log = u32::BITS - (frequency - 1).leading_zeros();
            let rounded_up = (1_u64 << (log + 31)).div_ceil(frequency as u64);
            (rounded_up as u32, log - 1, start)
        };
        Self {
            most: frequency << (31 - scale),
            reciprocal,
            bias,
            complement: total - frequency,
            shift,
        }
    }
}

/// Encodes from the last symbol to the first.
pub(super) struct Encoder<'a> {
    states: [u32; STATES],
    words: &'a mut Vec<u16>,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(words: &'a mut Vec<u16>) -> Self {
        words.clear();
        Self {
            states: [LOWEST; STATES],
            words,
        }
    }

    /// Takes the symbol at `index` of the sequence.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the low half leaves, the quotient fits a state"
    )]
    pub(super) fn put(&mut self, index: usize, symbol: &Symbol) {
        let [s0, s1, s2, s3] = &mut self.states;
        let state = match index % STATES {
            0 => s0,
            1 => s1,
            2 => s2,
            _ => s3,
        };
        let mut x = *state;
        if x >= symbol.most {
            self.words.push(x as u16);
            x >>= 16;
        }
        let quotient = ((u64::from(x) * u64::from(symbol.reciprocal)) >> 32) as u32 >> symbol.shift;
        *state = x
            .wrapping_add(symbol.bias)
            .wrapping_add(quotient.wrapping_mul(symbol.complement));
    }

    /// Appends the number of words (u32), the states and the words to `out`.
    pub(super) fn finish(self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let count = u32::try_from(self.words.len()).map_err(|_| WireError::OverLimit("tensor bytes"))?;
        out.extend_from_slice(&count.to_le_bytes());
        out.extend(self.states.iter().flat_map(|state| state.to_le_bytes()));
        out.extend(self.words.iter().rev().flat_map(|word| word.to_le_bytes()));
        Ok(())
    }
}

/// Decodes from the first symbol to the last.
pub(super) struct Decoder<'a> {
    states: [u32; STATES],
    words: core::slice::Iter<'a, [u8; 2]>,
    ran_out: bool,
}

impl<'a> Decoder<'a> {
    /// Reads the states; gives the decoder and what lies behind its words.
    pub(super) fn new(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), WireError> {
        const SHORT: WireError = WireError::BadCodec("a range coder's payload is cut short");
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or(SHORT)?;
        let (states, rest) = rest.split_first_chunk::<STATE_BYTES>().ok_or(SHORT)?;
        let count = usize::try_from(u32::from_le_bytes(*count)).map_err(|_| SHORT)?;
        let (words, rest) = rest.split_at_checked(count.checked_mul(2).ok_or(SHORT)?).ok_or(SHORT)?;
        let mut read = [0_u32; STATES];
        for (state, bytes) in read.iter_mut().zip(states.as_chunks::<4>().0) {
            *state = u32::from_le_bytes(*bytes);
            if !(LOWEST..LOWEST << 16).contains(state) {
                return Err(WireError::BadCodec("a range coder's state is out of range"));
            }
        }
        let decoder = Self {
            states: read,
            words: words.as_chunks::<2>().0.iter(),
            ran_out: false,
        };
        Ok((decoder, rest))
    }

    /// Decodes the symbol at `index`: `find` gives the symbol, start and frequency for a slot below 2^scale.
    #[inline]
    pub(super) fn take<T>(&mut self, index: usize, scale: u32, find: impl FnOnce(u32) -> (T, u32, u32)) -> T {
        let [s0, s1, s2, s3] = &mut self.states;
        let state = match index % STATES {
            0 => s0,
            1 => s1,
            2 => s2,
            _ => s3,
        };
        let slot = *state & ((1 << scale) - 1);
        let (symbol, start, frequency) = find(slot);
        let mut x = frequency
            .wrapping_mul(*state >> scale)
            .wrapping_add(slot)
            .wrapping_sub(start);
        if x < LOWEST {
            let word = self.words.next();
            self.ran_out |= word.is_none();
            x = x << 16 | word.map_or(0, |word| u32::from(u16::from_le_bytes(*word)));
        }
        *state = x;
        symbol
    }

    /// Checks that all was used and the states are back where the encoder began.
    pub(super) fn finish(self) -> Result<(), WireError> {
        if self.ran_out || self.words.len() != 0 || self.states != [LOWEST; STATES] {
            return Err(WireError::BadCodec(
                "a range coder's payload does not end where it should",
            ));
        }
        Ok(())
    }
}

/// Bits of the frequencies of bytes.
const BYTE_SCALE: u32 = 12;
const SLOTS: usize = 1 << BYTE_SCALE;
const STORED: u8 = 0;
const CODED: u8 = 1;

/// Appends a plane of bytes: coded with its own frequencies, or stored where that is not longer.
pub(super) fn pack(plane: &[u8], words: &mut Vec<u16>, out: &mut Vec<u8>) -> Result<(), WireError> {
    let before = out.len();
    out.push(CODED);
    let frequencies = frequencies(plane);
    write_frequencies(&frequencies, out);
    let mut start = 0;
    let symbols = frequencies.map(|frequency| {
        let symbol = Symbol::new(start, frequency.max(1), BYTE_SCALE);
        start += frequency;
        symbol
    });
    let mut encoder = Encoder::new(words);
    for (index, byte) in plane.iter().enumerate().rev() {
        // Every byte of the plane has a frequency.
        if let Some(symbol) = symbols.get(usize::from(*byte)) {
            encoder.put(index, symbol);
        }
    }
    encoder.finish(out)?;
    if out.len().saturating_sub(before) > plane.len() {
        out.truncate(before);
        out.push(STORED);
        out.extend_from_slice(plane);
    }
    Ok(())
}

/// Fills a plane; gives what lies behind it.
pub(super) fn unpack<'a>(payload: &'a [u8], plane: &mut [u8]) -> Result<&'a [u8], WireError> {
    let (mode, rest) = payload.split_first().ok_or(WireError::BadCodec("a plane is missing"))?;
    match *mode {
        STORED => {
            let (stored, rest) = rest
                .split_at_checked(plane.len())
                .ok_or(WireError::BadCodec("a stored plane is cut short"))?;
            plane.copy_from_slice(stored);
            Ok(rest)
        }
        CODED => {
            let (slots, rest) = read_slots(rest)?;
            let (mut decoder, rest) = Decoder::new(rest)?;
            for (index, byte) in plane.iter_mut().enumerate() {
                *byte = decoder.take(index, BYTE_SCALE, |slot| slots[slot as usize % SLOTS].parts());
            }
            decoder.finish()?;
            Ok(rest)
        }
        _ => Err(WireError::BadCodec("a plane that is neither stored nor coded")),
    }
}

/// Frequencies that add up to 2^12, at least 1 for every byte that is there. Rounding takes from the most frequent.
fn frequencies(plane: &[u8]) -> [u32; 256] {
    let mut counts = [[0_u32; 256]; 4];
    for four in plane.chunks(4) {
        for (counts, byte) in counts.iter_mut().zip(four) {
            counts[usize::from(*byte)] += 1;
        }
    }
    let [mut sum, rest @ ..] = counts;
    for counts in rest {
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let total = u64::try_from(plane.len().max(1)).unwrap_or(u64::MAX);
    let present = u64::try_from(sum.iter().filter(|count| **count > 0).count()).unwrap_or(256);
    // One slot each, the others in proportion, rounded down: the sum is never over.
    let spread = (1_u64 << BYTE_SCALE) - present;
    let mut left = 1_u32 << BYTE_SCALE;
    let mut largest = 0;
    let mut shares = [0_u32; 256];
    for (i, (share, count)) in shares.iter_mut().zip(sum).enumerate() {
        if count > 0 {
            *share = 1 + u32::try_from(u64::from(count) * spread / total).unwrap_or(0);
            left = left.saturating_sub(*share);
            if count > sum[largest] {
                largest = i;
            }
        }
    }
    shares[largest] += left;
    shares
}

/// The number of bytes that are there less one, then for each the distance from the one before and its frequency less one
/// as a varint of one or two bytes.
fn write_frequencies(frequencies: &[u32; 256], out: &mut Vec<u8>) {
    let at = out.len();
    out.push(0);
    let mut count = 0_u8;
    let mut next = 0_u8;
    for (byte, frequency) in (0..=u8::MAX).zip(frequencies).filter(|(_, f)| **f > 0) {
        out.push(byte.wrapping_sub(next));
        next = byte.wrapping_add(1);
        let [low, high, ..] = (frequency - 1).to_le_bytes();
        if frequency - 1 < 0x80 {
            out.push(low);
        } else {
            out.extend([low | 0x80, high << 1 | low >> 7]);
        }
        count = count.wrapping_add(1);
    }
    if let Some(place) = out.get_mut(at) {
        *place = count.wrapping_sub(1);
    }
}

/// What a slot decodes to, in one word: 8 bits of byte, 12 of start, 12 of frequency less one.
#[derive(Debug, Clone, Copy, Default)]
struct Slot(u32);

impl Slot {
    fn new(byte: u8, start: usize, frequency: usize) -> Option<Self> {
        let start = u32::try_from(start).ok().filter(|start| *start >> BYTE_SCALE == 0)?;
        let less_one = u32::try_from(frequency.checked_sub(1)?)
            .ok()
            .filter(|less| *less >> BYTE_SCALE == 0)?;
        Some(Self(u32::from(byte) | start << 8 | less_one << 20))
    }

    fn parts(self) -> (u8, u32, u32) {
        let [byte, ..] = self.0.to_le_bytes();
        (byte, self.0 >> 8 & 0xFFF, (self.0 >> 20) + 1)
    }
}

fn read_slots(payload: &[u8]) -> Result<([Slot; SLOTS], &[u8]), WireError> {
    const BAD: WireError = WireError::BadCodec("the frequencies of a plane do not add up");
    let (count, mut rest) = payload.split_first().ok_or(BAD)?;
    let mut slots = [Slot::default(); SLOTS];
    let mut start = 0_usize;
    let mut next = 0_usize;
    for _ in 0..=*count {
        let (gap, low, after) = match rest {
            [gap, low, after @ ..] => (*gap, *low, after),
            _ => return Err(BAD),
        };
        let byte = next + usize::from(gap);
        next = byte + 1;
        let byte = u8::try_from(byte).map_err(|_| BAD)?;
        let mut frequency = usize::from(low & 0x7F) + 1;
        rest = after;
        if low & 0x80 != 0 {
            let (high, after) = rest.split_first().ok_or(BAD)?;
            frequency += usize::from(*high) << 7;
            rest = after;
        }
        let end = start + frequency;
        let slot = Slot::new(byte, start, frequency).ok_or(BAD)?;
        slots.get_mut(start..end).ok_or(BAD)?.fill(slot);
        start = end;
    }
    if start != SLOTS {
        return Err(BAD);
    }
    Ok((slots, rest))
}
