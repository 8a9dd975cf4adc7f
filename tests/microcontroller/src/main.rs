//! The wire format on a Cortex-M4 without an allocator.
//!
//! Reads and writes the golden messages of version 1, refuses every damaged one, and then does what a sensor would do: writes a
//! window of samples into a frame in a buffer of its own and sends it, here by semihosting as one line of hexadecimal digits.
//! Start at [`main`].

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprint, hprintln};
use kerf_wire::{
    CutId, DType, DeviceId, Digest, Envelope, Frame, FrameHeader, FrameId, Hop, Receipt, TensorRef, WireError, frame,
};

const FRAME: &[u8] = include_bytes!("../../../wire/tests/golden/frame-v1.bin");
const FRAME_EMPTY: &[u8] = include_bytes!("../../../wire/tests/golden/frame-empty-v1.bin");
const REFERENCE: &[u8] = include_bytes!("../../../wire/tests/golden/reference-v1.bin");
const ANSWERED: &[u8] = include_bytes!("../../../wire/tests/golden/receipt-answered-v1.bin");
const REFUSED: &[u8] = include_bytes!("../../../wire/tests/golden/receipt-refused-v1.bin");

/// Room for the longest golden message, and for a frame of samples.
const BUFFER_BYTES: usize = 1024;
/// Samples of one window, as f32 in little-endian order.
const SAMPLES: usize = 64;

#[entry]
fn main() -> ! {
    match golden().and_then(|()| damaged()).and_then(|()| send()) {
        Ok(()) => debug::exit(debug::EXIT_SUCCESS),
        Err(why) => {
            hprintln!("failed: {}", why);
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    halt()
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    halt()
}

fn halt() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// What is read and written again has the same bytes.
fn golden() -> Result<(), WireError> {
    let mut buffer = [0; BUFFER_BYTES];
    for bytes in [FRAME, FRAME_EMPTY] {
        let read = Frame::parse(bytes)?;
        let mut payloads: heapless::Vec<&[u8], 8> = heapless::Vec::new();
        for (_, payload) in read.tensors() {
            payloads
                .push(payload)
                .map_err(|_| WireError::OverLimit("payloads of this test"))?;
        }
        let written = frame::write_into(&read.header, &payloads, &mut buffer)?;
        same(&buffer[..written], bytes)?;
    }
    let Envelope::Reference(reference) = Envelope::parse(REFERENCE)? else {
        return Err(WireError::BadHeader);
    };
    let written = reference.write_into(&mut buffer)?;
    same(&buffer[..written], REFERENCE)?;
    for bytes in [ANSWERED, REFUSED] {
        let written = Receipt::parse(bytes)?.write_into(&mut buffer)?;
        same(&buffer[..written], bytes)?;
    }
    hprintln!("golden messages read and written");
    Ok(())
}

fn same(written: &[u8], golden: &[u8]) -> Result<(), WireError> {
    if written == golden {
        Ok(())
    } else {
        Err(WireError::BadChecksum)
    }
}

/// Every prefix and every flipped bit is refused, without a panic.
fn damaged() -> Result<(), WireError> {
    let mut refused = 0_u32;
    for end in 0..FRAME.len() {
        if Frame::parse(&FRAME[..end]).is_ok() {
            return Err(WireError::TrailingBytes(end));
        }
        refused += 1;
    }
    let mut copy = [0; BUFFER_BYTES];
    let copy = &mut copy[..FRAME.len()];
    for bit in 0..FRAME.len() * 8 {
        copy.copy_from_slice(FRAME);
        copy[bit / 8] ^= 1 << (bit % 8);
        if Frame::parse(copy).is_ok() {
            return Err(WireError::TrailingBytes(bit));
        }
        refused += 1;
    }
    hprintln!("{} damaged messages refused", refused);
    Ok(())
}

/// A window of samples as a frame, sent.
fn send() -> Result<(), WireError> {
    let mut samples = [0_u8; SAMPLES * 4];
    for (index, sample) in samples.chunks_exact_mut(4).enumerate() {
        // A ramp from −1 to 1: exact in f32, so that the receiver can check it.
        let value = index as f32 / 32.0 - 1.0;
        sample.copy_from_slice(&value.to_le_bytes());
    }
    let shape = [1, SAMPLES as u32];
    let tensor = TensorRef {
        dtype: DType::F32,
        shape: &shape,
        bytes: &samples,
    };
    let mut header = FrameHeader {
        id: FrameId {
            device: DeviceId::new("cortex-m4")?,
            boot: 1,
            sequence: 0,
        },
        model: Digest([0x11; 32]),
        cut: CutId([0x22; 16]),
        hops: heapless::Vec::new(),
        tensors: heapless::Vec::new(),
    };
    let hop = Hop {
        part: 0,
        ..Hop::default()
    };
    header.hops.push(hop).map_err(|_| WireError::OverLimit("hops"))?;
    header
        .tensors
        .push(frame::raw_header(&tensor)?)
        .map_err(|_| WireError::OverLimit("tensors"))?;
    let mut buffer = [0; BUFFER_BYTES];
    let written = frame::write_into(&header, &[tensor.bytes], &mut buffer)?;
    hprint!("frame ");
    for byte in &buffer[..written] {
        hprint!("{:02x}", byte);
    }
    hprintln!("");
    Ok(())
}
