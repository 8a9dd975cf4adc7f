//! How often each token is expected where two quantisers take turns: `dct`'s tables with four states.
//!
//! Level k of the first quantiser stands for 2k grid steps, that of the second for 2k − 1 (0 for 0), so their zeros are of
//! different width and each has a table a class. A class is the mean magnitude of the coefficients in double steps, as in
//! [`super::laplace`]. With r = e^(−1 / 2m), the first's levels have P(0) = 1 − r^α, P(k) = r^(α + 2k − 2) (1 − r²), the second's
//! P(0) = 1 − r^β, P(1) = r^β − r^γ, P(k) = r^(γ + 2k − 4) (1 − r²), where α = 0.55 + 0.14/m, β = 0.15 + 0.12/m, γ = 1.4 + 0.45/m:
//! Laplacians whose first bounds were fitted to what the search of [`super::trellis`] makes of feature maps of photos.
//! A token tells whether its level is odd, so that the decoder knows the next quantiser before it reads any other bit.

#![allow(
    clippy::indexing_slicing,
    reason = "the compiler computes the tables; later indices are taken modulo the length"
)]

use super::laplace::{Class, MAX_CLASS, Near, SCALE, Shares, Starts, Symbols, TOKENS};
use super::laplace::{classes, exp, find, magnitude, near, plain_bits, starts, symbols};
use super::rans::Symbol;

/// Tokens below it come in pairs of an even and an odd one; it stands for all larger even magnitudes, the next for the odd.
pub(super) const FIRST_ESCAPE: u32 = 14;
/// Pairs of tokens below the escapes.
pub(super) const PAIRS: u32 = FIRST_ESCAPE / 2;
/// Classes with a table of their own: from class 24 on with a plain bit, from 28 on with two; those above use the last four.
const TABLES: usize = 32;

/// The class of an expected magnitude in double steps.
#[inline]
#[allow(clippy::cast_sign_loss, reason = "clamped to 0…99")]
pub(super) fn class_of(class: i32) -> Class {
    CLASSES[class.clamp(0, MAX_CLASS) as usize]
}

/// A table: that of a class for one of the quantisers, 0 or 1.
#[inline]
pub(super) fn table_of(class: Class, quantiser: u8) -> u8 {
    class.table | quantiser << TABLES.ilog2()
}

/// For decoding: the token whose share holds this slot, with start and frequency.
#[inline]
pub(super) fn token_at(table: u8, slot: u32) -> (u8, u32, u32) {
    let table = usize::from(table) % (2 * TABLES);
    find(&STARTS[table], &NEAR[table], slot)
}

/// A table's token, as an index for [`symbol`].
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "16 tokens of 64 tables")]
pub(super) fn symbol_index(table: u8, token: u32) -> u16 {
    u16::from(table) * TOKENS as u16 + token as u16
}

/// For encoding.
#[inline]
pub(super) fn symbol(index: u16) -> &'static Symbol {
    let index = usize::from(index);
    &SYMBOLS[index / TOKENS % (2 * TABLES)][index % TOKENS]
}

/// What levels of a class cost, in bits, as the search sees it: all but what is common to every level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// Level 0 of either quantiser, less the cost of a level of the first that its slope would lead to at 0.
    pub(super) zero: [f32; 2],
    /// Levels other than 0 of the second quantiser beyond those of the first.
    pub(super) second: f32,
    /// Two levels more.
    pub(super) slope: f32,
}

/// By class.
pub(super) static RATES: [Rate; MAX_CLASS as usize + 1] = rates();

/// The number of a class that [`class_of`] gave: its place in [`RATES`].
#[inline]
pub(super) fn number(class: Class) -> usize {
    usize::from(class.table) + 4 * usize::from(class.plain_bits.saturating_sub(2))
}

static CLASSES: [Class; MAX_CLASS as usize + 1] = classes(TABLES);

