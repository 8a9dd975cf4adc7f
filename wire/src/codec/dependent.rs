//! Levels of two quantisers that take turns: `dct` with a table of four states.
//!
//! A level's quantiser is that of two levels before in the same channel of the same group, exchanged where the level before is odd.

#![allow(
    clippy::indexing_slicing,
    reason = "arrays of eight lanes, indexed below eight, are what a compiler turns into vectors"
)]

use alloc::vec::Vec;

use super::bits::{BitReader, BitWriter, put_gamma, take_gamma};
use super::blocks::{Plan, Steps};
use super::laplace::{Class, SCALE};
use super::pairs::{FIRST_ESCAPE, PAIRS, symbol, symbol_index, table_of, token_at};
use super::rans::{Decoder, Encoder};
use super::table::{MAX_BLOCK, MAX_LEVEL};
use super::transform::{Block, LANES, Lanes, inverse};
use super::trellis::Search;
use crate::error::WireError;

/// Which quantiser is next in each lane.
#[derive(Clone, Copy, Default)]
struct Turns {
    /// 0 or 1: that of the next level.
    now: [u8; LANES],
    /// That of the level before, which is that of the one after the next where the next is even.
    before: [u8; LANES],
}

impl Turns {
    /// Goes on by one level a lane; only the lowest bit of each counts.
    #[inline]
    fn after(&mut self, levels: [u8; LANES]) {
        for ((now, before), level) in self.now.iter_mut().zip(&mut self.before).zip(levels) {
            let next = *before ^ (level & 1);
            *before = *now;
            *now = next;
        }
    }

    /// As the search numbers them.
    fn states(&self) -> [u8; LANES] {
        let mut states = [0; LANES];
        for (state, (now, before)) in states.iter_mut().zip(self.now.iter().zip(&self.before)) {
            *state = now << 1 | before;
        }
        states
    }
}

