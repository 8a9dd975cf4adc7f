//! An owned tensor that is reused from run to run.

use kerf_wire::tensor::payload_bytes;
use kerf_wire::{DType, Shape, TensorRef, WireError};

/// Elements in row-major order, each little-endian, in memory aligned for every [`DType`].
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    /// `u64` words, so that the bytes can be viewed as any element type without a copy.
    words: Vec<u64>,
    len: usize,
}

impl Tensor {
    /// A tensor of zeros.
    ///
    /// # Errors
    /// When the rank is over its bound or the shape overflows.
    pub fn zeros(dtype: DType, shape: &[u32]) -> Result<Self, WireError> {
        let mut tensor = Self::default();
        tensor.reset(dtype, shape)?;
        Ok(tensor)
    }

    /// A copy of a borrowed tensor.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn copy_of(view: TensorRef<'_>) -> Result<Self, WireError> {
        let mut tensor = Self::zeros(view.dtype, view.shape)?;
        tensor.bytes_mut().copy_from_slice(view.bytes);
        Ok(tensor)
    }

    /// A tensor of 32-bit floats.
    ///
    /// # Errors
    /// When `data` does not have the shape's number of elements.
    pub fn from_f32(shape: &[u32], data: &[f32]) -> Result<Self, WireError> {
        Self::copy_of(TensorRef::new(DType::F32, shape, bytemuck::cast_slice(data))?)
    }

    /// Takes another dtype and shape, keeping the memory where it is large enough. Contents are unspecified after.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn reset(&mut self, dtype: DType, shape: &[u32]) -> Result<(), WireError> {
        let len = payload_bytes(dtype, shape)?;
        self.shape = Shape::from_slice(shape).map_err(|_| WireError::OverLimit("tensor rank"))?;
        self.dtype = dtype;
        self.len = len;
        self.words.resize(len.div_ceil(8), 0);
        Ok(())
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Shape, outermost dimension first.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// The elements' bytes.
    pub fn bytes(&self) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.words);
        bytes.get(..self.len).unwrap_or(bytes)
    }

    /// The elements' bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
        let len = len.min(bytes.len());
        &mut bytes[..len]
    }

    /// The elements as `T`, where `T` is as wide as the dtype; the caller has matched the dtype.
    pub fn as_slice<T: bytemuck::Pod>(&self) -> &[T] {
        bytemuck::try_cast_slice(self.bytes()).unwrap_or(&[])
    }

    /// The elements as `T`, to be written; see [`Tensor::as_slice`].
    pub fn as_slice_mut<T: bytemuck::Pod>(&mut self) -> &mut [T] {
        bytemuck::try_cast_slice_mut(self.bytes_mut()).unwrap_or(&mut [])
    }

    /// A borrowed view.
    pub fn view(&self) -> TensorRef<'_> {
        TensorRef {
            dtype: self.dtype,
            shape: &self.shape,
            bytes: self.bytes(),
        }
    }
}

impl Default for Tensor {
    fn default() -> Self {
        Self {
            dtype: DType::U8,
            shape: [0].into_iter().collect(),
            words: Vec::new(),
            len: 0,
        }
    }
}
