//! How often each level magnitude is expected, by class: the frequencies that `dct` codes with.
//!
//! A class is the mean magnitude of the coefficients before rounding, 2^(class/4 − 4) steps, so that twice the step is
//! four classes less. The coefficients are taken for a Laplacian with that mean, integrated over the unit intervals that
//! rounding makes. On feature maps of photos that no class was fitted on, tables learned from the levels themselves would
//! save 1.5 % of the bytes: not worth their weight.
//! All of it is computed by the compiler; the golden payloads hold it in place.

#![allow(
    clippy::indexing_slicing,
    reason = "the compiler computes the tables; later indices are taken modulo the length"
)]

use super::rans::Symbol;

/// Bits of the frequencies.
pub(super) const SCALE: u32 = 14;
/// Magnitudes 0 … 14 have a token each, 15 stands for all above.
pub(super) const TOKENS: usize = 16;
/// The token of the larger magnitudes.
pub(super) const ESCAPE: u32 = 15;
/// The first class with a plain bit: its magnitudes are 4 on average, those of the class four above 8, and so on.
const FIRST_PLAIN: i32 = 24;
/// The highest class: magnitudes of 2^20 on average, with 19 plain bits.
pub(super) const MAX_CLASS: i32 = FIRST_PLAIN + 4 * 18 + 3;
/// Classes with a table of their own; from here on a class is that of four below with one more plain bit a level.
const TABLES: usize = FIRST_PLAIN as usize;

/// A class of levels: its tables, and how many low bits travel plainly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// Which table its tokens have.
    pub(super) table: u8,
    /// Low bits of a magnitude that are not part of its token.
    pub(super) plain_bits: u8,
}

impl Class {
    /// The class of an expected magnitude; what is out of range takes the nearest, which costs bytes and loses nothing.
    #[inline]
    #[allow(clippy::cast_sign_loss, reason = "clamped to 0…99")]
    pub(super) fn of(class: i32) -> Self {
        CLASSES[class.clamp(0, MAX_CLASS) as usize]
    }

    /// For encoding a token.
    #[inline]
    pub(super) fn symbol(self, token: u32) -> &'static Symbol {
        &SYMBOLS[usize::from(self.table) % TABLES][token as usize % TOKENS]
    }

    /// For decoding: the token whose share holds this slot, with start and frequency.
    #[inline]
    pub(super) fn find(self, slot: u32) -> (u8, u32, u32) {
        let table = usize::from(self.table) % TABLES;
        find(&STARTS[table], &NEAR[table], slot)
    }
}

/// The token whose share holds a slot, with start and frequency.
#[inline]
pub(super) fn find(starts: &Starts, near: &Near, slot: u32) -> (u8, u32, u32) {
    // The token of the first slot of a few neighbours; where more than one shares them, it is among the next.
    let mut token = near[(slot >> NEAR_BITS) as usize % NEAR_SLOTS];
    let end_of = |token: u8| u32::from(starts[usize::from(token) % TOKENS + 1]);
    while slot >= end_of(token) && usize::from(token) < TOKENS - 1 {
        token += 1;
    }
    let start = u32::from(starts[usize::from(token) % TOKENS]);
    let end = end_of(token);
    (token, start, end - start)
}

/// Where the share of each token of one table begins, and the end of the last.
pub(super) type Starts = [u16; TOKENS + 1];
/// Where to begin to look for a slot's token.
pub(super) type Near = [u8; NEAR_SLOTS];
/// The tokens of one table, for encoding.
pub(super) type Symbols = [Symbol; TOKENS];
/// The probabilities of the tokens of one table.
pub(super) type Shares = [f64; TOKENS];

static CLASSES: [Class; MAX_CLASS as usize + 1] = classes(TABLES);

/// The classes where this many have a table of their own and those above use the last four in turn.
#[allow(clippy::cast_possible_truncation, reason = "classes are below 100")]
pub(super) const fn classes(tables: usize) -> [Class; MAX_CLASS as usize + 1] {
    let mut all = [Class {
        table: 0,
        plain_bits: 0,
    }; MAX_CLASS as usize + 1];
    let mut class = 0;
    while class < all.len() {
        all[class] = Class {
            table: if class < tables { class } else { tables - 4 + class % 4 } as u8,
            plain_bits: plain_bits(class) as u8,
        };
        class += 1;
    }
    all
}