impl Plan<'_> {
    /// Symbols in coding order; what is not part of them goes to `plain`.
    pub(super) fn to_symbols(&self, elements: &[[u8; 4]], symbols: &mut Vec<u16>, plain: &mut Vec<u8>) {
        symbols.clear();
        symbols.reserve(elements.len());
        let per_step: Steps = self.steps.iter().map(|step| step.recip()).collect();
        let mut bits = BitWriter::new(plain);
        let mut search = Search::new(
            self.table.lambda,
            self.table.signed,
            self.table.max_level.min(MAX_LEVEL),
        );
        let mut turns = Turns::default();
        self.transformed(elements, |group, index, block| {
            if index == 0 {
                turns = Turns::default();
            }
            search.levels(block, &per_step, &group.classes, group.lanes, turns.states());
            for (levels, classes) in block.iter().zip(group.classes.chunks_exact(group.lanes.max(1))) {
                let coded = self.put_row(levels, classes, &mut turns, &mut bits);
                symbols.extend_from_slice(coded.get(..group.lanes).unwrap_or_default());
            }
        });
        bits.finish();
    }

    /// The symbols of a row; its plain bits go to `bits`.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a magnitude is at most 2^20, its lowest bit one"
    )]
    fn put_row(&self, levels: &Lanes, classes: &[Class], turns: &mut Turns, bits: &mut BitWriter<'_>) -> [u16; LANES] {
        let signed = u32::from(self.table.signed);
        let (mut symbols, mut odd) = ([0; LANES], [0; LANES]);
        for (lane, class) in classes.iter().enumerate().take(LANES) {
            let magnitude = levels[lane].abs() as u32;
            let low = u32::from(class.plain_bits);
            let pair = magnitude >> 1 >> low;
            if pair >= PAIRS {
                put_gamma(bits, pair - PAIRS + 1);
            }
            let has_sign = u32::from(magnitude != 0) & signed;
            let sign = u32::from(levels[lane] < 0.0) & has_sign;
            bits.put((magnitude >> 1 & ((1 << low) - 1)) | sign << low, low + has_sign);
            odd[lane] = (magnitude & 1) as u8;
            let token = 2 * pair.min(PAIRS) + (magnitude & 1);
            symbols[lane] = symbol_index(table_of(*class, turns.now[lane]), token);
        }
        turns.after(odd);
        symbols
    }

    pub(super) fn decode_dependent(&self, payload: &[u8], elements: &mut [[u8; 4]]) -> Result<(), WireError> {
        let (rows, columns) = self.sides();
        let (mut decoder, plain) = Decoder::new(payload)?;
        let mut bits = BitReader::new(plain);
        let mut block: Block = [[0.0; LANES]; MAX_BLOCK * MAX_BLOCK];
        let mut coded = [Row::default(); MAX_BLOCK * MAX_BLOCK];
        let mut index = 0;
        for group in self.groups() {
            let mut turns = Turns::default();
            let classes = || group.classes.chunks_exact(group.lanes.max(1));
            for block_index in 0..self.blocks_of_plane() {
                // Tokens first: what a level does with its plain bits would hold up the coder's states.
                for (row, classes) in coded.iter_mut().zip(classes()) {
                    row.take_tokens(&mut decoder, index, classes, &mut turns);
                    index += classes.len();
                }
                let rows_of_block = block.iter_mut().zip(&coded).zip(classes()).zip(&self.steps);
                for (((place, row), classes), step) in rows_of_block {
                    self.take_row(row, classes, *step, &mut bits, place)?;
                }
                inverse(&mut block, rows, columns);
                self.store(elements, self.block_start(&group, block_index), &group, &block);
            }
        }
        decoder.finish()?;
        bits.finish()
    }

    /// The coefficients of a row from its tokens and plain bits.
    #[inline]
    #[allow(clippy::cast_possible_wrap, reason = "a grid point is below 2^21")]
    fn take_row(
        &self,
        row: &Row,
        classes: &[Class],
        step: f32,
        bits: &mut BitReader<'_>,
        place: &mut Lanes,
    ) -> Result<(), WireError> {
        const BAD_LEVEL: WireError = WireError::BadCodec("a level is cut short or out of range");
        let signed = u32::from(self.table.signed);
        let mut points = [0_i32; LANES];
        let mut largest = 0;
        for (lane, class) in classes.iter().enumerate().take(LANES) {
            let token = u32::from(row.tokens[lane]);
            let low = u32::from(class.plain_bits);
            let mut pair = token >> 1;
            if token >= FIRST_ESCAPE {
                pair += take_gamma(bits, MAX_LEVEL.ilog2()).ok_or(BAD_LEVEL)? - 1;
                if pair > self.table.max_level >> 1 >> low {
                    return Err(BAD_LEVEL);
                }
            }
            // At most 20 bits; without a branch, since which levels are 0 is chance.
            let piece = bits.peek();
            let magnitude = (pair << low | (piece & ((1 << low) - 1))) << 1 | (token & 1);
            let has_sign = u32::from(magnitude != 0) & signed;
            let negative = piece >> low & has_sign;
            bits.skip(low + has_sign);
            largest = magnitude.max(largest);
            let point = (2 * magnitude).saturating_sub(u32::from(row.quantisers[lane])) as i32;
            points[lane] = if negative == 1 { -point } else { point };
        }
        if largest > self.table.max_level {
            return Err(BAD_LEVEL);
        }
        for (value, point) in place.iter_mut().zip(points) {
            let shift = self.table.shift * point.signum() as f32;
            // Points are below 2^21: exact in a 32-bit float.
            *value = (point as f32 + shift) * step;
        }
        Ok(())
    }

    pub(super) fn encode_symbols(
        symbols: &[u16],
        mut encoder: Encoder<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        for (index, coded) in symbols.iter().enumerate().rev() {
            encoder.put(index, symbol(*coded));
        }
        encoder.finish(out)
    }
}

/// One frequency of a block: each lane's token, and the quantiser of its level.
#[derive(Clone, Copy, Default)]
struct Row {
    tokens: [u8; LANES],
    quantisers: [u8; LANES],
}

impl Row {
    #[inline]
    fn take_tokens(&mut self, decoder: &mut Decoder<'_>, index: usize, classes: &[Class], turns: &mut Turns) {
        let mut tables = [0; LANES];
        for ((table, class), now) in tables.iter_mut().zip(classes).zip(turns.now) {
            *table = table_of(*class, now);
        }
        let tables = tables.get(..classes.len()).unwrap_or(&tables);
        decoder.take_run(index, SCALE, tables, &mut self.tokens, token_at);
        self.quantisers = turns.now;
        turns.after(self.tokens);
    }
}
