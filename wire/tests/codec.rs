//! Every codec gives back what its definition says, for any shape and any bits, and refuses what is damaged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::similar_names,
    reason = "a test says what failed by panicking"
)]

use kerf_wire::codec::{Codec, Coder, Layout, MAX_LEVEL, Quantiser, Table};
use kerf_wire::tensor::payload_bytes;
use kerf_wire::{CodecId, DType, TensorHeader, TensorRef, WireError};
use proptest::prelude::*;

mod kit;

use kit::{bytes_of, codec, codecs, f32s, smooth, table};

fn round_trip(coder: &mut Coder, codec: &Codec, tensor: &TensorRef<'_>) -> (TensorHeader, Vec<u8>, Vec<u8>) {
    let mut out = b"before".to_vec();
    let header = coder.encode(codec, tensor, &mut out).unwrap();
    assert_eq!(&out[..6], b"before");
    let payload = out.split_off(6);
    assert_eq!(header.payload_bytes as usize, payload.len());
    let mut decoded = vec![0xAA; tensor.bytes.len()];
    coder.decode(codec, &header, &payload, &mut decoded).unwrap();
    (header, payload, decoded)
}

/// What the definition of each quantiser promises of one tensor of floats.
fn check_floats(quantiser: Quantiser, header: &TensorHeader, codec: &Codec, tensor: &TensorRef<'_>, decoded: &[u8]) {
    if header.codec.parts().unwrap().0 == Quantiser::Raw {
        assert_eq!(decoded, tensor.bytes);
        return;
    }
    let (from, to) = (f32s(tensor.bytes), f32s(decoded));
    let low = from.iter().fold(0.0_f32, |a, &b| a.min(b));
    let high = from.iter().fold(0.0_f32, |a, &b| a.max(b));
    for (i, (&x, &y)) in from.iter().zip(&to).enumerate() {
        let error = (f64::from(x) - f64::from(y)).abs();
        match quantiser {
            Quantiser::Raw => unreachable!(),
            Quantiser::F16 => assert_eq!(half::f16::from_f32(x).to_f32().to_bits(), y.to_bits(), "{x}"),
            Quantiser::Bf16 => assert_eq!(half::bf16::from_f32(x).to_f32().to_bits(), y.to_bits(), "{x}"),
            Quantiser::Int8 | Quantiser::Int8Channel => {
                let step = f64::from(high) / 255.0 - f64::from(low) / 255.0;
                assert!(error <= step * 0.501, "element {i}: {x} became {y}, step {step}");
                assert!(x != 0.0 || y == 0.0, "zero is not exact");
            }
            Quantiser::Int4 => {
                let reach = f64::from(high) - f64::from(low);
                assert!(error <= reach, "element {i}: {x} became {y}");
                assert!(x != 0.0 || y == 0.0, "zero is not exact");
            }
            Quantiser::Dct => {
                // An orthonormal block of up to 16 × 16 half steps has at most 16 half steps in one element.
                let table = codec.table.as_ref().unwrap();
                let largest = table.steps.iter().fold(0.0_f32, |a, &b| a.max(b));
                let clipped = f64::from(MAX_LEVEL) * 0.25;
                // With four states a level may be the second nearest of a quantiser of double steps, or 0 where that is cheap.
                let half_steps = if table.states == 4 { 5.0 } else { 1.0 };
                let bound = 16.0 * 0.51 * half_steps * f64::from(largest) + f64::from(x.abs()) * 1e-5;
                assert!(
                    error <= bound || f64::from(low.abs().max(high)) * 16.0 > clipped,
                    "{i}: {x} became {y}"
                );
            }
        }
    }
}

fn shapes() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0_u32..9, 0..5)
}

/// Any bits, and floats as activations are: many zeros, few large.
fn elements() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => Just(0.0_f32),
        8 => -8.0_f32..8.0,
        1 => any::<u32>().prop_map(f32::from_bits),
    ]
}

