//! The `dct` codec: mean off, blocks to frequencies, levels by fitted steps, levels coded by their expected magnitude.
//!
//! Feature maps are smooth within a channel, so a cosine transform gathers them in few coefficients; and networks are less
//! sensitive to an error at high frequencies, which later layers average away, so those get coarser steps. Clipping and
//! coarse entropy-constrained levels follow R. A. Cohen, H. Choi, I. V. Bajić, arXiv:2105.06002.

use alloc::vec::Vec;

use super::bits::{BitReader, BitWriter};
use super::blocks::{Plan, Steps};
use super::laplace::{Class, ESCAPE, SCALE};
use super::rans::{Decoder, Encoder};
use super::table::{Geometry, MAX_BLOCK, MAX_LEVEL, Table};
use super::transform::{Block, LANES, forward, inverse};
use super::{Codec, Coder, Parameters, all_finite};
use crate::error::WireError;
use crate::frame::TensorHeader;
use crate::tensor::TensorRef;

const NO_TABLE: WireError = WireError::BadCodec("dct needs the table of this value, and the manifest has none");

/// Encodes; none where the tensor is not finite or its shape does not fit the table.
pub(super) fn encode(
    codec: &Codec,
    tensor: &TensorRef<'_>,
    coder: &mut Coder,
    out: &mut Vec<u8>,
) -> Result<Option<Parameters>, WireError> {
    let table = codec.table.as_ref().ok_or(NO_TABLE)?;
    table.check()?;
    let (Some(geometry), Some(steps)) = (
        Geometry::of(table, tensor.shape),
        effective_steps(table, codec.coarseness),
    ) else {
        return Ok(None);
    };
    if !all_finite(tensor.bytes) {
        return Ok(None);
    }
    let plan = Plan {
        table,
        geometry,
        steps,
        coarseness: codec.coarseness,
    };
    let Coder {
        codes, levels, words, ..
    } = coder;
    codes.clear();
    plan.to_levels(tensor.bytes.as_chunks::<4>().0, levels, codes);
    plan.encode_tokens(levels, Encoder::new(words), out)?;
    out.extend_from_slice(codes);
    Ok(Parameters::from_slice(&codec.coarseness.to_le_bytes()).ok())
}

/// Decodes into `out`, which has the tensor's length.
pub(super) fn decode(codec: &Codec, header: &TensorHeader, payload: &[u8], out: &mut [u8]) -> Result<(), WireError> {
    let table = codec.table.as_ref().ok_or(NO_TABLE)?;
    table.check()?;
    let Ok([coarseness]) = <[u8; 1]>::try_from(header.parameters.as_slice()) else {
        return Err(WireError::BadCodec("dct has one parameter, the coarseness"));
    };
    let coarseness = i8::from_le_bytes([coarseness]);
    let geometry = Geometry::of(table, &header.shape)
        .ok_or(WireError::BadCodec("the tensor's shape does not fit the table of dct"))?;
    let steps = effective_steps(table, coarseness).ok_or(WireError::BadCodec("a step is out of range"))?;
    let plan = Plan {
        table,
        geometry,
        steps,
        coarseness,
    };
    plan.decode(payload, out.as_chunks_mut::<4>().0)
}

/// Adds the magnitudes of a tensor's coefficients, in steps of the table and before rounding, to `sums`: for channel c and
/// frequency f of a block of a, `sums[c × a + f]`. Gives how many were added to each, so that a fit can take the mean.
///
/// # Errors
/// When the tensor is no 32-bit floats of the table's channels and blocks, not finite, or `sums` has another length.
pub fn add_magnitudes(table: &Table, tensor: &TensorRef<'_>, sums: &mut [f64]) -> Result<usize, WireError> {
    table.check()?;
    let geometry = Geometry::of(table, tensor.shape)
        .filter(|_| tensor.dtype == crate::tensor::DType::F32 && all_finite(tensor.bytes))
        .ok_or(WireError::BadCodec("the tensor does not fit the table of dct"))?;
    let plan = Plan {
        table,
        geometry,
        steps: Steps::from_slice(&table.steps).map_err(|_| WireError::BadCodec("a table of too many steps"))?,
        coarseness: 0,
    };
    let area = plan.steps.len();
    if sums.len() != area.saturating_mul(geometry.channels) {
        return Err(WireError::BadCodec("one sum a channel and frequency"));
    }
    plan.add_magnitudes(tensor.bytes.as_chunks::<4>().0, sums);
    Ok(plan.blocks_of_plane().saturating_mul(geometry.images))
}

