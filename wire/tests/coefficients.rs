//! The coefficients that a fit sees are those of the definition.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what failed by panicking"
)]

use std::f64::consts::PI;

use kerf_wire::codec::coefficients;
use kerf_wire::{DType, TensorRef};

mod kit;

use kit::{bytes_of, f32s, smooth, table};

const SHAPE: [u32; 4] = [2, 9, 6, 10];
const BLOCK: [usize; 2] = [3, 5];

/// Element of the cosine transform of a block of one channel, from the formula of docs/codec.md.
fn by_definition(plane: &[f32], mean: f32, (row, column): (usize, usize)) -> f64 {
    let [rows, columns] = BLOCK;
    let (u, v) = (row % rows, column % columns);
    let weight = |u: usize, n: usize| if u == 0 { 1.0 / n as f64 } else { 2.0 / n as f64 }.sqrt();
    let cosine = |x: usize, u: usize, n: usize| (PI * (2 * x + 1) as f64 * u as f64 / (2 * n) as f64).cos();
    let mut sum = 0.0;
    for y in 0..rows {
        for x in 0..columns {
            let element = plane[(row - u + y) * SHAPE[3] as usize + column - v + x];
            sum += f64::from(element - mean) * cosine(y, u, rows) * cosine(x, v, columns);
        }
    }
    sum * weight(u, rows) * weight(v, columns)
}

#[test]
fn each_coefficient_is_that_of_the_definition() {
    let elements = smooth(SHAPE);
    let bytes = bytes_of(&elements);
    let table = table(9, BLOCK.map(|side| u8::try_from(side).unwrap()));
    let tensor = TensorRef {
        dtype: DType::F32,
        shape: &SHAPE,
        bytes: &bytes,
    };
    let mut out = vec![0xAA; bytes.len()];
    coefficients(&table, &tensor, &mut out).unwrap();
    for (index, got) in f32s(&out).into_iter().enumerate() {
        let (plane, place) = (index / 60, index % 60);
        let expected = by_definition(
            &elements[plane * 60..][..60],
            table.means[plane % 9],
            (place / 10, place % 10),
        );
        assert!(
            (f64::from(got) - expected).abs() < 1e-4,
            "{index}: {got}, expected {expected}"
        );
    }
    assert!(coefficients(&table, &tensor, &mut out[4..]).is_err());
    let other = TensorRef {
        shape: &[2, 9, 10, 6],
        ..tensor
    };
    assert!(coefficients(&table, &other, &mut out).is_err());
}