fn tame() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0_f32), -30.0_f32..30.0]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn floats_come_back_as_defined(shape in shapes(), wild in any::<bool>(), seed in prop::collection::vec((elements(), tame()), 64)) {
        let count: usize = shape.iter().map(|n| *n as usize).product();
        let floats: Vec<f32> = (0..count).map(|i| { let (w, t) = seed[(i * 7 + i / 64) % 64]; if wild { w } else { t } }).collect();
        let bytes = bytes_of(&floats);
        let tensor = TensorRef::new(DType::F32, &shape, &bytes).unwrap();
        let mut coder = Coder::new();
        for (id, quantiser, codec) in codecs(&shape) {
            let (header, _, decoded) = round_trip(&mut coder, &codec, &tensor);
            if !wild && count > 0 && quantiser != Quantiser::Dct { prop_assert_eq!(header.codec, id); }
            check_floats(quantiser, &header, &codec, &tensor, &decoded);
        }
    }

    #[test]
    fn other_types_are_exact(kind in 0_usize..12, shape in shapes(), bits in prop::collection::vec(any::<u8>(), 40)) {
        const KINDS: [DType; 12] = [DType::F16, DType::Bf16, DType::F64, DType::I8, DType::U8, DType::I16, DType::U16,
            DType::I32, DType::U32, DType::I64, DType::U64, DType::Bool];
        let dtype = KINDS[kind];
        let length = payload_bytes(dtype, &shape).unwrap();
        let bytes: Vec<u8> = bits.iter().copied().cycle().take(length).collect();
        let tensor = TensorRef::new(dtype, &shape, &bytes).unwrap();
        let mut coder = Coder::new();
        for (id, quantiser, codec) in codecs(&shape) {
            if quantiser == Quantiser::Raw {
                let (header, _, decoded) = round_trip(&mut coder, &codec, &tensor);
                prop_assert_eq!(header.codec, id);
                prop_assert_eq!(decoded, bytes.clone());
            } else {
                prop_assert!(coder.encode(&codec, &tensor, &mut Vec::new()).is_err(), "{} took {}", id, dtype);
            }
        }
    }
}

#[test]
fn names_and_ids_belong_together() {
    for (id, _, _) in CodecId::all() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    assert_eq!("raw".parse(), Ok(CodecId::RAW));
    assert_eq!("int8+rans".parse(), Ok(CodecId(0x33)));
    for bad in ["", "f17", "f16+", "f16+gzip", "dct+rans", "+lz4", "F16"] {
        assert!(bad.parse::<CodecId>().is_err(), "{bad:?} was taken");
    }
    assert_eq!(CodecId(0x7F).parts(), Err(WireError::UnknownCodec(0x7F)));
}

#[test]
fn what_a_quantiser_cannot_represent_travels_raw() {
    let mut coder = Coder::new();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let bytes = bytes_of(&[1.0, bad, 0.0, -3.0]);
        let shape = [1, 2, 1, 2];
        let tensor = TensorRef::new(DType::F32, &shape, &bytes).unwrap();
        for name in ["int8", "int8-channel+lz4", "int4+rans", "dct"] {
            let id: CodecId = name.parse().unwrap();
            let codec = codec(id, id.parts().unwrap().0, &shape);
            let (header, payload, _) = round_trip(&mut coder, &codec, &tensor);
            assert_eq!(
                (header.codec, payload),
                (CodecId::RAW, bytes.clone()),
                "{name} with {bad}"
            );
        }
    }
    // Smaller than the smallest scale, and wider than the widest.
    for floats in [[1e-44_f32, 0.0], [f32::MAX, f32::MIN]] {
        let bytes = bytes_of(&floats);
        let tensor = TensorRef::new(DType::F32, &[2], &bytes).unwrap();
        let (_, _, decoded) = round_trip(&mut coder, &Codec::plain("int8".parse().unwrap()), &tensor);
        let error = (f64::from(f32s(&decoded)[0]) - f64::from(floats[0])).abs();
        assert!(error <= f64::from(floats[0].abs()) / 127.0, "{floats:?}");
    }
}

#[test]
fn a_block_transform_gathers_smooth_maps() {
    let shape = [2, 12, 14, 14];
    let bytes = bytes_of(&smooth(shape));
    let tensor = TensorRef::new(DType::F32, &shape, &bytes).unwrap();
    let mut coder = Coder::new();
    let flat = Table {
        means: vec![2.0; 12],
        ..table(12, [1, 1])
    };
    let blocks = Table {
        means: vec![2.0; 12],
        ..table(12, [14, 7])
    };
    let plain = round_trip(&mut coder, &Codec::dct(flat).unwrap(), &tensor).1.len();
    let transformed = round_trip(&mut coder, &Codec::dct(blocks).unwrap(), &tensor).1.len();
    assert!(
        transformed * 2 < plain,
        "{transformed} bytes with blocks, {plain} without"
    );
}