/// The table's steps times 2^(coarseness/4); none where one leaves the normal floats.
fn effective_steps(table: &Table, coarseness: i8) -> Option<Steps> {
    const QUARTERS: [f32; 4] = [1.0, 1.189_207_1, core::f32::consts::SQRT_2, 1.681_792_8];
    let octave = i32::from(coarseness.div_euclid(4));
    let quarter = QUARTERS.get(usize::try_from(coarseness.rem_euclid(4)).ok()?)?;
    let factor = f32::from_bits(u32::try_from(127 + octave).ok()? << 23) * quarter;
    let mut steps = Steps::new();
    for step in &table.steps {
        let step = Some(step * factor).filter(|step| step.is_normal() && step.recip().is_normal())?;
        steps.push(step).ok()?;
    }
    Some(steps)
}

impl Plan<'_> {
    /// Levels in coding order; what is not part of their tokens goes to `plain`.
    fn to_levels(&self, elements: &[[u8; 4]], levels: &mut Vec<i32>, plain: &mut Vec<u8>) {
        let (rows, columns) = self.sides();
        levels.clear();
        levels.reserve(elements.len());
        let per_step: Steps = self.steps.iter().map(|step| step.recip()).collect();
        let mut bits = BitWriter::new(plain);
        let mut block: Block = [[0.0; LANES]; MAX_BLOCK * MAX_BLOCK];
        for group in self.groups() {
            for index in 0..self.blocks_of_plane() {
                self.load(elements, self.block_start(&group, index), &group, &mut block);
                forward(&mut block, rows, columns);
                let before = levels.len();
                for (lanes, per_step) in block.iter().zip(&per_step) {
                    let quantised = self.quantise(lanes, *per_step);
                    levels.extend(quantised.iter().take(group.lanes));
                }
                let coded = levels.get(before..).unwrap_or_default();
                for (level, class) in coded.iter().zip(&group.classes) {
                    self.put_plain(*level, *class, &mut bits);
                }
            }
        }
        bits.finish();
    }

    fn add_magnitudes(&self, elements: &[[u8; 4]], sums: &mut [f64]) {
        let (rows, columns) = self.sides();
        let area = self.steps.len();
        let mut block: Block = [[0.0; LANES]; MAX_BLOCK * MAX_BLOCK];
        for (index, group) in self.groups().enumerate() {
            let channel = index % self.geometry.channels.div_ceil(LANES) * LANES;
            for place in 0..self.blocks_of_plane() {
                self.load(elements, self.block_start(&group, place), &group, &mut block);
                forward(&mut block, rows, columns);
                for (frequency, (lanes, step)) in block.iter().zip(&self.steps).enumerate() {
                    let sums = sums.iter_mut().skip(channel * area + frequency).step_by(area);
                    for (sum, x) in sums.zip(lanes).take(group.lanes) {
                        *sum += f64::from((x / step).abs());
                    }
                }
            }
        }
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
            let above = token - ESCAPE + 1;
            let length = above.ilog2();
            bits.put(0, length);
            // The leading one ends the zeros; the bits below it follow.
            bits.put(1, 1);
            bits.put(above & ((1 << length) - 1), length);
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
            let mut length = 0;
            while bits.take(1)? == 0 {
                length += 1;
                if length > MAX_LEVEL.ilog2() {
                    return None;
                }
            }
            magnitude += (1 << length) - 1 + bits.take(length)?;
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

    fn encode_tokens(&self, levels: &[i32], mut encoder: Encoder<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
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

    fn decode(&self, payload: &[u8], elements: &mut [[u8; 4]]) -> Result<(), WireError> {
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
