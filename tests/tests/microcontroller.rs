//! A microcontroller can feed a stage: a program for a Cortex-M4, run by qemu, reads and writes the golden messages, refuses
//! damaged ones, and sends a frame that is read here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use kerf_tests::{succeed, xtask};
use kerf_wire::Frame;

#[test]
fn a_cortex_m4_writes_a_frame_that_a_stage_reads() {
    let mut emulate = xtask();
    // A test installs nothing: `cargo xtask setup` has.
    emulate.args(["emulate", "thumb", "--offline"]);
    if std::env::var_os("CI").is_none() {
        let output = emulate.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("missing packages") {
            eprintln!("SKIPPED: {said}");
            return;
        }
    }
    let said = succeed(&mut emulate);
    assert!(said.contains("golden messages read and written"), "{said}");
    // 198 prefixes and 8 × 198 flipped bits of one golden frame.
    assert!(said.contains("1782 damaged messages refused"), "{said}");
    let digits = said
        .lines()
        .find_map(|line| line.strip_prefix("frame "))
        .expect("a frame is sent");
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let frame = Frame::parse(&bytes).unwrap();
    assert_eq!(frame.header.id.to_string(), "cortex-m4/0000000000000001/0");
    let (tensor, payload) = frame.tensors().next().unwrap();
    assert_eq!(tensor.shape.as_slice(), [1, 64]);
    let samples: Vec<f32> = payload
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let ramp: Vec<f32> = (0..64_u8).map(|i| f32::from(i) / 32.0 - 1.0).collect();
    assert_eq!(samples, ramp);
}