#[test]
fn channels_last_is_the_same_with_axes_exchanged() {
    let shape = [1, 10, 6, 4];
    let first = smooth(shape);
    let mut last = vec![0.0; first.len()];
    for c in 0..10 {
        for p in 0..24 {
            last[p * 10 + c] = first[c * 24 + p];
        }
    }
    let mut coder = Coder::new();
    let mut payloads = Vec::new();
    for (layout, floats, shape) in [
        (Layout::ChannelsFirst, &first, [1, 10, 6, 4]),
        (Layout::ChannelsLast, &last, [1, 6, 4, 10]),
    ] {
        let bytes = bytes_of(floats);
        let codec = Codec::dct(Table {
            layout,
            ..table(10, [6, 4])
        })
        .unwrap();
        let tensor = TensorRef::new(DType::F32, &shape, &bytes).unwrap();
        let (header, payload, decoded) = round_trip(&mut coder, &codec, &tensor);
        check_floats(Quantiser::Dct, &header, &codec, &tensor, &decoded);
        payloads.push(payload);
    }
    assert_eq!(payloads[0], payloads[1]);
}

#[test]
fn coarser_is_shorter_and_the_frame_says_how_coarse() {
    let shape = [1, 12, 14, 14];
    let bytes = bytes_of(&smooth(shape));
    let tensor = TensorRef::new(DType::F32, &shape, &bytes).unwrap();
    let mut coder = Coder::new();
    let fitted = Codec::dct(table(12, [7, 7])).unwrap();
    let mut before = usize::MAX;
    for coarseness in [-12_i8, -4, 0, 3, 8, 20] {
        let codec = Codec {
            coarseness,
            ..fitted.clone()
        };
        let mut payload = Vec::new();
        let header = coder.encode(&codec, &tensor, &mut payload).unwrap();
        let mut decoded = vec![0; bytes.len()];
        // The reader has the table as fitted, and is told the rest by the header.
        coder.decode(&fitted, &header, &payload, &mut decoded).unwrap();
        let worst = f32s(&decoded)
            .iter()
            .zip(f32s(&bytes))
            .fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(
            worst <= 7.0 * 0.75 * 2.0_f32.powf(f32::from(coarseness) / 4.0),
            "{coarseness}: {worst}"
        );
        assert!(
            payload.len() <= before,
            "coarseness {coarseness} is {} bytes",
            payload.len()
        );
        before = payload.len();
    }
}

#[test]
fn a_table_that_cannot_be_is_refused() {
    let good = table(3, [2, 2]);
    assert!(Codec::dct(good.clone()).is_ok());
    let spoil: [fn(&mut Table); 14] = [
        |t| t.block = [0, 2],
        |t| t.block = [17, 2],
        |t| t.block = [4, 2],
        |t| t.steps[0] = 0.0,
        |t| t.steps[1] = -1.0,
        |t| t.steps[2] = f32::NAN,
        |t| t.steps[3] = 1e-42,
        |t| t.means[0] = f32::INFINITY,
        |t| t.means.truncate(2),
        |t| t.frequency_class.truncate(3),
        |t| t.rounding = 0.6,
        |t| t.shift = f32::NAN,
        |t| t.max_level = 0,
        |t| t.max_level = MAX_LEVEL + 1,
    ];
    for (i, spoil) in spoil.iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(Codec::dct(bad).is_err(), "spoiled table {i} was taken");
    }
    let json = good.to_json();
    assert_eq!(Table::from_json(&json).unwrap(), good);
}

#[test]
fn a_short_payload_and_a_buffer_of_another_length_are_refused() {
    let mut coder = Coder::new();
    let shape = [1, 4, 8, 8];
    for (id, quantiser, codec) in codecs(&shape) {
        let header = TensorHeader {
            dtype: DType::F32,
            shape: kerf_wire::Shape::from_slice(&shape).unwrap(),
            codec: id,
            parameters: heapless::Vec::from_slice(
                &[0, 0, 128, 63, 0][..if quantiser == Quantiser::Dct { 1 } else { 5 }],
            )
            .unwrap(),
            payload_bytes: 3,
        };
        let mut out = vec![0; 1024];
        assert!(coder.decode(&codec, &header, &[1, 2, 3], &mut out).is_err(), "{id}");
        assert!(coder.decode(&codec, &header, &[], &mut out[..1020]).is_err(), "{id}");
    }
}
