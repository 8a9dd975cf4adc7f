//! Damaged payloads of every codec are refused or decode to exactly the declared shape, and neither takes more memory than
//! twice what the header declares: the output and as much again. Every allocation is counted, on this thread.
//!
//! Zstandard's own context, about 100 KB whatever the payload, is the C library's and not counted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::similar_names,
    reason = "a test says what failed by panicking"
)]

mod kit;

use kerf_wire::codec::{Codec, Coder};
use kerf_wire::{DType, TensorHeader, TensorRef, WireError};
use kit::{bytes_of, codecs, smooth};

/// One channel alone, one element alone, several blocks, no channel axis.
const SHAPES: [&[u32]; 5] = [&[1, 9, 4, 6], &[1, 1, 16, 16], &[1, 1, 1, 1], &[1, 12, 14, 14], &[7]];

/// Xorshift64*: a seed in, the same damage out.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }
}

/// What an encoder made, and what its reader knows.
struct Sent {
    codec: Codec,
    header: TensorHeader,
    payload: Vec<u8>,
}

/// Every codec on a tensor of every shape.
fn intact() -> Vec<Sent> {
    let mut coder = Coder::new();
    let mut sent = Vec::new();
    for shape in SHAPES {
        let count: u32 = shape.iter().product();
        let elements = smooth([1, 1, 1, count]);
        let bytes = bytes_of(&elements);
        let tensor = TensorRef::new(DType::F32, shape, &bytes).unwrap();
        for (_, _, codec) in codecs(shape) {
            let mut payload = Vec::new();
            let header = coder.encode(&codec, &tensor, &mut payload).unwrap();
            sent.push(Sent { codec, header, payload });
        }
    }
    sent
}

/// Decodes with nothing allocated before, and checks what was allocated at its peak, the output included.
fn decode(sent: &Sent, declared: usize) -> Result<usize, WireError> {
    let mut result = Ok(0);
    let counted = allocation_counter::measure(|| {
        let mut out = vec![0; declared];
        let decoded = Coder::new().decode(&sent.codec, &sent.header, &sent.payload, &mut out);
        result = decoded.map(|()| out.len());
    });
    let most = u64::try_from(2 * declared).unwrap();
    assert!(
        counted.bytes_max <= most,
        "{} {:?}: {} bytes at the peak, {declared} declared",
        sent.header.codec,
        sent.header.shape,
        counted.bytes_max
    );
    result
}

fn damage(sent: &Sent, random: &mut Random) -> Sent {
    let (mut header, mut payload) = (sent.header.clone(), sent.payload.clone());
    for _ in 0..=random.below(3) {
        match random.below(6) {
            0 => payload.truncate(random.below(payload.len() + 1)),
            1 => payload.push(random.next().to_le_bytes()[0]),
            2 if !header.parameters.is_empty() => {
                let at = random.below(header.parameters.len());
                header.parameters[at] ^= 1 << random.below(8);
            }
            3 => {
                let axis = random.below(header.shape.len());
                header.shape[axis] = u32::try_from(random.below(20)).unwrap();
            }
            _ if !payload.is_empty() => {
                let at = random.below(payload.len());
                payload[at] ^= 1 << random.below(8);
            }
            _ => {}
        }
    }
    Sent {
        codec: sent.codec.clone(),
        header,
        payload,
    }
}

#[test]
fn what_is_intact_decodes_within_twice_its_declared_size() {
    for sent in intact() {
        let declared = sent.header.decoded_bytes().unwrap();
        assert_eq!(decode(&sent, declared), Ok(declared), "{}", sent.header.codec);
    }
}

fn rounds(rounds: usize, seed: u64) {
    eprintln!("seed {seed}");
    let mut random = Random(seed);
    let intact = intact();
    let (mut refused, mut decoded) = (0, 0);
    for _ in 0..rounds {
        let damaged = damage(&intact[random.below(intact.len())], &mut random);
        let declared = damaged.header.decoded_bytes().unwrap();
        match decode(&damaged, declared) {
            Ok(length) => {
                assert_eq!(length, declared);
                decoded += 1;
            }
            Err(_) => refused += 1,
        }
    }
    eprintln!("{refused} refused, {decoded} decoded");
    assert!(
        refused > rounds / 10 && decoded > 0,
        "{refused} refused, {decoded} decoded"
    );
}

#[test]
fn damaged_payloads_are_refused_or_decode_to_the_declared_shape() {
    rounds(20_000, 20_261_123);
}

#[test]
#[ignore = "a million rounds; run by cargo test -p kerf-wire --features zstd --release --test damage -- --ignored"]
fn a_million_damaged_payloads() {
    for seed in 1..=10 {
        rounds(100_000, seed);
    }
}
