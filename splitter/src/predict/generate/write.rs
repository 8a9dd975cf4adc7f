//! ONNX messages of a made-up network.

use kerf_wire::DType;
use prost::bytes::Bytes;

use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
    attribute_proto::AttributeType,
};
use crate::onnx::{ElementType, declare};

/// ONNX's number for floats of 32 bits.
pub(super) const FLOAT: i32 = 1;
/// ONNX's number for bytes.
pub(super) const UINT8: i32 = 2;
/// ONNX's number for bytes with a sign.
pub(super) const INT8: i32 = 3;
/// ONNX's number for integers of 32 bits.
pub(super) const INT32: i32 = 6;
/// ONNX's number for integers of 64 bits.
pub(super) const INT64: i32 = 7;

/// The file around a graph.
pub(super) fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(17),
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// An initialiser.
pub(super) fn initialiser(name: &str, data_type: i32, shape: &[u64], bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: shape.iter().map(|dim| signed(*dim)).collect(),
        data_type: Some(data_type),
        raw_data: Some(Bytes::from(bytes)),
        ..TensorProto::default()
    }
}

pub(super) fn signed(dim: u64) -> i64 {
    i64::try_from(dim).unwrap_or(i64::MAX)
}

pub(super) fn value_info(name: &str, shape: &[u64]) -> ValueInfoProto {
    let shape = shape.iter().map(|dim| declare::fixed(*dim)).collect();
    declare::declared(name, Some(ElementType::Wire(DType::F32)), Some(shape))
}

/// A body: what reads its inputs and makes its outputs, all of them floats.
pub(super) fn body(nodes: Vec<NodeProto>, inputs: &[(&str, &[u64])], outputs: &[(&str, &[u64])]) -> GraphProto {
    let declared = |all: &[(&str, &[u64])]| all.iter().map(|(name, shape)| value_info(name, shape)).collect();
    GraphProto {
        name: Some("body".into()),
        node: nodes,
        input: declared(inputs),
        output: declared(outputs),
        ..GraphProto::default()
    }
}

pub(super) fn graph(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(Box::new(graph)),
        ..AttributeProto::default()
    }
}

pub(super) fn ints(name: &str, values: &[u64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints as i32),
        ints: values.iter().map(|value| signed(*value)).collect(),
        ..AttributeProto::default()
    }
}

pub(super) fn int(name: &str, value: u64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(signed(value)),
        ..AttributeProto::default()
    }
}