const ALL_STARTS: [Starts; 2 * TABLES] = starts(&all_shares());
static STARTS: [Starts; 2 * TABLES] = ALL_STARTS;
static NEAR: [Near; 2 * TABLES] = near(&ALL_STARTS);
static SYMBOLS: [Symbols; 2 * TABLES] = symbols(&ALL_STARTS);

const fn all_shares() -> [Shares; 2 * TABLES] {
    let mut all = [[0.0; TOKENS]; 2 * TABLES];
    let mut table = 0;
    while table < 2 * TABLES {
        all[table] = shares(table % TABLES, table / TABLES);
        table += 1;
    }
    all
}

/// The probabilities of the tokens: each is the sum over the levels that share it.
const fn shares(class: usize, quantiser: usize) -> Shares {
    let m = magnitude(class);
    let plain = plain_bits(class);
    let mut shares = [0.0; TOKENS];
    let above = (FIRST_ESCAPE as usize) << plain;
    let mut level = 0;
    while level < above {
        shares[(level >> (plain + 1) << 1) + level % 2] += probability(level, m, quantiser);
        level += 1;
    }
    // From here on each second one is r⁴ times the one before.
    let all = 1.0 / (1.0 - power(4.0, m));
    shares[TOKENS - 2] = probability(above, m, quantiser) * all;
    shares[TOKENS - 1] = probability(above + 1, m, quantiser) * all;
    shares
}

/// P(level) of a quantiser.
const fn probability(level: usize, m: f64, quantiser: usize) -> f64 {
    let k = level as f64;
    let (first, second) = if quantiser == 0 {
        let alpha = 0.55 + 0.14 / m;
        (alpha, alpha + 2.0)
    } else {
        (0.15 + 0.12 / m, 1.4 + 0.45 / m)
    };
    match level {
        0 => 1.0 - power(first, m),
        1 => power(first, m) - power(second, m),
        _ => power(second + 2.0 * k - 4.0, m) - power(second + 2.0 * k - 2.0, m),
    }
}

/// r^x.
const fn power(x: f64, m: f64) -> f64 {
    let exponent = x / (2.0 * m);
    if exponent > 64.0 { 0.0 } else { exp(-exponent) }
}

#[allow(clippy::cast_possible_truncation, reason = "a few digits will do")]
const fn rates() -> [Rate; MAX_CLASS as usize + 1] {
    let mut all = [Rate {
        zero: [0.0; 2],
        second: 0.0,
        slope: 0.0,
    }; MAX_CLASS as usize + 1];
    let mut class = 0;
    while class < all.len() {
        let plain = plain_bits(class);
        let table = if class < TABLES { class } else { TABLES - 4 + class % 4 };
        let (first, second) = (&ALL_STARTS[table], &ALL_STARTS[table + TABLES]);
        let slope = bits(first, 3) - bits(first, 1);
        // The sign comes with every level but 0.
        let base = bits(first, 1) + 1.0 - slope / 2.0;
        all[class] = Rate {
            zero: [(bits(first, 0) - base) as f32, (bits(second, 0) - base) as f32],
            second: ((bits(second, 1) + bits(second, 2) - bits(first, 1) - bits(first, 2)) / 2.0) as f32,
            slope: slope as f32 / (1_u32 << plain) as f32,
        };
        class += 1;
    }
    all
}

/// −log₂ of a token's share: its whole part, then sixteen digits by squaring.
const fn bits(starts: &Starts, token: usize) -> f64 {
    let mut x = (starts[token + 1] - starts[token]) as f64 / (1_u32 << SCALE) as f64;
    let mut bits = 0.0;
    while x <= 0.5 {
        x *= 2.0;
        bits += 1.0;
    }
    let mut digit = 0.5;
    let mut i = 0;
    while i < 16 {
        x *= x;
        if x <= 0.5 {
            x *= 2.0;
            bits += digit;
        }
        digit /= 2.0;
        i += 1;
    }
    bits
}
