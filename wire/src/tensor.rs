//! A tensor without its memory: dtype, shape, name, and a borrowed view of little-endian bytes.

use core::fmt;

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::error::WireError;
use crate::limits::{MAX_NAME_BYTES, MAX_RANK};

/// The name of a value.
pub type Name = String<MAX_NAME_BYTES>;

/// A concrete shape, outermost dimension first, e.g. `[N, C, H, W]`.
pub type Shape = Vec<u32, MAX_RANK>;

/// What one element is. The discriminants are part of the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the definition")]
pub enum DType {
    F32 = 0,
    F16 = 1,
    Bf16 = 2,
    F64 = 3,
    I8 = 4,
    U8 = 5,
    I16 = 6,
    U16 = 7,
    I32 = 8,
    U32 = 9,
    I64 = 10,
    U64 = 11,
    Bool = 12,
}

impl DType {
    /// Bytes of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// True for the floating-point kinds.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16 | Self::F64)
    }

    /// The lower-case name that manifests and tables use, e.g. `f32`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F64 => "f64",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::Bool => "bool",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One dimension of a value before it is run: a number, or not known until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dim {
    /// Always this many.
    Fixed(u32),
    /// Known only when the model runs.
    Dynamic,
}

/// What a session expects or gives under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The value's name in the model.
    pub name: Name,
    /// Its element type.
    pub dtype: DType,
    /// Its dimensions, outermost first.
    pub shape: Vec<Dim, MAX_RANK>,
}

impl TensorSpec {
    /// Binds a name, an element type and dimensions.
    ///
    /// # Errors
    /// When the name or the rank is over its bound.
    pub fn new(text: &str, dtype: DType, dims: impl IntoIterator<Item = Dim>) -> Result<Self, WireError> {
        let mut shape = Vec::new();
        for dim in dims {
            shape.push(dim).map_err(|_| WireError::OverLimit("tensor rank"))?;
        }
        Ok(Self {
            name: name(text)?,
            dtype,
            shape,
        })
    }

    /// True when a tensor of this dtype and shape can be taken for this value.
    pub fn accepts(&self, dtype: DType, shape: &[u32]) -> bool {
        self.dtype == dtype
            && self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(want, &got)| match want {
                Dim::Fixed(n) => *n == got,
                Dim::Dynamic => true,
            })
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}[", self.name, self.dtype)?;
        for (i, dim) in self.shape.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match dim {
                Dim::Fixed(n) => write!(f, "{comma}{n}")?,
                Dim::Dynamic => write!(f, "{comma}?")?,
            }
        }
        f.write_str("]")
    }
}

/// A borrowed tensor: elements in row-major order, each little-endian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorRef<'a> {
    /// Element type.
    pub dtype: DType,
    /// Shape, outermost dimension first; empty for a scalar.
    pub shape: &'a [u32],
    /// `elements × size_bytes` bytes.
    pub bytes: &'a [u8],
}

impl<'a> TensorRef<'a> {
    /// Binds bytes to their meaning.
    ///
    /// # Errors
    /// When the rank is over its bound, the shape overflows, or the length does not match.
    pub fn new(dtype: DType, shape: &'a [u32], bytes: &'a [u8]) -> Result<Self, WireError> {
        let expected = payload_bytes(dtype, shape)?;
        if expected != bytes.len() {
            return Err(WireError::WrongPayloadLength {
                expected,
                got: bytes.len(),
            });
        }
        Ok(Self { dtype, shape, bytes })
    }
}

/// Elements of a shape; 1 for a scalar.
///
/// # Errors
/// When the rank is over its bound or the product overflows.
pub fn elements(shape: &[u32]) -> Result<usize, WireError> {
    if shape.len() > MAX_RANK {
        return Err(WireError::OverLimit("tensor rank"));
    }
    shape.iter().try_fold(1_usize, |product, &dim| {
        product
            .checked_mul(usize::try_from(dim).map_err(|_| WireError::ShapeOverflow)?)
            .ok_or(WireError::ShapeOverflow)
    })
}

/// Bytes that a raw tensor of this dtype and shape takes.
///
/// # Errors
/// As [`elements`].
pub fn payload_bytes(dtype: DType, shape: &[u32]) -> Result<usize, WireError> {
    elements(shape)?
        .checked_mul(dtype.size_bytes())
        .ok_or(WireError::ShapeOverflow)
}

/// A name from a string.
///
/// # Errors
/// When it is longer than [`MAX_NAME_BYTES`].
pub fn name(text: &str) -> Result<Name, WireError> {
    Name::try_from(text).map_err(|_| WireError::OverLimit("value name bytes"))
}
