//! Tensors in and out of tract: one copy each way.

use kerf_wire::{DType, TensorRef};
#[allow(
    clippy::wildcard_imports,
    reason = "tract's own prelude: its macros expand to these names"
)]
use tract_core::internal::*;

use crate::tensor::Tensor as Ours;

/// Our element type for tract's; none for what does not travel (strings, symbols).
pub(super) fn dtype(datum: DatumType) -> Option<DType> {
    Some(match datum.unquantized() {
        DatumType::F32 => DType::F32,
        DatumType::F16 => DType::F16,
        DatumType::F64 => DType::F64,
        DatumType::I8 => DType::I8,
        DatumType::U8 => DType::U8,
        DatumType::I16 => DType::I16,
        DatumType::U16 => DType::U16,
        DatumType::I32 => DType::I32,
        DatumType::U32 => DType::U32,
        DatumType::I64 => DType::I64,
        DatumType::U64 => DType::U64,
        DatumType::Bool => DType::Bool,
        _ => return None,
    })
}

/// tract's element type for ours.
pub(super) fn datum(dtype: DType) -> TractResult<DatumType> {
    Ok(match dtype {
        DType::F32 => DatumType::F32,
        DType::F16 => DatumType::F16,
        DType::F64 => DatumType::F64,
        DType::I8 => DatumType::I8,
        DType::U8 => DatumType::U8,
        DType::I16 => DatumType::I16,
        DType::U16 => DatumType::U16,
        DType::I32 => DatumType::I32,
        DType::U32 => DatumType::U32,
        DType::I64 => DatumType::I64,
        DType::U64 => DatumType::U64,
        DType::Bool => DatumType::Bool,
        DType::Bf16 => bail!("tract has no bf16"),
    })
}

/// A shape as tract counts.
pub(super) fn shape(dims: &[u32]) -> TVec<usize> {
    dims.iter().map(|dim| *dim as usize).collect()
}

/// Copies a tensor for tract, as the type that the model's input has.
pub(super) fn write(tensor: &TensorRef<'_>, expected: DatumType) -> TractResult<TValue> {
    let shape = shape(tensor.shape);
    // The common case goes without clearing the memory first.
    if tensor.dtype == DType::F32
        && let Ok(data) = bytemuck::try_cast_slice::<u8, f32>(tensor.bytes)
    {
        return Ok(Tensor::from_shape(&shape, data)?.into_tvalue());
    }
    // A quantised type has the same bytes as the plain one.
    let same = dtype(expected) == Some(tensor.dtype);
    let datum = if same { expected } else { datum(tensor.dtype)? };
    let mut copy = Tensor::zero_dt(datum, &shape)?;
    let bytes = copy.as_bytes_mut();
    ensure!(
        bytes.len() == tensor.bytes.len(),
        "expected {} bytes, got {}",
        bytes.len(),
        tensor.bytes.len()
    );
    bytes.copy_from_slice(tensor.bytes);
    Ok(copy.into_tvalue())
}

/// Copies a result out of tract into a tensor that is reused.
pub(super) fn read(result: &Tensor, output: &mut Ours) -> TractResult<()> {
    let datum = result.datum_type();
    if datum == DatumType::TDim {
        // Shape arithmetic leaves symbols that are numbers by now.
        return read(&*result.cast_to::<i64>()?, output);
    }
    let dtype = dtype(datum).with_context(|| format!("an output is of type {datum:?}, which cannot travel"))?;
    let mut dims = kerf_wire::Shape::new();
    for dim in result.shape() {
        let dim = u32::try_from(*dim).ok().and_then(|dim| dims.push(dim).ok());
        dim.with_context(|| format!("output shape {:?} is over the limit", result.shape()))?;
    }
    output.reset(dtype, &dims)?;
    let bytes = result.as_plain_ram().context("an output is not in plain memory")?;
    ensure!(
        bytes.as_bytes().len() >= output.bytes().len(),
        "an output is shorter than its shape"
    );
    let len = output.bytes().len();
    output
        .bytes_mut()
        .copy_from_slice(bytes.as_bytes().get(..len).unwrap_or_default());
    Ok(())
}
