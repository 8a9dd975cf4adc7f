//! Pieces of a graph that is written anew: fresh names, nodes, attributes, constants.

use std::collections::HashSet;

use bytes::Bytes;

use super::proto::attribute_proto::AttributeType;
use super::proto::tensor_proto::DataType;
use super::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Names that are taken, in the graph and all of its bodies (an inner name may not hide an outer one).
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
}

impl Names {
    pub(crate) fn of(graph: &GraphProto) -> Self {
        let mut names = Self::default();
        names.collect(graph);
        names
    }

    /// Depth is bounded: protocol buffers are decoded to a hundred messages within each other.
    fn collect(&mut self, graph: &GraphProto) {
        let values = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
        self.taken.extend(values.map(|v| v.name().to_owned()));
        self.taken.extend(graph.initializer.iter().map(|t| t.name().to_owned()));
        for node in &graph.node {
            self.taken.extend(node.input.iter().chain(&node.output).cloned());
            self.taken.insert(node.name().to_owned());
            bodies(node).for_each(|body| self.collect(body));
        }
    }

    /// `base` where it is free, else `base_2`, `base_3`, …
    pub(crate) fn fresh(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut number = 1_usize;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    }
}

/// The bodies of a node (If, Loop, Scan).
pub(crate) fn bodies(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute
        .iter()
        .flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
}

/// A node without attributes, named after its first output.
pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: outputs.first().map(|o| format!("{o}_{op}")),
        input: inputs.iter().map(|&s| s.to_owned()).collect(),
        output: outputs.iter().map(|&s| s.to_owned()).collect(),
        ..NodeProto::default()
    }
}

/// An attribute that is one integer.
pub(crate) fn integer_attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..AttributeProto::default()
    }
}

/// A tensor of raw little-endian bytes.
pub(crate) fn raw(name: &str, kind: DataType, dims: &[usize], bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(kind as i32),
        dims: dims.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
        raw_data: Some(Bytes::from(bytes)),
        ..TensorProto::default()
    }
}

/// A tensor of 32-bit floats.
pub(crate) fn from_floats(name: &str, dims: &[usize], data: &[f32]) -> TensorProto {
    raw(
        name,
        DataType::Float,
        dims,
        data.iter().flat_map(|x| x.to_le_bytes()).collect(),
    )
}

/// A list of 64-bit integers.
pub(crate) fn from_integers(name: &str, data: &[i64]) -> TensorProto {
    let bytes = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    raw(name, DataType::Int64, &[data.len()], bytes)
}
