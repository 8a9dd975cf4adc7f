//! The orthonormal cosine transform (DCT-II) of blocks, eight channels side by side.
//!
//! Source: N. Ahmed, T. Natarajan, K. R. Rao, "Discrete Cosine Transform", IEEE Trans. Computers C-23, 1974. Blocks are
//! small and of any length from 1 to 16, so each axis is one multiplication by a matrix; the eight lanes are what a
//! compiler turns into vector instructions.

#![allow(
    clippy::indexing_slicing,
    reason = "the compiler computes the tables; later indices are taken modulo the length"
)]

use super::table::MAX_BLOCK;

/// Channels that are transformed together.
pub(super) const LANES: usize = 8;

/// One position of a block in all lanes.
pub(super) type Lanes = [f32; LANES];

/// A block, row-major, each position with all lanes.
pub(super) type Block = [Lanes; MAX_BLOCK * MAX_BLOCK];

/// `BASES[n − 1][u][x]` = c(u) cos(π (2x + 1) u / 2n), c(0) = √(1/n), else √(2/n).
static BASES: [[[f32; MAX_BLOCK]; MAX_BLOCK]; MAX_BLOCK] = bases();

/// Position to frequency, in place; only the first `rows × columns` of the block are used.
// Once a block: a copy for every caller would cost a board kilobytes.
#[inline(never)]
pub(super) fn forward(block: &mut Block, rows: usize, columns: usize) {
    let (Some(tall), Some(wide)) = (BASES.get(rows.wrapping_sub(1)), BASES.get(columns.wrapping_sub(1))) else {
        return;
    };
    along(block, rows, columns, 1, columns, |u, x| {
        wide[u % MAX_BLOCK][x % MAX_BLOCK]
    });
    along(block, columns, rows, columns, 1, |u, x| {
        tall[u % MAX_BLOCK][x % MAX_BLOCK]
    });
}

/// Frequency to position, in place.
#[inline(never)]
pub(super) fn inverse(block: &mut Block, rows: usize, columns: usize) {
    let (Some(tall), Some(wide)) = (BASES.get(rows.wrapping_sub(1)), BASES.get(columns.wrapping_sub(1))) else {
        return;
    };
    along(block, columns, rows, columns, 1, |x, u| {
        tall[u % MAX_BLOCK][x % MAX_BLOCK]
    });
    along(block, rows, columns, 1, columns, |x, u| {
        wide[u % MAX_BLOCK][x % MAX_BLOCK]
    });
}

/// Multiplies each of `lines` lines of `length` positions, `step` apart, by a matrix; the lines begin `apart` apart.
#[inline]
fn along(
    block: &mut Block,
    lines: usize,
    length: usize,
    step: usize,
    apart: usize,
    matrix: impl Fn(usize, usize) -> f32,
) {
    if length <= 1 {
        return;
    }
    let mut line = [[0.0_f32; LANES]; MAX_BLOCK];
    for first in (0..lines).map(|i| i * apart) {
        for (to, from) in line.iter_mut().zip(block.iter().skip(first).step_by(step)).take(length) {
            *to = *from;
        }
        let places = block.iter_mut().skip(first).step_by(step).take(length);
        for (to, place) in places.enumerate() {
            let mut sum = [0.0_f32; LANES];
            for (from, values) in line.iter().take(length).enumerate() {
                let weight = matrix(to, from);
                for (sum, value) in sum.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
            *place = sum;
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "rounded to the nearest 32-bit float")]
const fn bases() -> [[[f32; MAX_BLOCK]; MAX_BLOCK]; MAX_BLOCK] {
    let mut all = [[[0.0_f32; MAX_BLOCK]; MAX_BLOCK]; MAX_BLOCK];
    let mut n = 1;
    while n <= MAX_BLOCK {
        let mut u = 0;
        while u < n {
            let norm = sqrt(if u == 0 { 1.0 } else { 2.0 } / n as f64);
            let mut x = 0;
            while x < n {
                all[n - 1][u][x] = (norm * cos_of_turn((2 * x + 1) * u, 4 * n)) as f32;
                x += 1;
            }
            u += 1;
        }
        n += 1;
    }
    all
}

/// The cosine of `part / whole` of a full turn; `whole` is a multiple of 4.
const fn cos_of_turn(part: usize, whole: usize) -> f64 {
    let part = part % whole;
    let quarter = whole / 4;
    // Into the first quarter, where the series below converges fast.
    if part > 2 * quarter {
        return cos_of_turn(whole - part, whole);
    }
    if part > quarter {
        return -cos_of_turn(2 * quarter - part, whole);
    }
    let x = 2.0 * core::f64::consts::PI * part as f64 / whole as f64;
    let mut term = 1.0;
    let mut sum = 1.0;
    let mut i = 1.0;
    while i < 30.0 {
        term = -term * x * x / (i * (i + 1.0));
        sum += term;
        i += 2.0;
    }
    sum
}

const fn sqrt(x: f64) -> f64 {
    let mut root = 1.0;
    let mut step = 0;
    while step < 40 {
        root = 0.5 * (root + x / root);
        step += 1;
    }
    root
}
