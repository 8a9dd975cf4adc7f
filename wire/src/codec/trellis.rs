//! The search for a block's levels where two quantisers take turns: the cheapest path by Viterbi, eight channels side by side.
//!
//! Sources: T. R. Fischer, M. W. Marcellin, "Trellis coded quantization", IEEE Trans. Communications 38, 1990; as a video
//! coder does it, H. Schwarz, T. Nguyen, D. Marpe, T. Wiegand, "Hybrid video coding with trellis-coded quantization", DCC 2019
//! (H.266, 4 states).
//!
//! The grid's multiples of Δ fall into four sets, each four steps apart: even levels of the first quantiser (0, 4, 8 …), its odd
//! ones (2, 6 …), even levels of the second (0, 3, 7 …), its odd ones (1, 5 …). Of each the nearest is a candidate, and
//! for the two with a 0 that too. Must not know: bits, tables, the stream.

#![allow(
    clippy::indexing_slicing,
    reason = "arrays of eight lanes, indexed below eight, are what a compiler turns into vectors"
)]

use super::laplace::{Class, MAX_CLASS};
use super::pairs::{RATES, Rate, number};
use super::table::MAX_BLOCK;
use super::transform::{Block, LANES, Lanes};

/// Worse than any path.
const NEVER: f32 = 1e30;
/// Added and taken off, it rounds a float below 2²² to the nearest whole number.
const ROUND: f32 = 12_582_912.0;

/// Working memory of the search.
pub(super) struct Search {
    /// By class, times what a bit is worth.
    rates: [Rate; MAX_CLASS as usize + 1],
    /// By row and lane: bit s is set where state s came from the second of the two that lead to it, bits 4 and 5 where the
    /// even candidate of the first and of the second quantiser is 0.
    decisions: [[u8; LANES]; MAX_BLOCK * MAX_BLOCK],
    lowest: f32,
    most: f32,
}

/// What each lane's levels cost in one row.
struct Prices {
    zero: [Lanes; 2],
    second: Lanes,
    slope: Lanes,
}

impl Search {
    /// `lambda`: squares of Δ that a bit is worth.
    pub(super) fn new(lambda: f32, signed: bool, max_level: u32) -> Self {
        // Distances are in units of 4 Δ.
        let worth = lambda / 16.0;
        let no_sign = if signed { 0.0 } else { 1.0 };
        let rates = RATES.each_ref().map(|rate| Rate {
            zero: rate.zero.map(|bits| (bits + no_sign) * worth),
            second: rate.second * worth,
            slope: rate.slope * worth,
        });
        // Three quarters below the largest level of the second quantiser no set's nearest is above the largest level.
        let most = (2.0 * max_level as f32 - 1.25) / 4.0;
        Self {
            rates,
            decisions: [[0; LANES]; MAX_BLOCK * MAX_BLOCK],
            lowest: if signed { -most } else { 0.0 },
            most,
        }
    }

    /// Turns a block's coefficients into levels, whole numbers with their sign. `per_step`: reciprocals of Δ by row; `classes`:
    /// by row and lane, `lanes` of them a row; `states`: where each lane begins.
    pub(super) fn levels(
        &mut self,
        block: &mut Block,
        per_step: &[f32],
        classes: &[Class],
        lanes: usize,
        states: [u8; LANES],
    ) {
        let mut costs = [[NEVER; LANES]; 4];
        for (lane, state) in states.iter().enumerate() {
            costs[usize::from(*state % 4)][lane] = 0.0;
        }
        let rows = block.iter_mut().zip(per_step).zip(classes.chunks_exact(lanes.max(1)));
        for (((row, per_step), classes), decisions) in rows.zip(&mut self.decisions) {
            let per_unit = per_step * 0.25;
            for x in row.iter_mut() {
                *x = at_most(at_least(*x * per_unit, self.lowest), self.most);
            }
            let prices = Prices::of(&self.rates, classes);
            advance(row, &prices, &mut costs, decisions);
        }
        let mut ends = [0_u8; LANES];
        for (lane, end) in ends.iter_mut().enumerate() {
            let mut best = costs[0][lane];
            for state in 1..4_u8 {
                let cost = costs[usize::from(state)][lane];
                (best, *end) = if cost < best { (cost, state) } else { (best, *end) };
            }
        }
        for (row, decisions) in block.iter_mut().zip(&self.decisions).take(per_step.len()).rev() {
            retrace(row, *decisions, &mut ends);
        }
    }
}

