//! Inputs for a model of which none are at hand.

use kerf_wire::{DType, Dim, TensorSpec};

use super::InputError;
use crate::tensor::Tensor;

/// A tensor for each input: floats even in [0, 1), integers 0 or 1, from a seed. A dimension that is not known is 1.
///
/// # Errors
/// When a shape overflows.
pub fn random_inputs(specs: &[TensorSpec], seed: u64) -> Result<Vec<Tensor>, InputError> {
    let mut random = SplitMix(seed);
    specs.iter().map(|spec| random_input(spec, &mut random)).collect()
}

fn random_input(spec: &TensorSpec, random: &mut SplitMix) -> Result<Tensor, InputError> {
    let shape: Vec<u32> = spec
        .shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Dynamic => 1,
        })
        .collect();
    let mut tensor = Tensor::zeros(spec.dtype, &shape).map_err(|why| InputError::Shape {
        name: spec.name.to_string(),
        why,
    })?;
    let size = spec.dtype.size_bytes();
    for element in tensor.bytes_mut().chunks_exact_mut(size) {
        match spec.dtype {
            DType::F32 => element.copy_from_slice(&random.unit().to_le_bytes()),
            DType::F64 => element.copy_from_slice(&f64::from(random.unit()).to_le_bytes()),
            // The upper half of a float is a bfloat16; 0x3c00 … 0x3800 is 1.0 … 0.5 as a float of 16 bits.
            DType::Bf16 => element.copy_from_slice(&random.unit().to_le_bytes()[2..]),
            DType::F16 => element.copy_from_slice(&(0x3800 + random.bits(10)).to_le_bytes()),
            _ => element[0] = u8::from(random.bits(1) == 1),
        }
    }
    Ok(tensor)
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At most 16 bits.
    fn bits(&mut self, bits: u32) -> u16 {
        u16::try_from(self.next() & ((1 << bits) - 1)).unwrap_or(0)
    }

    fn unit(&mut self) -> f32 {
        f32::from(self.bits(16)) / 65536.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_floats_in_range() {
        let spec = TensorSpec::new("x", DType::F32, [Dim::Dynamic, Dim::Fixed(50)]).unwrap();
        let specs = [spec];
        let (a, b) = (random_inputs(&specs, 5).unwrap(), random_inputs(&specs, 5).unwrap());
        assert_eq!(a, b);
        assert_eq!(a[0].shape(), [1, 50]);
        let floats: &[f32] = a[0].as_slice();
        assert!(floats.iter().all(|x| (0.0..1.0).contains(x)) && floats[0].to_bits() != floats[1].to_bits());
    }
}
