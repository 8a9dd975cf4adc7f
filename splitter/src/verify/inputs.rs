//! Random inputs for a model, the same for the same seed on every machine.

use kerf_runtime::source::Input;
use kerf_runtime::tensor::Tensor;
use kerf_wire::manifest::{Axis, Manifest, Value};
use kerf_wire::{DType, WireError};

use crate::graph::shapes::Symbols;

/// Where a symbolic dimension beyond the batch has no number: large enough for a convolution net's strides.
const SIDE: u64 = 64;

/// Why an input was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The manifest does not describe an input.
    #[error("input {0:?} is not described")]
    Unknown(String),
    /// Its shape does not fit into memory.
    #[error("input {name:?}: {why}")]
    Shape {
        /// The input.
        name: String,
        /// The cause.
        why: WireError,
    },
}

/// `count` random inputs. Floats are normal (mean 0, deviation 1), integers 0 or 1, as indices and masks must be small.
/// A symbol has its number in `symbols`; else the image size where preprocessing names it, a batch of 1, and 64.
///
/// # Errors
/// When an input is not described or too large.
pub fn random(manifest: &Manifest, symbols: &Symbols, seed: u64, count: usize) -> Result<Vec<Input>, InputError> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut one = |index: usize| {
        let tensor = |name: &String| {
            let value = manifest
                .values
                .get(name)
                .ok_or_else(|| InputError::Unknown(name.clone()))?;
            let shape = concrete(manifest, name, value, symbols);
            let tensor = fill(&mut random, value.dtype, &shape);
            let tensor = tensor.map_err(|why| InputError::Shape {
                name: name.clone(),
                why,
            })?;
            Ok((name.clone(), tensor))
        };
        Ok(Input {
            label: format!("random {index}"),
            tensors: manifest
                .model
                .inputs
                .iter()
                .map(tensor)
                .collect::<Result<_, InputError>>()?,
        })
    };
    (0..count).map(&mut one).collect()
}

fn concrete(manifest: &Manifest, name: &str, value: &Value, symbols: &Symbols) -> Vec<u32> {
    let image = manifest.preprocess.as_ref().filter(|p| p.input == name);
    let (rows, columns) = match image.map(|p| p.layout) {
        Some(kerf_wire::manifest::Layout::Nchw) => (2, 3),
        Some(kerf_wire::manifest::Layout::Nhwc) => (1, 2),
        None => (usize::MAX, usize::MAX),
    };
    let dim = |(axis, dim): (usize, &Axis)| match dim {
        Axis::Fixed(n) => *n,
        Axis::Symbol(symbol) => match (symbols.get(symbol), image) {
            (Some(n), _) => u32::try_from(*n).unwrap_or(u32::MAX),
            (None, Some(image)) if axis == rows => image.height,
            (None, Some(image)) if axis == columns => image.width,
            (None, _) if axis == 0 => 1,
            (None, _) => u32::try_from(SIDE).unwrap_or(1),
        },
    };
    value.shape.iter().enumerate().map(dim).collect()
}

fn fill(random: &mut fastrand::Rng, dtype: DType, shape: &[u32]) -> Result<Tensor, WireError> {
    let mut tensor = Tensor::zeros(dtype, shape)?;
    macro_rules! each {
        ($type:ty, $make:expr) => {
            for bytes in tensor
                .bytes_mut()
                .as_chunks_mut::<{ std::mem::size_of::<$type>() }>()
                .0
            {
                let number: $type = $make;
                *bytes = number.to_le_bytes();
            }
        };
    }
    let bit = |random: &mut fastrand::Rng| random.u8(0..2);
    match dtype {
        DType::F32 => each!(f32, normal(random)),
        DType::F64 => each!(f64, f64::from(normal(random))),
        DType::F16 => each!(half::f16, half::f16::from_f32(normal(random))),
        DType::Bf16 => each!(half::bf16, half::bf16::from_f32(normal(random))),
        DType::I8 | DType::U8 | DType::Bool => each!(u8, bit(random)),
        DType::I16 | DType::U16 => each!(u16, u16::from(bit(random))),
        DType::I32 | DType::U32 => each!(u32, u32::from(bit(random))),
        DType::I64 | DType::U64 => each!(u64, u64::from(bit(random))),
    }
    Ok(tensor)
}

/// The sum of twelve uniform numbers less six: mean 0, deviation 1, and the same bits wherever it runs.
fn normal(random: &mut fastrand::Rng) -> f32 {
    (0..12).map(|_| random.f32()).sum::<f32>() - 6.0
}
