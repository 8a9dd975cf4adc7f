//! A model that also gives what flows inside it, so that one run shows every value that could cross a cut.

use std::collections::HashSet;

use prost::Message as _;

use crate::graph::{Graph, Kind, ValueId};
use crate::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use crate::onnx::proto::{ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};
use kerf_wire::manifest::Axis;

/// The model with these values as further outputs, as a file's bytes. Those that the file does not name at its top level (bodies
/// of functions) are left out.
pub(super) fn tapped(model: &ModelProto, graph: &Graph, values: &[ValueId]) -> Vec<u8> {
    let mut model = model.clone();
    if let Some(inside) = &mut model.graph {
        let made: HashSet<String> = inside
            .node
            .iter()
            .flat_map(|node| node.output.iter().cloned())
            .collect();
        let outputs: HashSet<String> = inside.output.iter().filter_map(|o| o.name.clone()).collect();
        let named = values.iter().map(|id| graph.value(*id));
        let taps = named.filter(|value| made.contains(&value.name) && !outputs.contains(&value.name));
        inside.output.extend(taps.map(|value| ValueInfoProto {
            name: Some(value.name.clone()),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                    elem_type: match value.kind {
                        Kind::Tensor(element) => Some(element.to_onnx()),
                        Kind::Other(_) | Kind::Unknown => None,
                    },
                    shape: value.shape.as_deref().map(declared),
                })),
                ..TypeProto::default()
            }),
            ..ValueInfoProto::default()
        }));
    }
    model.encode_to_vec()
}

/// Engines want at least the number of dimensions.
fn declared(shape: &[Axis]) -> TensorShapeProto {
    let dim = |axis: &Axis| Dimension {
        value: Some(match axis {
            Axis::Fixed(length) => dimension::Value::DimValue(i64::from(*length)),
            Axis::Symbol(name) => dimension::Value::DimParam(name.clone()),
        }),
        ..Dimension::default()
    };
    TensorShapeProto {
        dim: shape.iter().map(dim).collect(),
    }
}
