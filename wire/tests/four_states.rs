//! `dct` with four states: what is decoded lies where H.266's state machine allows, and costs less than one state for the same error.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test says what failed by panicking"
)]

use kerf_wire::codec::{Codec, Coder, Table, coefficients};
use kerf_wire::{DType, TensorRef};

mod kit;

use kit::{bytes_of, f32s, four_states, table};

/// The state after a level by whether it is odd; states 0 and 1 have the quantiser whose points are even.
const NEXT: [[usize; 2]; 4] = [[0, 2], [2, 0], [1, 3], [3, 1]];
/// Elements of an image of 19 channels of 8 × 12.
const IMAGE: usize = 19 * 96;
const BLOCK: [u8; 2] = [4, 6];

/// Coefficients as a network's are: Laplacian, of every size.
fn maps(images: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let one = |i: usize| {
        let u = uniform() - 0.5;
        -u.signum() * (1.0 - 1.999 * u.abs()).ln() * (1.0 + (i / 96 % 19) as f32 / 4.0)
    };
    (0..images * IMAGE).map(one).collect()
}

/// Classes as a fit would set them: 2^(class/4 − 4) is the mean magnitude in steps.
fn fitted(step: f32, classes_above: f32, maps: &[f32]) -> Table {
    let mean = |plane: &[f32]| plane.iter().map(|x| x.abs()).sum::<f32>() / plane.len() as f32;
    Table {
        steps: vec![step; 24],
        means: vec![0.0; 19],
        frequency_class: vec![0; 24],
        channel_class: maps
            .chunks(96)
            .take(19)
            .map(|p| (4.0 * (mean(p) / step).log2() + classes_above).round() as i16)
            .collect(),
        ..table(19, BLOCK)
    }
}

fn passed(table: Table, maps: &[f32]) -> (usize, Vec<u8>) {
    let (codec, bytes) = (Codec::dct(table).unwrap(), bytes_of(maps));
    let shape = [(maps.len() / IMAGE) as u32, 19, 8, 12];
    let tensor = TensorRef::new(DType::F32, &shape, &bytes).unwrap();
    let (mut coder, mut payload) = (Coder::new(), Vec::new());
    let header = coder.encode(&codec, &tensor, &mut payload).unwrap();
    assert_eq!(header.codec, codec.id);
    let mut back = vec![0; bytes.len()];
    coder.decode(&codec, &header, &payload, &mut back).unwrap();
    (payload.len(), back)
}

#[test]
fn every_level_is_a_point_of_the_quantiser_whose_turn_it_is() {
    let maps = maps(1);
    for step in [0.05, 0.4, 3.0] {
        let table = four_states(fitted(step, 11.0, &maps));
        let (_, back) = passed(table.clone(), &maps);
        let tensor = TensorRef::new(DType::F32, &[1, 19, 8, 12], &back).unwrap();
        let mut spectrum = vec![0; back.len()];
        coefficients(&table, &tensor, &mut spectrum).unwrap();
        let spectrum = f32s(&spectrum);
        let mut odd_levels = 0;
        for channel in 0..19 {
            let mut state = 0;
            for block in 0..4 {
                for frequency in 0..24 {
                    let (row, column) = (block / 2 * 4 + frequency / 6, block % 2 * 6 + frequency % 6);
                    let x = spectrum[channel * 96 + row * 12 + column] / step;
                    let point = x.round();
                    assert!((x - point).abs() < 0.02 + x.abs() * 1e-5, "{x} is on no grid");
                    let point = point.abs() as u32;
                    let level = if state < 2 {
                        assert_eq!(point % 2, 0, "channel {channel}, block {block}, frequency {frequency}");
                        point / 2
                    } else {
                        assert!(
                            point == 0 || point % 2 == 1,
                            "channel {channel}, block {block}, frequency {frequency}"
                        );
                        point.div_ceil(2)
                    };
                    odd_levels += level % 2;
                    state = NEXT[state][level as usize % 2];
                }
            }
        }
        assert!(odd_levels > 50, "{odd_levels}: the machine hardly moved");
    }
}

/// The gain that trellis-coded quantisation is known for, against one uniform quantiser with the same coder.
#[test]
fn four_states_take_fewer_bytes_at_the_same_error() {
    let maps = maps(30);
    let error = |back: &[u8]| {
        f32s(back)
            .iter()
            .zip(&maps)
            .map(|(a, b)| f64::from(a - b).powi(2))
            .sum::<f64>()
    };
    let (turns, back) = passed(four_states(fitted(0.8, 11.0, &maps)), &maps);
    let allowed = error(&back);
    // The coarsest uniform step whose error is not larger.
    let coarsest = (1000..1800_u16).rev().map(|i| f32::from(i) / 1000.0).find_map(|step| {
        let (uniform, back) = passed(fitted(step, 16.0, &maps), &maps);
        (error(&back) <= allowed).then_some(uniform)
    });
    let saved_bits = (coarsest.unwrap() as f64 - turns as f64) * 8.0 / maps.len() as f64;
    assert!(saved_bits > 0.1, "{saved_bits} bits an element, {turns} bytes");
}