impl Prices {
    #[inline]
    fn of(rates: &[Rate; MAX_CLASS as usize + 1], classes: &[Class]) -> Self {
        let mut prices = Self {
            zero: [[0.0; LANES]; 2],
            second: [0.0; LANES],
            slope: [0.0; LANES],
        };
        for (lane, class) in classes.iter().enumerate().take(LANES) {
            let rate = &rates[number(*class) % rates.len()];
            prices.zero[0][lane] = rate.zero[0];
            prices.zero[1][lane] = rate.zero[1];
            prices.second[lane] = rate.second;
            prices.slope[lane] = rate.slope;
        }
        prices
    }
}

/// One row: `row` is in units of 4 Δ.
#[inline]
fn advance(row: &Lanes, prices: &Prices, costs: &mut [Lanes; 4], decisions: &mut [u8; LANES]) {
    let [from_0, from_1, from_2, from_3] = *costs;
    for lane in 0..LANES {
        let x = row[lane].abs();
        let slope = prices.slope[lane];
        let candidate = |offset: f32, least: f32| {
            let x = x - offset;
            let q = at_least(rounded(x), least);
            (x - q) * (x - q) + slope * q
        };
        let to_zero = x * x;
        let even_first = candidate(0.0, 1.0);
        let zero_first = to_zero + prices.zero[0][lane];
        let odd_first = candidate(0.5, 0.0) + 0.5 * slope;
        let even_second = candidate(0.75, 0.0) + slope + prices.second[lane];
        let zero_second = to_zero + prices.zero[1][lane];
        let odd_second = candidate(0.25, 0.0) + 0.5 * slope + prices.second[lane];
        let is_zero_first = zero_first < even_first;
        let is_zero_second = zero_second < even_second;
        let even_first = at_most(zero_first, even_first);
        let even_second = at_most(zero_second, even_second);

        // Each state has two that lead to it.
        let to_0 = (from_0[lane] + even_first, from_1[lane] + odd_first);
        let to_1 = (from_2[lane] + even_second, from_3[lane] + odd_second);
        let to_2 = (from_0[lane] + odd_first, from_1[lane] + even_first);
        let to_3 = (from_2[lane] + odd_second, from_3[lane] + even_second);
        costs[0][lane] = at_most(to_0.1, to_0.0);
        costs[1][lane] = at_most(to_1.1, to_1.0);
        costs[2][lane] = at_most(to_2.1, to_2.0);
        costs[3][lane] = at_most(to_3.1, to_3.0);
        decisions[lane] = u8::from(to_0.1 < to_0.0)
            | u8::from(to_1.1 < to_1.0) << 1
            | u8::from(to_2.1 < to_2.0) << 2
            | u8::from(to_3.1 < to_3.0) << 3
            | u8::from(is_zero_first) << 4
            | u8::from(is_zero_second) << 5;
    }
}

/// The way back by one row: coefficients become levels, states those before.
#[inline]
fn retrace(row: &mut Lanes, decisions: [u8; LANES], states: &mut [u8; LANES]) {
    for lane in 0..LANES {
        let (state, decision) = (states[lane], decisions[lane]);
        let by_low = if state & 1 == 0 { decision } else { decision >> 1 };
        let came = (if state & 2 == 0 { by_low } else { by_low >> 2 }) & 1;
        let second = state & 1;
        let odd = came ^ (state >> 1);
        states[lane] = second << 1 | came;

        let is_zero = !odd & (decision >> 4 >> second) & 1 == 1;
        let (offset, level_offset) = match (second == 1, odd == 1) {
            (false, false) => (0.0, 0.0),
            (false, true) => (0.5, 1.0),
            (true, false) => (0.75, 2.0),
            (true, true) => (0.25, 1.0),
        };
        let least = if offset == 0.0 { 1.0 } else { 0.0 };
        let x = row[lane];
        let level = 2.0 * at_least(rounded(x.abs() - offset), least) + level_offset;
        let level = if is_zero { 0.0 } else { level };
        row[lane] = if x < 0.0 { -level } else { level };
    }
}

#[inline]
fn rounded(x: f32) -> f32 {
    (x + ROUND) - ROUND
}

/// One vector instruction each, which `f32::max` with its care for NaN is not.
#[inline]
fn at_least(x: f32, least: f32) -> f32 {
    if x > least { x } else { least }
}

#[inline]
fn at_most(x: f32, most: f32) -> f32 {
    if x < most { x } else { most }
}
