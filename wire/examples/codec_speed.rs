//! How fast and how small each codec is on made-up feature maps: `cargo run --release -p kerf-wire --example codec_speed`.
//!
//! With a fitted bundle's manifest and frames of its first cut behind it (`kerf-stage once --output x.frame`, of the bundle before
//! it was fitted, so that they are raw), on those tensors by the fitted codec and by finer and coarser ones of its table.
//! MB/s of 32-bit float input, one core.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "an example ends where something is wrong"
)]

use std::time::Instant;

use kerf_wire::codec::{Codec, Coder, Layout, MAX_LEVEL, Packer, Quantiser, Table};
use kerf_wire::{CodecId, DType, Frame, Manifest, TensorRef};

const SHAPE: [u32; 4] = [1, 192, 28, 28];
/// As small as what crosses a good cut often is, with steps as fine as those that keep nearly every answer.
const SMALL: [u32; 4] = [1, 192, 7, 7];
const FINE_STEPS: [f32; 3] = [0.1, 0.3, 1.0];
const SECONDS: f64 = 0.3;

/// Quarter octaves about a fitted table's steps.
const FINER_AND_COARSER: [i8; 4] = [-8, -4, 0, 4];

fn main() {
    println!("{:32}{:>10}{:>14}{:>14}", "codec", "bits", "encode MB/s", "decode MB/s");
    let files: Vec<String> = std::env::args().skip(1).collect();
    match files.split_first() {
        Some((manifest, frames)) => real(manifest, frames),
        None => made_up(),
    }
}

/// A tensor with its shape.
type Map = (Vec<u32>, Vec<u8>);

fn made_up() {
    let large = [(SHAPE.to_vec(), maps(SHAPE))];
    for (id, quantiser, packer) in CodecId::all() {
        if packer == Packer::Zstd && !cfg!(feature = "zstd") {
            continue;
        }
        let codec = match quantiser {
            Quantiser::Dct => Codec::dct(table(0.8)).unwrap(),
            _ => Codec::plain(id),
        };
        row(&id.to_string(), &codec, &large);
    }
    let small = [(SMALL.to_vec(), maps(SMALL))];
    for step in FINE_STEPS {
        for states in [1, 4] {
            let codec = Codec::dct(in_states(states, table(step))).unwrap();
            row(&format!("dct 7x7, step {step}, states {states}"), &codec, &small);
        }
    }
}

/// The first value of a fitted bundle's first cut, in each frame.
fn real(manifest: &str, frames: &[String]) {
    let manifest = Manifest::parse(&std::fs::read(manifest).unwrap()).unwrap();
    let cut = manifest.cuts.first().unwrap();
    let value = cut.values.first().unwrap();
    let fitted = Codec::of_manifest(&cut.codecs[value]).unwrap();
    let tensors: Vec<Map> = frames.iter().map(|file| first_tensor(file)).collect();
    for name in ["f16", "int8"] {
        row(name, &Codec::plain(name.parse().unwrap()), &tensors);
    }
    for coarseness in FINER_AND_COARSER {
        let codec = Codec {
            coarseness,
            ..fitted.clone()
        };
        row(&format!("{} at {coarseness:+}", fitted.id), &codec, &tensors);
    }
}

fn first_tensor(file: &str) -> Map {
    let bytes = std::fs::read(file).unwrap();
    let frame = Frame::parse(&bytes).unwrap();
    let (header, payload) = frame.tensors().next().unwrap();
    assert_eq!(header.codec, CodecId::RAW, "{file}: its tensors are not raw");
    (header.shape.to_vec(), payload.to_vec())
}

/// Tensors one after the other, as frames come.
fn row(name: &str, codec: &Codec, maps: &[Map]) {
    let (mut coder, mut out) = (Coder::new(), Vec::new());
    let tensors: Vec<TensorRef<'_>> = maps
        .iter()
        .map(|(shape, bytes)| TensorRef::new(DType::F32, shape, bytes).unwrap())
        .collect();
    let all: usize = maps.iter().map(|(_, bytes)| bytes.len()).sum();
    let encode = speed(all, || {
        for tensor in &tensors {
            out.clear();
            coder.encode(codec, tensor, &mut out).unwrap();
        }
    });
    let mut encode_one = |tensor: &TensorRef<'_>| {
        let mut payload = Vec::new();
        let header = coder.encode(codec, tensor, &mut payload).unwrap();
        (header, payload)
    };
    let encoded: Vec<_> = tensors.iter().map(&mut encode_one).collect();
    let mut back = vec![0; maps.iter().map(|(_, bytes)| bytes.len()).max().unwrap()];
    let decode = speed(all, || {
        for ((header, payload), (_, bytes)) in encoded.iter().zip(maps) {
            coder.decode(codec, header, payload, &mut back[..bytes.len()]).unwrap();
        }
    });
    let payloads: usize = encoded.iter().map(|(_, payload)| payload.len()).sum();
    let bits = payloads as f64 * 32.0 / all as f64;
    println!("{name:32}{bits:>10.2}{encode:>14.0}{decode:>14.0}");
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

/// A table of one state, or of four with about the same error.
fn in_states(states: u8, table: Table) -> Table {
    if states == 1 {
        return table;
    }
    Table {
        states,
        lambda: 0.1,
        steps: table.steps.iter().map(|step| step * 0.55).collect(),
        ..table
    }
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
        states: 1,
        rounding: 0.5,
        lambda: 0.0,
        shift: 0.0,
        steps: vec![step; 49],
        means: vec![0.5; 192],
        frequency_class: (0..49_i16).map(|f| 8 - f / 7 - f % 7).collect(),
        channel_class: vec![10 + finer; 192],
    }
}
