//! Levels of one uniform quantiser: `dct` with a table of one state.

use alloc::vec::Vec;

use super::bits::{BitReader, BitWriter, put_gamma, take_gamma};
use super::blocks::{Plan, Steps};
use super::laplace::{Class, ESCAPE, SCALE};
use super::rans::{Decoder, Encoder};
use super::table::{MAX_BLOCK, MAX_LEVEL};
use super::transform::{Block, LANES, inverse};
use crate::error::WireError;

impl Plan<'_> {
    /// Levels in coding order; what is not part of their tokens goes to `plain`.
    pub(super) fn to_levels(&self, elements: &[[u8; 4]], levels: &mut Vec<i32>, plain: &mut Vec<u8>) {
        levels.clear();
        levels.reserve(elements.len());
        let per_step: Steps = self.steps.iter().map(|step| step.recip()).collect();
        let mut bits = BitWriter::new(plain);
        self.transformed(elements, |group, _, block| {
            let before = levels.len();
            for (lanes, per_step) in block.iter().zip(&per_step) {
                let quantised = self.quantise(lanes, *per_step);
                levels.extend(quantised.iter().take(group.lanes));
            }
            let coded = levels.get(before..).unwrap_or_default();
            for (level, class) in coded.iter().zip(&group.classes) {
                self.put_plain(*level, *class, &mut bits);
            }
        });
        bits.finish();
    }

    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "a magnitude is at most 2^20"
    )]
    fn quantise(&self, lanes: &[f32; LANES], per_step: f32) -> [i32; LANES] {
        let most = self.table.max_level.min(MAX_LEVEL) as f32;
        let lowest = if self.table.signed { -most } else { 0.0 };
        let mut levels = [0; LANES];
        for (level, x) in levels.iter_mut().zip(lanes) {
            let x = (x * per_step).max(lowest);
            let magnitude = (x.abs() + self.table.rounding).min(most) as i32;
            *level = if x < 0.0 { -magnitude } else { magnitude };
        }
        levels
    }

    /// For magnitudes above the tokens: what is above, as an Elias gamma code; then the class's low bits; then the sign.
    #[inline]
    fn put_plain(&self, level: i32, class: Class, bits: &mut BitWriter<'_>) {
        let magnitude = level.unsigned_abs();
        let low = u32::from(class.plain_bits);
        if magnitude == 0 && low == 0 {
            return;
        }
        let token = magnitude >> low;
        if token >= ESCAPE {
            put_gamma(bits, token - ESCAPE + 1);
        }
        // The sign goes above the low bits, in one piece with them: at most 20 bits.
        let has_sign = u32::from(magnitude != 0 && self.table.signed);
        let sign = u32::from(level < 0) & has_sign;
        bits.put((magnitude & ((1 << low) - 1)) | (sign << low), low + has_sign);
    }

    /// The inverse of [`Plan::put_plain`].
    #[inline]
    fn take_plain(&self, token: u32, class: Class, bits: &mut BitReader<'_>) -> Option<i32> {
        let low = u32::from(class.plain_bits);
        let mut magnitude = token;
        if token >= ESCAPE {
            magnitude += take_gamma(bits, MAX_LEVEL.ilog2())? - 1;
        }
        if magnitude > self.table.max_level >> low {
            return None;
        }
        // Where the token is not 0 there is a sign, and it comes in one piece with the low bits.
        let signed = u32::from(self.table.signed);
        let at_once = if token == 0 { 0 } else { signed };
        let piece = bits.take(low + at_once)?;
        magnitude = magnitude << low | (piece & ((1 << low) - 1));
        if magnitude > self.table.max_level {
            return None;
        }
        let level = i32::try_from(magnitude).ok()?;
        let negative = match token {
            0 => magnitude != 0 && self.table.signed && bits.take(1)? == 1,
            _ => piece >> low == 1,
        };
        Some(if negative { -level } else { level })
    }

    pub(super) fn encode_tokens(
        &self,
        levels: &[i32],
        mut encoder: Encoder<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let mut rest = levels;
        for group in self.groups().rev() {
            let block = group.classes.len();
            let coded = block.saturating_mul(self.blocks_of_plane());
            let (before, of_group) = rest
                .split_at_checked(rest.len().saturating_sub(coded))
                .unwrap_or_default();
            rest = before;
            let mut index = rest.len() + of_group.len();
            for levels in of_group.chunks_exact(block.max(1)).rev() {
                for (level, class) in levels.iter().zip(&group.classes).rev() {
                    index -= 1;
                    let token = (level.unsigned_abs() >> class.plain_bits).min(ESCAPE);
                    encoder.put(index, class.symbol(token));
                }
            }
        }
        encoder.finish(out)
    }

    pub(super) fn decode_uniform(&self, payload: &[u8], elements: &mut [[u8; 4]]) -> Result<(), WireError> {
        const BAD_LEVEL: WireError = WireError::BadCodec("a level is cut short or out of range");
        let (rows, columns) = self.sides();
        let (mut decoder, plain) = Decoder::new(payload)?;
        let mut bits = BitReader::new(plain);
        let mut block: Block = [[0.0; LANES]; MAX_BLOCK * MAX_BLOCK];
        let mut tokens = [0_u8; LANES * MAX_BLOCK * MAX_BLOCK];
        let mut index = 0;
        for group in self.groups() {
            for block_index in 0..self.blocks_of_plane() {
                // Tokens first: what a level does with its plain bits would hold up the coder's states.
                decoder.take_run(index, SCALE, &group.classes, &mut tokens, Class::find);
                index += group.classes.len();
                let mut coded = tokens.iter().zip(&group.classes);
                for (place, step) in block.iter_mut().zip(&self.steps) {
                    for (value, (token, class)) in place.iter_mut().take(group.lanes).zip(coded.by_ref()) {
                        *value = 0.0;
                        if *token != 0 || class.plain_bits != 0 {
                            let level = self.take_plain(u32::from(*token), *class, &mut bits).ok_or(BAD_LEVEL)?;
                            *value = self.element(level, *step);
                        }
                    }
                }
                inverse(&mut block, rows, columns);
                self.store(elements, self.block_start(&group, block_index), &group, &block);
            }
        }
        decoder.finish()?;
        bits.finish()
    }

    #[inline]
    fn element(&self, level: i32, step: f32) -> f32 {
        if level == 0 {
            return 0.0;
        }
        let shift = if level < 0 { -self.table.shift } else { self.table.shift };
        // Levels are below 2^20: exact in a 32-bit float.
        (level as f32 + shift) * step
    }
}
