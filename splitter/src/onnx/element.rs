//! ONNX element types (TensorProto.DataType), and those of them that a frame can carry.

use std::fmt;

use kerf_wire::DType;

/// What one element of a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the definition")]
pub enum ElementType {
    /// One that frames carry.
    Wire(DType),
    String,
    Complex64,
    Complex128,
    /// 8, 6, 4 or 2 bits wide: ONNX's number, and the bits.
    Narrow(i32, u8),
    /// A number that this program does not know.
    Unknown(i32),
}

/// `TensorProto.DataType` numbers of the types that frames carry.
const WIRE: [(i32, DType); 13] = [
    (1, DType::F32),
    (2, DType::U8),
    (3, DType::I8),
    (4, DType::U16),
    (5, DType::I16),
    (6, DType::I32),
    (7, DType::I64),
    (9, DType::Bool),
    (10, DType::F16),
    (11, DType::F64),
    (12, DType::U32),
    (13, DType::U64),
    (16, DType::Bf16),
];

impl ElementType {
    /// From ONNX's number.
    pub fn from_onnx(number: i32) -> Self {
        if let Some((_, dtype)) = WIRE.iter().find(|(n, _)| *n == number) {
            return Self::Wire(*dtype);
        }
        match number {
            8 => Self::String,
            14 => Self::Complex64,
            15 => Self::Complex128,
            17..=20 | 24 => Self::Narrow(number, 8),
            21..=23 => Self::Narrow(number, 4),
            25 | 26 => Self::Narrow(number, 2),
            27 | 28 => Self::Narrow(number, 6),
            other => Self::Unknown(other),
        }
    }

    /// ONNX's number.
    pub fn to_onnx(self) -> i32 {
        match self {
            Self::Wire(dtype) => WIRE.iter().find(|(_, d)| *d == dtype).map_or(0, |(n, _)| *n),
            Self::String => 8,
            Self::Complex64 => 14,
            Self::Complex128 => 15,
            Self::Narrow(number, _) | Self::Unknown(number) => number,
        }
    }

    /// The type as frames carry it, where they do.
    pub fn wire(self) -> Option<DType> {
        match self {
            Self::Wire(dtype) => Some(dtype),
            _ => None,
        }
    }

    /// Bits of one element in raw data; none where it has no fixed width.
    pub fn bits(self) -> Option<u64> {
        match self {
            Self::Wire(dtype) => Some(8 * dtype.size_bytes() as u64),
            Self::Complex64 => Some(64),
            Self::Complex128 => Some(128),
            Self::Narrow(_, bits) => Some(u64::from(bits)),
            Self::String | Self::Unknown(_) => None,
        }
    }

    /// Bytes of raw data of this many elements; none where that overflows or the width is not fixed.
    pub fn payload_bytes(self, elements: u64) -> Option<u64> {
        elements.checked_mul(self.bits()?).map(|bits| bits.div_ceil(8))
    }

    /// True for floating-point numbers of any width.
    pub fn is_float(self) -> bool {
        match self {
            Self::Wire(dtype) => dtype.is_float(),
            Self::Narrow(number, _) => matches!(number, 17..=20 | 23 | 24 | 27 | 28),
            _ => false,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(dtype) => dtype.fmt(f),
            Self::String => f.write_str("string"),
            Self::Complex64 => f.write_str("complex64"),
            Self::Complex128 => f.write_str("complex128"),
            Self::Narrow(number, _) => match crate::onnx::proto::tensor_proto::DataType::try_from(*number) {
                Ok(known) => f.write_str(&known.as_str_name().to_ascii_lowercase()),
                Err(_) => write!(f, "element type {number}"),
            },
            Self::Unknown(number) => write!(f, "element type {number}"),
        }
    }
}
