//! How fast and how small each codec is on made-up feature maps: `cargo run --release -p kerf-wire --example codec_speed`.
//!
//! MB/s of 32-bit float input, one core. `kerf codec survey` measures the same on a model's own tensors.

#![allow(clippy::unwrap_used, reason = "an example ends where something is wrong")]

use std::time::Instant;

use kerf_wire::codec::{Codec, Coder, Layout, MAX_LEVEL, Packer, Quantiser, Table};
use kerf_wire::{CodecId, DType, TensorRef};

const SHAPE: [u32; 4] = [1, 192, 28, 28];
/// As small as what crosses a good cut often is, with steps as fine as those that keep nearly every answer.
const SMALL: [u32; 4] = [1, 192, 7, 7];
const FINE_STEPS: [f32; 3] = [0.1, 0.3, 1.0];
const SECONDS: f64 = 0.3;

#[allow(clippy::similar_names, reason = "codec and coder are two things")]
fn main() {
    let bytes = maps(SHAPE);
    let tensor = TensorRef::new(DType::F32, &SHAPE, &bytes).unwrap();
    println!("{:22}{:>10}{:>14}{:>14}", "codec", "bits", "encode MB/s", "decode MB/s");
    for (id, quantiser, packer) in CodecId::all() {
        if packer == Packer::Zstd && !cfg!(feature = "zstd") {
            continue;
        }
        let codec = match quantiser {
            Quantiser::Dct => Codec::dct(table(0.8)).unwrap(),
            _ => Codec::plain(id),
        };
        row(&id.to_string(), &codec, &tensor);
    }
    let bytes = maps(SMALL);
    let tensor = TensorRef::new(DType::F32, &SMALL, &bytes).unwrap();
    for step in FINE_STEPS {
        let codec = Codec::dct(table(step)).unwrap();
        row(&format!("dct 7x7, step {step}"), &codec, &tensor);
    }
}

fn row(name: &str, codec: &Codec, tensor: &TensorRef<'_>) {
    let (mut coder, mut out) = (Coder::new(), Vec::new());
    let encode = speed(tensor.bytes.len(), || {
        out.clear();
        coder.encode(codec, tensor, &mut out).unwrap();
    });
    out.clear();
    let header = coder.encode(codec, tensor, &mut out).unwrap();
    let mut back = vec![0; tensor.bytes.len()];
    let decode = speed(tensor.bytes.len(), || {
        coder.decode(codec, &header, &out, &mut back).unwrap();
    });
    let bits = out.len() as f64 * 32.0 / tensor.bytes.len() as f64;
    println!("{name:22}{bits:>10.2}{encode:>14.0}{decode:>14.0}");
}

/// MB/s of the fastest of the runs that fit the time.
fn speed(bytes: usize, mut run: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed().as_secs_f64() < SECONDS {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    bytes as f64 / 1e6 / best
}

/// Smooth maps with noise and, as after a ReLU, zeros.
fn maps([_, channels, rows, columns]: [u32; 4]) -> Vec<u8> {
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut bytes = Vec::new();
    for c in 0..channels {
        for i in 0..rows * columns {
            let (y, x) = ((i / columns) as f32, (i % columns) as f32);
            let value = 2.0 * (0.3 * y + c as f32).sin() * (0.2 * x).cos() + 2.0 * noise();
            bytes.extend_from_slice(&value.max(0.0).to_le_bytes());
        }
    }
    bytes
}

/// Its classes expect what this step makes of the maps.
fn table(step: f32) -> Table {
    #[allow(clippy::cast_possible_truncation, reason = "a few octaves")]
    let finer = (4.0 * (0.8 / step).log2()) as i16;
    Table {
        layout: Layout::ChannelsFirst,
        block: [7, 7],
        signed: true,
        max_level: MAX_LEVEL,
        rounding: 0.5,
        shift: 0.0,
        steps: vec![step; 49],
        means: vec![0.5; 192],
        frequency_class: (0..49_i16).map(|f| 8 - f / 7 - f % 7).collect(),
        channel_class: vec![10 + finer; 192],
    }
}
