//! The payloads of codec version 1 stay what they are: those that `golden/make_codecs.py` made from `docs/codec.md`,
//! without our code, decode to what it says; and where the definition leaves no choice, ours are the same bytes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::cast_possible_truncation,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};

use kerf_wire::codec::{Codec, Coder, Layout, MAX_LEVEL, Packer, Quantiser, Table};
use kerf_wire::{CodecId, DType, Shape, TensorHeader, TensorRef};

const SHAPE: [u32; 4] = [1, 10, 2, 4];

/// The script's own table.
fn table(states: u8) -> Table {
    Table {
        layout: Layout::ChannelsFirst,
        block: [2, 2],
        signed: true,
        max_level: MAX_LEVEL,
        states,
        rounding: 0.5,
        lambda: 0.0,
        shift: 0.125,
        steps: vec![0.25, 0.5, 0.125, 0.03125],
        means: (0..10_u8).map(|c| (f64::from(c) * 0.2371) as f32).collect(),
        frequency_class: vec![8, 3, 0, 5],
        channel_class: (0..10).map(|c| 14 + c).collect(),
    }
}

struct Case {
    name: String,
    header: TensorHeader,
    payload: Vec<u8>,
    decoded: Vec<u8>,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(golden()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("codec-") && name.ends_with("-v1.bin") {
            cases.push(case(name));
        }
    }
    assert_eq!(cases.len(), 36, "golden payloads are missing");
    if !cfg!(feature = "zstd") {
        cases.retain(|case| case.header.codec.parts().unwrap().1 != Packer::Zstd);
    }
    cases
}

fn case(name: String) -> Case {
    let bytes = std::fs::read(golden().join(&name)).unwrap();
    let (parameters, rest) = bytes[2..].split_at(usize::from(bytes[1]));
    let (length, rest) = rest.split_at(4);
    let payload_bytes = u32::from_le_bytes(length.try_into().unwrap());
    let (payload, decoded) = rest.split_at(payload_bytes as usize);
    let header = TensorHeader {
        dtype: DType::F32,
        shape: Shape::from_slice(&SHAPE).unwrap(),
        codec: CodecId(bytes[0]),
        parameters: heapless::Vec::from_slice(parameters).unwrap(),
        payload_bytes,
    };
    Case {
        name,
        header,
        payload: payload.to_vec(),
        decoded: decoded.to_vec(),
    }
}

impl Case {
    fn states(&self) -> u8 {
        if self.name.contains("states-4") { 4 } else { 1 }
    }

    fn codec(&self) -> Codec {
        match self.header.codec.parts().unwrap().0 {
            Quantiser::Dct => Codec {
                coarseness: i8::from_le_bytes([self.header.parameters[0]]),
                ..Codec::dct(table(self.states())).unwrap()
            },
            _ => Codec::plain(self.header.codec),
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let chunks = bytes.chunks_exact(4);
    chunks.map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

#[test]
fn payloads_decode_to_what_the_definition_says() {
    let mut coder = Coder::new();
    for case in cases() {
        let mut out = vec![0; case.decoded.len()];
        let decoded = coder.decode(&case.codec(), &case.header, &case.payload, &mut out);
        assert_eq!(decoded, Ok(()), "{}", case.name);
        if case.header.codec.0 == 0x60 {
            // Sums of cosines: the last digits depend on their order.
            for (ours, theirs) in floats(&out).into_iter().zip(floats(&case.decoded)) {
                assert!(
                    (ours - theirs).abs() <= 1e-5 * (1.0 + theirs.abs()),
                    "{}: {ours} {theirs}",
                    case.name
                );
            }
        } else {
            assert_eq!(floats(&out), floats(&case.decoded), "{}", case.name);
        }
    }
}

#[test]
fn our_payloads_are_the_same_bytes() {
    let elements = std::fs::read(golden().join("codec-elements.bin")).unwrap();
    let tensor = TensorRef::new(DType::F32, &SHAPE, &elements).unwrap();
    let mut coder = Coder::new();
    for case in cases() {
        let (quantiser, packer) = case.header.codec.parts().unwrap();
        // LZ4 and Zstandard may find other matches, int4 another clip, and a search other levels.
        if matches!(packer, Packer::Lz4 | Packer::Zstd) || quantiser == Quantiser::Int4 || case.states() == 4 {
            continue;
        }
        let mut payload = Vec::new();
        let header = coder.encode(&case.codec(), &tensor, &mut payload).unwrap();
        if packer == Packer::Rans {
            // The script codes every plane; ours stores one that would not be shorter.
            assert!(payload.len() <= case.payload.len(), "{}", case.name);
            continue;
        }
        assert_eq!(header, case.header, "{}", case.name);
        assert_eq!(payload, case.payload, "{}", case.name);
    }
}
