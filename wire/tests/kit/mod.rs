//! Codecs, tables and tensors that the tests of codecs share.

#![allow(dead_code, reason = "each test takes what it needs")]

use kerf_wire::CodecId;
use kerf_wire::codec::{Codec, Layout, MAX_LEVEL, Packer, Quantiser, Table};

/// Codecs that this build can run.
pub(crate) fn runnable() -> impl Iterator<Item = (CodecId, Quantiser, Packer)> {
    CodecId::all().filter(|(_, _, packer)| cfg!(feature = "zstd") || *packer != Packer::Zstd)
}

/// A table for channels-first tensors with this many channels and this block.
pub(crate) fn table(channels: usize, block: [u8; 2]) -> Table {
    let area = usize::from(block[0]) * usize::from(block[1]);
    Table {
        layout: Layout::ChannelsFirst,
        block,
        signed: true,
        max_level: MAX_LEVEL,
        states: 1,
        rounding: 0.5,
        lambda: 0.0,
        shift: 0.0,
        steps: (0..area).map(|i| 0.25 + 0.01 * i as f32).collect(),
        means: (0..channels).map(|c| 0.5 * c as f32 - 1.0).collect(),
        frequency_class: (0..area).map(|i| 16 - i16::try_from(i / 4).unwrap()).collect(),
        channel_class: (0..channels).map(|c| i16::try_from(c % 7).unwrap()).collect(),
    }
}

pub(crate) fn codec(id: CodecId, quantiser: Quantiser, shape: &[u32]) -> Codec {
    if quantiser != Quantiser::Dct {
        return Codec::plain(id);
    }
    let divisor = |n: u32| u8::try_from((1..=16).rev().find(|d| n.is_multiple_of(*d)).unwrap()).unwrap();
    let side = |axis: usize| shape.get(axis).map_or(1, |n| divisor(*n));
    let rows: u32 = shape
        .get(2..shape.len().saturating_sub(1))
        .unwrap_or(&[])
        .iter()
        .product();
    let columns = shape.last().filter(|_| shape.len() > 2).map_or(1, |n| divisor(*n));
    let channels = shape.get(1).copied().unwrap_or(1) as usize;
    let rows = if shape.len() > 3 { divisor(rows) } else { side(9) };
    Codec::dct(table(channels, [rows, columns])).unwrap()
}

/// Every codec that this program runs, `dct` also with four states.
pub(crate) fn codecs(shape: &[u32]) -> Vec<(CodecId, Quantiser, Codec)> {
    let mut all: Vec<_> = runnable()
        .map(|(id, quantiser, _)| (id, quantiser, codec(id, quantiser, shape)))
        .collect();
    let turns = all.iter().filter_map(|(id, quantiser, codec)| {
        let table = codec.table.clone()?;
        Some((*id, *quantiser, Codec::dct(four_states(table)).unwrap()))
    });
    let turns: Vec<_> = turns.collect();
    all.extend(turns);
    all
}

pub(crate) fn four_states(table: Table) -> Table {
    Table {
        states: 4,
        lambda: 0.1,
        ..table
    }
}

pub(crate) fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|c| f32::from_le_bytes(c.try_into().unwrap()))
        .collect()
}

pub(crate) fn bytes_of(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Smooth maps in 16 channels, as a network makes them.
pub(crate) fn smooth(shape: [u32; 4]) -> Vec<f32> {
    let [n, c, h, w] = shape;
    let mut all = Vec::new();
    for i in 0..n * c {
        for y in 0..h {
            for x in 0..w {
                let phase = i as f32 * 0.7 + y as f32 * 0.5 + x as f32 * 0.3;
                all.push(4.0 * phase.sin() + (i % 5) as f32);
            }
        }
    }
    all
}
