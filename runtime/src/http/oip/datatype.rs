//! Element types: the protocol's names, and ours.

use kerf_wire::DType;

/// The protocol's names of element types, and ours.
const DATATYPES: [(&str, DType); 13] = [
    ("FP32", DType::F32),
    ("FP16", DType::F16),
    ("BF16", DType::Bf16),
    ("FP64", DType::F64),
    ("INT8", DType::I8),
    ("UINT8", DType::U8),
    ("INT16", DType::I16),
    ("UINT16", DType::U16),
    ("INT32", DType::I32),
    ("UINT32", DType::U32),
    ("INT64", DType::I64),
    ("UINT64", DType::U64),
    ("BOOL", DType::Bool),
];

/// Ours, where the name is the protocol's.
pub(super) fn dtype(datatype: &str) -> Option<DType> {
    DATATYPES.iter().find(|(name, _)| *name == datatype).map(|(_, d)| *d)
}

/// The protocol's.
pub(super) fn datatype(dtype: DType) -> &'static str {
    DATATYPES
        .iter()
        .find(|(_, d)| *d == dtype)
        .map_or("BYTES", |(name, _)| name)
}
