//! Tensors in and out of ONNX Runtime: inputs are lent without a copy, outputs are copied once.

use std::fmt::Debug;

use bytemuck::Pod;
use half::{bf16, f16};
use kerf_wire::{DType, TensorRef};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, Shape, TensorElementType, ValueType};

use crate::tensor::Tensor;

/// Our element type for ONNX Runtime's; none for what this driver does not carry.
pub(super) fn dtype(ty: TensorElementType) -> Option<DType> {
    Some(match ty {
        TensorElementType::Float32 => DType::F32,
        TensorElementType::Float64 => DType::F64,
        TensorElementType::Float16 => DType::F16,
        TensorElementType::Bfloat16 => DType::Bf16,
        TensorElementType::Int8 => DType::I8,
        TensorElementType::Uint8 => DType::U8,
        TensorElementType::Int16 => DType::I16,
        TensorElementType::Uint16 => DType::U16,
        TensorElementType::Int32 => DType::I32,
        TensorElementType::Uint32 => DType::U32,
        TensorElementType::Int64 => DType::I64,
        TensorElementType::Uint64 => DType::U64,
        TensorElementType::Bool => DType::Bool,
        _ => return None,
    })
}

/// Lends a tensor to the engine; only bytes that lie askew are copied.
pub(super) fn value<'a>(tensor: &TensorRef<'a>) -> ort::Result<SessionInputValue<'a>> {
    match tensor.dtype {
        DType::F32 => lend::<f32>(tensor),
        DType::F64 => lend::<f64>(tensor),
        DType::I8 => lend::<i8>(tensor),
        DType::U8 => lend::<u8>(tensor),
        DType::I16 => lend::<i16>(tensor),
        DType::U16 => lend::<u16>(tensor),
        DType::I32 => lend::<i32>(tensor),
        DType::U32 => lend::<u32>(tensor),
        DType::I64 => lend::<i64>(tensor),
        DType::U64 => lend::<u64>(tensor),
        DType::Bool => {
            let data = tensor.bytes.iter().map(|byte| *byte != 0).collect::<Vec<bool>>();
            Ok(ort::value::Tensor::from_array((shape(tensor), data))?.into())
        }
        DType::F16 => Ok(lend_half::<f16>(tensor)?.into()),
        DType::Bf16 => Ok(lend_half::<bf16>(tensor)?.into()),
    }
}

fn shape(tensor: &TensorRef<'_>) -> Vec<i64> {
    tensor.shape.iter().map(|dim| i64::from(*dim)).collect()
}

fn lend<'a, T>(tensor: &TensorRef<'a>) -> ort::Result<SessionInputValue<'a>>
where
    T: Pod + PrimitiveTensorElementType + Debug + 'static,
{
    if let Ok(data) = bytemuck::try_cast_slice::<u8, T>(tensor.bytes) {
        return Ok(ort::value::TensorRef::from_array_view((shape(tensor), data))?.into());
    }
    let words = tensor.bytes.chunks_exact(size_of::<T>());
    let data: Vec<T> = words.map(bytemuck::pod_read_unaligned).collect();
    Ok(ort::value::Tensor::from_array((shape(tensor), data))?.into())
}

/// Half floats have the bytes of a `u16`.
fn lend_half<T>(tensor: &TensorRef<'_>) -> ort::Result<ort::value::Tensor<T>>
where
    T: PrimitiveTensorElementType + Debug + HalfBits + 'static,
{
    let words = tensor.bytes.chunks_exact(2).map(bytemuck::pod_read_unaligned::<u16>);
    let data: Vec<T> = words.map(T::of_bits).collect();
    ort::value::Tensor::from_array((shape(tensor), data))
}

/// A half float and its bits.
trait HalfBits: Copy {
    fn of_bits(bits: u16) -> Self;
    fn bits(self) -> u16;
}

impl HalfBits for f16 {
    fn of_bits(bits: u16) -> Self {
        Self::from_bits(bits)
    }

    fn bits(self) -> u16 {
        self.to_bits()
    }
}

impl HalfBits for bf16 {
    fn of_bits(bits: u16) -> Self {
        Self::from_bits(bits)
    }

    fn bits(self) -> u16 {
        self.to_bits()
    }
}

/// Copies an output into a tensor that is reused.
pub(super) fn read(value: &DynValue, output: &mut Tensor) -> ort::Result<()> {
    let ValueType::Tensor { ty, .. } = value.dtype() else {
        return Err(ort::Error::new("an output is no tensor"));
    };
    match dtype(*ty) {
        Some(DType::F32) => copy::<f32>(value, DType::F32, output),
        Some(DType::F64) => copy::<f64>(value, DType::F64, output),
        Some(DType::F16) => copy_half::<f16>(value, DType::F16, output),
        Some(DType::Bf16) => copy_half::<bf16>(value, DType::Bf16, output),
        Some(DType::I8) => copy::<i8>(value, DType::I8, output),
        Some(DType::U8) => copy::<u8>(value, DType::U8, output),
        Some(DType::I16) => copy::<i16>(value, DType::I16, output),
        Some(DType::U16) => copy::<u16>(value, DType::U16, output),
        Some(DType::I32) => copy::<i32>(value, DType::I32, output),
        Some(DType::U32) => copy::<u32>(value, DType::U32, output),
        Some(DType::I64) => copy::<i64>(value, DType::I64, output),
        Some(DType::U64) => copy::<u64>(value, DType::U64, output),
        Some(DType::Bool) => {
            let (shape, data) = value.try_extract_tensor::<bool>()?;
            reset(output, DType::Bool, shape)?;
            for (byte, truth) in output.bytes_mut().iter_mut().zip(data) {
                *byte = u8::from(*truth);
            }
            Ok(())
        }
        _ => Err(ort::Error::new(format!(
            "an output is of type {ty}, which cannot travel"
        ))),
    }
}

fn copy<T: Pod + PrimitiveTensorElementType>(value: &DynValue, dtype: DType, output: &mut Tensor) -> ort::Result<()> {
    let (shape, data) = value.try_extract_tensor::<T>()?;
    reset(output, dtype, shape)?;
    let bytes: &[u8] = bytemuck::cast_slice(data);
    if bytes.len() != output.bytes().len() {
        return Err(ort::Error::new("an output's length is not its shape's"));
    }
    output.bytes_mut().copy_from_slice(bytes);
    Ok(())
}

fn copy_half<T>(value: &DynValue, dtype: DType, output: &mut Tensor) -> ort::Result<()>
where
    T: PrimitiveTensorElementType + HalfBits,
{
    let (shape, data) = value.try_extract_tensor::<T>()?;
    reset(output, dtype, shape)?;
    for (word, half) in output.as_slice_mut::<u16>().iter_mut().zip(data) {
        *word = half.bits();
    }
    Ok(())
}

fn reset(output: &mut Tensor, dtype: DType, shape: &Shape) -> ort::Result<()> {
    let dims = shape
        .iter()
        .map(|dim| u32::try_from(*dim))
        .collect::<Result<Vec<_>, _>>();
    let dims = dims.map_err(|_| ort::Error::new("an output's shape is over the limit"))?;
    output
        .reset(dtype, &dims)
        .map_err(|why| ort::Error::new(why.to_string()))
}
