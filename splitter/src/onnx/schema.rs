//! Which protobuf fields of an ONNX model hold messages, names and tensor payloads: what the scan must know.
//!
//! Field numbers are those of `onnx.proto` (IR version 14); a field that is not listed is kept as it is.

use std::mem::size_of;

use super::proto;

/// The messages that the scan looks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    Function,
    Entry,
    Annotation,
}

/// What a length-delimited field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A message to look into.
    Message(Kind),
    /// A short text that names something.
    Name,
    /// Elements of a tensor, one way or another.
    Payload,
    /// Packed numbers.
    Numbers,
    /// Bytes or text of any length.
    Bytes,
    /// Training graphs: not kept.
    Dropped,
    /// Messages of rare kinds.
    Rare,
}

/// Field numbers that code outside the scan names as well.
pub(super) mod number {
    pub(in super::super) const MODEL_GRAPH: u32 = 7;
    pub(in super::super) const GRAPH_NODE: u32 = 1;
    pub(in super::super) const GRAPH_INITIALIZER: u32 = 5;
    pub(in super::super) const GRAPH_INPUT: u32 = 11;
    pub(in super::super) const GRAPH_OUTPUT: u32 = 12;
    pub(in super::super) const GRAPH_VALUE_INFO: u32 = 13;
    pub(in super::super) const GRAPH_ANNOTATION: u32 = 14;
    pub(in super::super) const GRAPH_SPARSE: u32 = 15;
    pub(in super::super) const TENSOR_DIMS: u32 = 1;
    pub(in super::super) const TENSOR_TYPE: u32 = 2;
    pub(in super::super) const TENSOR_RAW: u32 = 9;
}

pub(super) fn content(kind: Kind, field: u32) -> Content {
    use Content::{Bytes, Dropped, Message, Name, Numbers, Payload, Rare};
    match (kind, field) {
        (Kind::Model, 7) | (Kind::Attribute, 6 | 11) => Message(Kind::Graph),
        (Kind::Model, 25) => Message(Kind::Function),
        (Kind::Model, 20) => Dropped,
        (Kind::Model, 8 | 26)
        | (Kind::Node, 10)
        | (Kind::Attribute, 14 | 15)
        | (Kind::Type, 4 | 5 | 7..=9)
        | (Kind::Function, 9) => Rare,
        (Kind::Model | Kind::Function, 14)
        | (Kind::Graph, 16)
        | (Kind::Node, 9)
        | (Kind::Tensor, 13 | 16)
        | (Kind::ValueInfo, 4)
        | (Kind::Annotation, 2) => Message(Kind::Entry),
        (Kind::Graph, 1) | (Kind::Function, 7) => Message(Kind::Node),
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::SparseTensor, 1 | 2) => Message(Kind::Tensor),
        (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Message(Kind::SparseTensor),
        (Kind::Graph, 11..=13) | (Kind::Function, 12) => Message(Kind::ValueInfo),
        (Kind::Graph, 14) => Message(Kind::Annotation),
        (Kind::Node, 5) | (Kind::Function, 11) => Message(Kind::Attribute),
        (Kind::ValueInfo, 2) => Message(Kind::Type),
        (Kind::Type, 1) => Message(Kind::TensorType),
        (Kind::TensorType, 2) => Message(Kind::Shape),
        (Kind::Shape, 1) => Message(Kind::Dimension),
        (Kind::Node, 1..=4 | 7 | 8)
        | (Kind::ValueInfo | Kind::Annotation, 1)
        | (Kind::Attribute, 1 | 21)
        | (Kind::Tensor, 8)
        | (Kind::Dimension | Kind::Graph, 2)
        | (Kind::Function, 1 | 4..=6 | 10 | 13) => Name,
        (Kind::Tensor, 4..=7 | 9..=11) => Payload,
        (Kind::Tensor, 1) | (Kind::Attribute, 7 | 8) | (Kind::SparseTensor, 3) => Numbers,
        _ => Bytes,
    }
}

/// Bytes that one decoded message of this kind takes, without what it points to.
pub(super) fn decoded_bytes(kind: Kind) -> u64 {
    let bytes = match kind {
        Kind::Model => size_of::<proto::ModelProto>(),
        Kind::Graph => size_of::<proto::GraphProto>(),
        Kind::Node => size_of::<proto::NodeProto>(),
        Kind::Attribute => size_of::<proto::AttributeProto>(),
        Kind::Tensor => size_of::<proto::TensorProto>(),
        Kind::SparseTensor => size_of::<proto::SparseTensorProto>(),
        Kind::ValueInfo => size_of::<proto::ValueInfoProto>(),
        Kind::Type | Kind::TensorType | Kind::Shape => size_of::<proto::TypeProto>(),
        Kind::Dimension => size_of::<proto::tensor_shape_proto::Dimension>(),
        Kind::Function => size_of::<proto::FunctionProto>(),
        Kind::Entry => size_of::<proto::StringStringEntryProto>(),
        Kind::Annotation => size_of::<proto::TensorAnnotation>(),
    };
    bytes as u64
}