/// Low bits of a class's magnitudes that are not part of their tokens: one more every four classes.
pub(super) const fn plain_bits(class: usize) -> usize {
    const FIRST: usize = FIRST_PLAIN as usize;
    if class < FIRST { 0 } else { (class - FIRST) / 4 + 1 }
}

/// Slots that share an entry of [`NEAR`], as a power of two.
const NEAR_BITS: u32 = 9;
const NEAR_SLOTS: usize = 1 << (SCALE - NEAR_BITS);
static STARTS: [Starts; TABLES] = starts(&laplacians());
static NEAR: [Near; TABLES] = near(&starts(&laplacians()));
static SYMBOLS: [Symbols; TABLES] = symbols(&starts(&laplacians()));

const fn laplacians() -> [Shares; TABLES] {
    let mut all = [[0.0; TOKENS]; TABLES];
    let mut class = 0;
    while class < TABLES {
        all[class] = shares(magnitude(class));
        class += 1;
    }
    all
}

#[allow(clippy::cast_possible_truncation, reason = "16 tokens")]
pub(super) const fn near<const N: usize>(starts: &[Starts; N]) -> [Near; N] {
    let mut all = [[0; NEAR_SLOTS]; N];
    let mut table = 0;
    while table < N {
        let mut token = 0;
        let mut entry = 0;
        while entry < NEAR_SLOTS {
            while token + 1 < TOKENS && starts[table][token + 1] as usize <= entry << NEAR_BITS {
                token += 1;
            }
            all[table][entry] = token as u8;
            entry += 1;
        }
        table += 1;
    }
    all
}

/// The natural exponential of a number from −64 to 0: a series for a 256th of it, squared eight times.
pub(super) const fn exp(x: f64) -> f64 {
    let x = x / 256.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    let mut i = 1.0;
    while i < 16.0 {
        term *= x / i;
        sum += term;
        i += 1.0;
    }
    let mut squared = 0;
    while squared < 8 {
        sum *= sum;
        squared += 1;
    }
    sum
}

/// 2^(class/4 − 4).
pub(super) const fn magnitude(class: usize) -> f64 {
    const QUARTER_OCTAVE: f64 = 1.189_207_115_002_721;
    let mut m = 1.0 / 16.0;
    let mut i = 0;
    while i < class {
        m *= QUARTER_OCTAVE;
        i += 1;
    }
    m
}

/// The probabilities of the tokens: with r = e^(−1 / 2m), P(0) = 1 − r and P(t) = r^(2t − 1) (1 − r²).
const fn shares(m: f64) -> Shares {
    let mut shares = [0.0; TOKENS];
    let r = exp(-0.5 / m);
    let mut above = r;
    shares[0] = 1.0 - r;
    let mut token = 1;
    while token < TOKENS - 1 {
        shares[token] = above * (1.0 - r * r);
        above *= r * r;
        token += 1;
    }
    shares[TOKENS - 1] = above;
    shares
}

/// Where each token's share begins, and 2^14 at the end. A token has at least 1; what rounding leaves goes to token 0.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of 2^14, never negative"
)]
pub(super) const fn starts<const N: usize>(shares: &[Shares; N]) -> [Starts; N] {
    let free = ((1_usize << SCALE) - TOKENS) as f64;
    let mut all = [[0_u16; TOKENS + 1]; N];
    let mut table = 0;
    while table < N {
        let mut end = 1_u16 << SCALE;
        let mut token = TOKENS;
        while token > 0 {
            all[table][token] = end;
            token -= 1;
            end -= 1 + (shares[table][token] * free) as u16;
        }
        all[table][0] = 0;
        table += 1;
    }
    all
}

pub(super) const fn symbols<const N: usize>(starts: &[Starts; N]) -> [Symbols; N] {
    let mut all = [[Symbol::new(0, 1, SCALE); TOKENS]; N];
    let mut table = 0;
    while table < N {
        let mut token = 0;
        while token < TOKENS {
            let start = starts[table][token] as u32;
            let end = starts[table][token + 1] as u32;
            all[table][token] = Symbol::new(start, end - start, SCALE);
            token += 1;
        }
        table += 1;
    }
    all
}
