//! ONNX messages of a made-up network.

use prost::bytes::Bytes;

use crate::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use crate::onnx::proto::type_proto::{Tensor, Value};
use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType,
};

/// ONNX's number for floats of 32 bits.
pub(super) const FLOAT: i32 = 1;
/// ONNX's number for bytes with a sign.
pub(super) const INT8: i32 = 3;
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
    let dim = |dim: &u64| Dimension {
        value: Some(dimension::Value::DimValue(signed(*dim))),
        ..Dimension::default()
    };
    let tensor = Tensor {
        elem_type: Some(FLOAT),
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
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
