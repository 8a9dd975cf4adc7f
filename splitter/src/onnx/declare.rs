//! How a file declares a value: its name, what it holds, its dimensions.

use super::ElementType;
use super::proto::tensor_shape_proto::{Dimension, dimension};
use super::proto::type_proto::{Tensor, Value};
use super::proto::{TensorShapeProto, TypeProto, ValueInfoProto};

/// One dimension: a number, a name, or nothing where it is not known.
pub type Dim = Option<dimension::Value>;

/// A tensor of this name; without a shape where not even the number of dimensions is known.
pub fn declared(name: &str, element: Option<ElementType>, shape: Option<Vec<Dim>>) -> ValueInfoProto {
    let dimension = |value| Dimension {
        value,
        ..Dimension::default()
    };
    let shape = shape.map(|dims| TensorShapeProto {
        dim: dims.into_iter().map(dimension).collect(),
    });
    let tensor = Tensor {
        elem_type: element.map(ElementType::to_onnx),
        shape,
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

/// A dimension of this length.
pub fn fixed(length: u64) -> Dim {
    Some(dimension::Value::DimValue(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// A dimension that is only named.
pub fn named(name: &str) -> Dim {
    Some(dimension::Value::DimParam(name.to_owned()))
}
