//! Frames, references and receipts as they come from a broker: damaged ones are refused, intact ones decode within their
//! own lengths.

#![no_main]

use crc::{CRC_32_ISCSI, Crc};
use kerf_wire::codec::{Codec, Coder};
use kerf_wire::{Envelope, Frame, InferenceResult, Receipt};
use libfuzzer_sys::fuzz_target;

const CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// Larger tensors only cost time.
const MAX_DECODED_BYTES: usize = 4 << 20;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // A checksum that is right lets the fuzzer past it.
    if let Some((body, _)) = bytes.split_last_chunk::<4>() {
        let mut sealed = body.to_vec();
        sealed.extend_from_slice(&CASTAGNOLI.checksum(body).to_le_bytes());
        read(&sealed);
    }
});

fn read(bytes: &[u8]) {
    let result: Result<InferenceResult, _> = serde_json_of(bytes);
    drop(result);
    if let Ok(receipt) = Receipt::parse(bytes) {
        let again = receipt.to_vec().expect("a receipt that was read can be written");
        assert_eq!(Receipt::parse(&again).expect("and read again"), receipt);
    }
    if let Ok(Envelope::Reference(reference)) = Envelope::parse(bytes) {
        let again = reference.to_vec().expect("a reference that was read can be written");
        assert!(matches!(Envelope::parse(&again), Ok(Envelope::Reference(r)) if r == reference));
    }
    let Ok(frame) = Frame::parse(bytes) else { return };
    let mut coder = Coder::new();
    for (header, payload) in frame.tensors() {
        if header.view(payload).is_ok_and(|view| view.is_some()) {
            continue;
        }
        let Ok(length) = header.decoded_bytes() else { continue };
        if length <= MAX_DECODED_BYTES {
            let mut out = vec![0; length];
            let _refused_or_not = coder.decode(&Codec::RAW, header, payload, &mut out);
        }
    }
}

fn serde_json_of(bytes: &[u8]) -> Result<InferenceResult, kerf_wire::manifest::ManifestError> {
    serde_json::from_slice(bytes).map_err(kerf_wire::manifest::ManifestError::Json)
}
