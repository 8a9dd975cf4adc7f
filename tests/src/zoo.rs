//! Small ONNX models made for a test: random graphs, and the pieces to make others.

mod generate;

pub use generate::{Random, RandomModel, random};

use kerf_splitter::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use kerf_splitter::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// ONNX's number for f32.
pub const FLOAT: i32 = 1;
/// ONNX's number for i64.
pub const INT64: i32 = 7;
/// Attribute types.
const A_INT: i32 = 2;
const A_INTS: i32 = 7;
const A_GRAPH: i32 = 5;
const A_TENSOR: i32 = 4;

/// A value of a fixed shape.
pub fn value(name: &str, element: i32, shape: &[i64]) -> ValueInfoProto {
    let dimension = |n: &i64| Dimension {
        denotation: None,
        value: Some(dimension::Value::DimValue(*n)),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            denotation: None,
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: Some(element),
                shape: Some(TensorShapeProto {
                    dim: shape.iter().map(dimension).collect(),
                }),
            })),
        }),
        ..ValueInfoProto::default()
    }
}

/// A tensor of f32.
pub fn floats(name: &str, shape: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: shape.to_vec(),
        data_type: Some(FLOAT),
        raw_data: Some(data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()),
        ..TensorProto::default()
    }
}

/// A tensor of i64, in the typed field.
pub fn integers(name: &str, data: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: vec![i64::try_from(data.len()).unwrap_or(0)],
        data_type: Some(INT64),
        int64_data: data.to_vec(),
        ..TensorProto::default()
    }
}

/// A node of ONNX's own domain, without a name.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let strings = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    NodeProto {
        op_type: Some(op.to_owned()),
        input: strings(inputs),
        output: strings(outputs),
        ..NodeProto::default()
    }
}

fn attribute(name: &str, r#type: i32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(r#type),
        ..AttributeProto::default()
    }
}

/// An integer attribute.
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        i: Some(i),
        ..attribute(name, A_INT)
    }
}

/// A list of integers.
pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: ints.to_vec(),
        ..attribute(name, A_INTS)
    }
}

/// A body.
pub fn body(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto {
        g: Some(Box::new(graph)),
        ..attribute(name, A_GRAPH)
    }
}

/// A tensor attribute.
pub fn tensor(name: &str, tensor: TensorProto) -> AttributeProto {
    AttributeProto {
        t: Some(Box::new(tensor)),
        ..attribute(name, A_TENSOR)
    }
}

/// A model around a graph.
pub fn model(graph: GraphProto, ir: i64, opset: i64) -> ModelProto {
    ModelProto {
        ir_version: Some(ir),
        producer_name: Some("kerf tests".to_owned()),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(opset),
        }],
        ..ModelProto::default()
    }
}

/// `x [1, 4] → Relu → Relu → y`: the smallest model with a legal cut (at `a`).
pub fn two_relus() -> ModelProto {
    let graph = GraphProto {
        name: Some("g".to_owned()),
        node: vec![node("Relu", &["x"], &["a"]), node("Relu", &["a"], &["y"])],
        input: vec![value("x", FLOAT, &[1, 4])],
        output: vec![value("y", FLOAT, &[1, 4])],
        ..GraphProto::default()
    };
    model(graph, 8, 17)
}
