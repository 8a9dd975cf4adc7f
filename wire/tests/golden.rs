//! The bytes of wire version 1 stay what they are, and what is damaged is refused without a panic.
//!
//! The files in `golden/` are made by `golden/make.py` from the format's description, without our code; `tests/` runs
//! that script again and compares.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says what failed by panicking"
)]

use kerf_wire::{
    CodecId, CutId, DType, DeviceId, Digest, Envelope, Frame, FrameBuilder, FrameHeader, FrameId, Hop, Outcome,
    Receipt, Reference, Shape, TensorHeader, WireError, frame,
};

const FRAME: &[u8] = include_bytes!("golden/frame-v1.bin");
const FRAME_EMPTY: &[u8] = include_bytes!("golden/frame-empty-v1.bin");
const REFERENCE: &[u8] = include_bytes!("golden/reference-v1.bin");
const ANSWERED: &[u8] = include_bytes!("golden/receipt-answered-v1.bin");
const REFUSED: &[u8] = include_bytes!("golden/receipt-refused-v1.bin");

fn id(boot: u64, sequence: u64) -> FrameId {
    let device = DeviceId::new("camera-7.north_1").unwrap();
    FrameId { device, boot, sequence }
}

fn digest() -> Digest {
    Digest(core::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn cut() -> CutId {
    CutId(core::array::from_fn(|i| 0xA0 + u8::try_from(i).unwrap()))
}

fn hops() -> [Hop; 2] {
    [
        Hop {
            part: 0,
            unix_us: 1_700_000_000_123_456,
            decode_us: 2_100,
            run_us: 8_400,
            encode_us: 127,
        },
        Hop {
            part: 1,
            run_us: u32::MAX,
            ..Hop::default()
        },
    ]
}

fn payloads() -> Vec<Vec<u8>> {
    let floats: [f32; 6] = [1.5, -2.25, f32::INFINITY, f32::NEG_INFINITY, 1e-42, -0.0];
    vec![
        floats.iter().flat_map(|x| x.to_le_bytes()).collect(),
        vec![0x00, 0x38, 0xFF, 0xFB],
        vec![],
        i64::MIN.to_le_bytes().to_vec(),
        vec![1],
        vec![0xDE, 0xAD, 0xBE, 0xEF],
    ]
}

fn tensors() -> Vec<TensorHeader> {
    let of = |dtype, shape: &[u32], payload_bytes| TensorHeader {
        dtype,
        shape: Shape::from_slice(shape).unwrap(),
        codec: CodecId::RAW,
        parameters: heapless::Vec::new(),
        payload_bytes,
    };
    vec![
        of(DType::F32, &[2, 3], 24),
        of(DType::F16, &[1, 2, 1], 4),
        of(DType::U8, &[0, 4], 0),
        of(DType::I64, &[], 8),
        of(DType::Bool, &[1], 1),
        TensorHeader {
            codec: CodecId(200),
            parameters: heapless::Vec::from_slice(&[0, 0xFF]).unwrap(),
            ..of(DType::F32, &[300, 7], 4)
        },
    ]
}

fn header() -> FrameHeader {
    FrameHeader {
        id: id(0xFEDC_BA98_7654_3210, 300),
        model: digest(),
        cut: cut(),
        hops: heapless::Vec::from_slice(&hops()).unwrap(),
        tensors: tensors().into_iter().collect(),
    }
}

#[test]
fn a_frame_reads_and_writes_as_it_did() {
    let read = Frame::parse(FRAME).unwrap();
    assert_eq!(read.header, header());
    let read_payloads: Vec<_> = read.tensors().map(|(_, payload)| payload.to_vec()).collect();
    assert_eq!(read_payloads, payloads());

    let payloads = payloads();
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    assert_eq!(frame::to_vec(&header(), &slices).unwrap(), FRAME);
    let mut exact = vec![0; FRAME.len()];
    assert_eq!(frame::write_into(&header(), &slices, &mut exact), Ok(FRAME.len()));
    assert_eq!(exact, FRAME);
}

#[test]
fn an_empty_frame_reads_and_writes_as_it_did() {
    let read = Frame::parse(FRAME_EMPTY).unwrap();
    assert_eq!(read.header.id.device.as_str(), "a");
    assert_eq!(frame::to_vec(&read.header, &[]).unwrap(), FRAME_EMPTY);
}

#[test]
fn the_builder_writes_the_same_bytes_again_and_again() {
    let mut builder = FrameBuilder::new();
    for _ in 0..3 {
        for (header, payload) in tensors().into_iter().zip(payloads()) {
            builder.push_encoded(header, &payload).unwrap();
        }
        let bytes = builder
            .seal(id(0xFEDC_BA98_7654_3210, 300), digest(), cut(), &hops())
            .unwrap();
        assert_eq!(bytes, FRAME);
        let empty = FrameId {
            device: DeviceId::new("a").unwrap(),
            boot: 0,
            sequence: 0,
        };
        assert_eq!(builder.seal(empty, digest(), cut(), &[]).unwrap(), FRAME_EMPTY);
    }
}

#[test]
fn a_failed_push_leaves_the_builder_as_it_was() {
    let mut builder = FrameBuilder::new();
    let all: Vec<_> = tensors().into_iter().zip(payloads()).collect();
    for (header, payload) in &all {
        let lie = TensorHeader {
            payload_bytes: header.payload_bytes + 1,
            ..header.clone()
        };
        let refused = builder.push_encoded(lie, payload);
        assert!(
            matches!(refused, Err(WireError::WrongPayloadLength { .. })),
            "{refused:?}"
        );
        let failed = builder.push_with(|out| {
            out.extend_from_slice(b"half written");
            Err(WireError::BadCodec("on purpose"))
        });
        assert_eq!(failed, Err(WireError::BadCodec("on purpose")));
        builder.push_encoded(header.clone(), payload).unwrap();
    }
    let bytes = builder.seal(id(0xFEDC_BA98_7654_3210, 300), digest(), cut(), &hops());
    assert_eq!(bytes.unwrap(), FRAME);
}

#[test]
fn a_reference_reads_and_writes_as_it_did() {
    let mut model = digest().0;
    model.reverse();
    let expected = Reference {
        id: id(0xFEDC_BA98_7654_3210, 301),
        digest: Digest(model),
        frame_bytes: (1 << 40) + 5,
        location: "https://store.example/frames/00ff?X-Amz-Expires=900"
            .try_into()
            .unwrap(),
    };
    assert_eq!(
        Envelope::parse(REFERENCE).unwrap(),
        Envelope::Reference(expected.clone())
    );
    assert_eq!(expected.to_vec().unwrap(), REFERENCE);
}

#[test]
fn receipts_read_and_write_as_they_did() {
    let answered = Receipt {
        id: id(1, u64::MAX),
        outcome: Outcome::Answered,
        away_us: 41_000,
    };
    let refused = Receipt {
        id: id(1, 128),
        outcome: Outcome::Refused("no model 00ff… here".try_into().unwrap()),
        away_us: 12,
    };
    for (receipt, golden) in [(answered, ANSWERED), (refused, REFUSED)] {
        assert_eq!(Receipt::parse(golden).unwrap(), receipt);
        assert_eq!(receipt.to_vec().unwrap(), golden);
    }
}

/// True when no reader takes these bytes.
fn refused_by_all(bytes: &[u8]) -> bool {
    Frame::parse(bytes).is_err() && Envelope::parse(bytes).is_err() && Receipt::parse(bytes).is_err()
}

#[test]
fn every_prefix_and_every_flipped_bit_is_refused() {
    for golden in [FRAME, FRAME_EMPTY, REFERENCE, ANSWERED, REFUSED] {
        for length in 0..golden.len() {
            assert!(refused_by_all(&golden[..length]), "prefix of {length} bytes was taken");
        }
        let mut bytes = golden.to_vec();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(refused_by_all(&bytes), "flipped bit {bit} was taken");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes.push(0);
        assert!(refused_by_all(&bytes), "a byte behind the end was taken");
    }
}

/// Seals a header as it is, so that what the checksum cannot catch is still refused.
fn resealed(header: &FrameHeader, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 8192];
    let written = kerf_wire::seal::seal_into(kerf_wire::seal::Kind::Frame, header, payload.len(), &mut out, |body| {
        body.copy_from_slice(payload);
        Ok(())
    });
    out.truncate(written.unwrap());
    out
}

#[test]
fn an_intact_frame_that_lies_is_refused() {
    let one = |dtype, shape: &[u32], codec, payload_bytes| {
        let mut lie = header();
        let tensor = TensorHeader {
            dtype,
            shape: Shape::from_slice(shape).unwrap(),
            codec: CodecId(codec),
            parameters: heapless::Vec::new(),
            payload_bytes,
        };
        lie.tensors = [tensor].into_iter().collect();
        lie
    };
    // A raw tensor whose payload is shorter than its shape says.
    let short = resealed(&one(DType::F32, &[3], 0, 8), &[0; 8]);
    assert_eq!(
        Frame::parse(&short),
        Err(WireError::WrongPayloadLength { expected: 12, got: 8 })
    );
    // Payload bytes that no tensor owns, and tensors that own more than there is.
    let extra = resealed(&one(DType::U8, &[1], 0, 1), &[0; 2]);
    assert_eq!(
        Frame::parse(&extra),
        Err(WireError::WrongPayloadLength { expected: 1, got: 2 })
    );
    let missing = resealed(&one(DType::U8, &[2], 0, 2), &[0; 1]);
    assert_eq!(
        Frame::parse(&missing),
        Err(WireError::WrongPayloadLength { expected: 2, got: 1 })
    );
    // A few bytes that claim to decode to more than any frame holds.
    let bomb = resealed(&one(DType::U8, &[1 << 29], 3, 1), &[0; 1]);
    assert_eq!(Frame::parse(&bomb), Err(WireError::OverLimit("decoded tensor bytes")));
    let overflow = resealed(&one(DType::F64, &[u32::MAX; 8], 3, 1), &[0; 1]);
    assert_eq!(Frame::parse(&overflow), Err(WireError::ShapeOverflow));
}

#[test]
fn a_small_buffer_is_an_error() {
    let payloads = payloads();
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    for length in 0..FRAME.len() {
        let mut out = vec![0; length];
        assert_eq!(
            frame::write_into(&header(), &slices, &mut out),
            Err(WireError::BufferTooSmall),
            "a buffer of {length} bytes"
        );
    }
}

#[test]
fn names_that_could_leave_a_topic_are_refused() {
    for bad in ["", ".", ".hidden", "a/b", "a+b", "a#b", "a b", "é", &"x".repeat(49)] {
        assert!(DeviceId::new(bad).is_err(), "{bad:?} was taken");
    }
    assert_eq!(DeviceId::new("Pi-4.lab_2").unwrap().as_str(), "Pi-4.lab_2");
}

#[test]
fn cut_ids_are_the_sha256_of_the_names() {
    // printf 'a\0bc\0' | sha256sum | cut -c1-32
    assert_eq!(CutId::of(["a", "bc"]).to_string(), CUT_ID_A_BC);
    assert_ne!(CutId::of(["ab", "c"]), CutId::of(["a", "bc"]));
    assert_ne!(CutId::of(["bc", "a"]), CutId::of(["a", "bc"]));
}

const CUT_ID_A_BC: &str = "aa795aa4bbb6117911ef062e271bcb05";
