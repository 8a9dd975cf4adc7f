//! The packer `rans`: a plane of bytes, coded with frequencies of its own or stored.

#![allow(
    clippy::indexing_slicing,
    reason = "a byte indexes 256 entries, a slot is taken modulo their number"
)]

use alloc::vec;
use alloc::vec::Vec;

use super::rans::{Decoder, Encoder, Symbol};
use crate::error::WireError;

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
            // All bytes have one model: units take no memory.
            let models = vec![(); plane.len()];
            decoder.take_run(0, BYTE_SCALE, &models, plane, |(), slot| {
                slots[slot as usize % SLOTS].parts()
            });
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
