//! An interleaved range coder in the form of asymmetric numeral systems.
//!
//! Source: J. Duda, "Asymmetric numeral systems", arXiv:1311.2540 (the range variant); the division by a frequency is a
//! multiplication by its reciprocal as in F. Giesen's public-domain ryg_rans. Four states take turns, symbol by symbol, so
//! that a core can work on four at once. States lie in 2¹⁵ … 2³¹ − 1 and are refilled 16 bits at a time.
//!
//! `constriction` covers the same ground; its models are per symbol and generic over the word, which costs three to four
//! times the time here, and ours fits a page.

use alloc::vec::Vec;

use crate::error::WireError;

/// States that take turns.
pub(super) const STATES: usize = 4;
/// Lower bound of a state; also its first and last value, which the decoder checks.
pub(super) const LOWEST: u32 = 1 << 15;
/// Bytes of the states before the words.
pub(super) const STATE_BYTES: usize = STATES * 4;

/// A symbol's share of 2^scale, ready for encoding. `frequency` is 1 … 2^scale, scale at most 15.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    reciprocal: u32,
    bias: u16,
    frequency: u16,
    shift: u8,
    scale: u8,
}

impl Symbol {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a reciprocal is below 2^32, since frequency > 2^(log - 1); a share below 2^16"
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
            reciprocal,
            bias: bias as u16,
            frequency: frequency as u16,
            shift: shift as u8,
            scale: scale as u8,
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
        let (frequency, scale) = (u32::from(symbol.frequency), u32::from(symbol.scale));
        if x >= frequency << (31 - scale) {
            self.words.push(x as u16);
            x >>= 16;
        }
        let quotient = ((u64::from(x) * u64::from(symbol.reciprocal)) >> 32) as u32 >> symbol.shift;
        *state = x
            .wrapping_add(u32::from(symbol.bias))
            .wrapping_add(quotient.wrapping_mul((1 << scale) - frequency));
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
    words: &'a [[u8; 2]],
    /// Words taken; more than there are where the payload ran out.
    taken: usize,
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
            words: words.as_chunks::<2>().0,
            taken: 0,
        };
        Ok((decoder, rest))
    }

    /// Decodes a symbol a model into `out`, the first being that at `index` of the sequence: `find` gives the symbol, start
    /// and frequency for a model and a slot below 2^scale. A run at once lets the core work on four states side by side.
    #[inline]
    pub(super) fn take_run<M: Copy, T>(
        &mut self,
        index: usize,
        scale: u32,
        models: &[M],
        out: &mut [T],
        find: impl Fn(M, u32) -> (T, u32, u32),
    ) {
        let turn = index % STATES;
        if turn != 0 {
            self.states.rotate_left(turn);
        }
        let mut states = self.states;
        let (fours, rest) = models.as_chunks::<STATES>();
        let (outs, out_rest) = out.split_at_mut(out.len().min(fours.len() * STATES));
        for (models, out) in fours.iter().zip(outs.as_chunks_mut::<STATES>().0) {
            for ((state, model), out) in states.iter_mut().zip(models).zip(out) {
                *out = self.advance(state, scale, |slot| find(*model, slot));
            }
        }
        for ((state, model), out) in states.iter_mut().zip(rest).zip(out_rest) {
            *out = self.advance(state, scale, |slot| find(*model, slot));
        }
        self.states = states;
        if turn != 0 {
            self.states.rotate_right(turn);
        }
    }

    /// One symbol off one state.
    #[inline]
    fn advance<T>(&mut self, state: &mut u32, scale: u32, find: impl FnOnce(u32) -> (T, u32, u32)) -> T {
        let slot = *state & ((1 << scale) - 1);
        let (symbol, start, frequency) = find(slot);
        let x = frequency
            .wrapping_mul(*state >> scale)
            .wrapping_add(slot)
            .wrapping_sub(start);
        // Whether a word is needed is chance: looked at in any case, it costs no wrong guess of the core.
        let word = self
            .words
            .get(self.taken)
            .map_or(0, |word| u32::from(u16::from_le_bytes(*word)));
        let is_low = x < LOWEST;
        self.taken += usize::from(is_low);
        *state = if is_low { x << 16 | word } else { x };
        symbol
    }

    /// Checks that all was used and the states are back where the encoder began.
    pub(super) fn finish(self) -> Result<(), WireError> {
        if self.taken != self.words.len() || self.states != [LOWEST; STATES] {
            return Err(WireError::BadCodec(
                "a range coder's payload does not end where it should",
            ));
        }
        Ok(())
    }
}
