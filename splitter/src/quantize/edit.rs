//! Small tools for rewriting a graph: fresh names, nodes, attributes, who reads what.

use std::collections::{HashMap, HashSet};

use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

use super::QuantizeError;
use super::consts::{from_floats, from_integers};
use super::limits::MAX_DEPTH;

/// Names that are taken, in the graph and all of its bodies (an inner name may not hide an outer one).
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    pub(super) fn of(graph: &GraphProto) -> Result<Self, QuantizeError> {
        let mut names = Self::default();
        names.collect(graph, 0)?;
        Ok(names)
    }

    fn collect(&mut self, graph: &GraphProto, depth: usize) -> Result<(), QuantizeError> {
        if depth > MAX_DEPTH {
            return Err(QuantizeError::Model(format!("bodies nested deeper than {MAX_DEPTH}")));
        }
        let values = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
        self.taken.extend(values.map(|v| v.name().to_owned()));
        self.taken.extend(graph.initializer.iter().map(|t| t.name().to_owned()));
        for node in &graph.node {
            self.taken.extend(node.input.iter().chain(&node.output).cloned());
            self.taken.insert(node.name().to_owned());
            for body in bodies(node) {
                self.collect(body, depth + 1)?;
            }
        }
        Ok(())
    }

    /// `base` where it is free, else `base_2`, `base_3`, …
    pub(super) fn fresh(&mut self, base: &str) -> String {
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
pub(super) fn bodies(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute
        .iter()
        .flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
}

/// How many places read each value: node inputs, bodies' captures, graph outputs (counted as readers too).
pub(super) fn readers(graph: &GraphProto) -> HashMap<String, usize> {
    fn count(graph: &GraphProto, depth: usize, readers: &mut HashMap<String, usize>) {
        for node in &graph.node {
            for name in node.input.iter().filter(|n| !n.is_empty()) {
                *readers.entry(name.clone()).or_default() += 1;
            }
            if depth < MAX_DEPTH {
                bodies(node).for_each(|body| count(body, depth + 1, readers));
            }
        }
        for output in &graph.output {
            *readers.entry(output.name().to_owned()).or_default() += 1;
        }
    }
    let mut readers = HashMap::new();
    count(graph, 0, &mut readers);
    readers
}

/// A node without attributes, named after its first output.
pub(super) fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: outputs.first().map(|o| format!("{o}_{op}")),
        input: inputs.iter().map(|&s| s.to_owned()).collect(),
        output: outputs.iter().map(|&s| s.to_owned()).collect(),
        ..NodeProto::default()
    }
}

/// The node's name, or its first output where it has none.
pub(super) fn label(node: &NodeProto) -> String {
    match node.name() {
        "" => node.output.first().cloned().unwrap_or_default(),
        name => name.to_owned(),
    }
}

/// True for an operator of ONNX itself.
pub(super) fn is_standard(node: &NodeProto) -> bool {
    matches!(node.domain(), "" | "ai.onnx")
}

pub(super) fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|a| a.name() == name)
}

pub(super) fn integer(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).and_then(|a| a.i).unwrap_or(default)
}

pub(super) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).and_then(|a| a.f).unwrap_or(default)
}

pub(super) fn integer_attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..AttributeProto::default()
    }
}

/// The graph, or the error that there is none.
pub(super) fn graph_of(model: &mut ModelProto) -> Result<&mut GraphProto, QuantizeError> {
    model
        .graph
        .as_mut()
        .ok_or_else(|| QuantizeError::Model("the model has no graph".to_owned()))
}

/// Drops initialisers that nobody reads any more, and descriptions of values that are gone.
pub(super) fn sweep(graph: &mut GraphProto) {
    let readers = readers(graph);
    graph.initializer.retain(|t| readers.contains_key(t.name()));
    let mut alive: HashSet<&str> = graph.node.iter().flat_map(|n| &n.output).map(String::as_str).collect();
    alive.extend(graph.input.iter().map(|v| v.name()));
    alive.extend(graph.initializer.iter().map(TensorProto::name));
    let gone: HashSet<String> = graph
        .value_info
        .iter()
        .map(|v| v.name().to_owned())
        .filter(|name| !alive.contains(name.as_str()))
        .collect();
    graph.value_info.retain(|v| !gone.contains(v.name()));
    graph
        .quantization_annotation
        .retain(|a| !gone.contains(a.tensor_name()));
}

/// The tensor that a `Constant` node gives; none for strings and sparse tensors.
fn constant_tensor(node: &NodeProto) -> Option<TensorProto> {
    let attribute = node.attribute.first().filter(|_| node.attribute.len() == 1)?;
    match attribute.name() {
        "value" => attribute.t.as_deref().cloned(),
        "value_float" => Some(from_floats("", &[], &[attribute.f?])),
        "value_floats" => Some(from_floats("", &[attribute.floats.len()], &attribute.floats)),
        "value_int" => Some(TensorProto {
            dims: vec![],
            ..from_integers("", &[attribute.i?])
        }),
        "value_ints" => Some(from_integers("", &attribute.ints)),
        _ => None,
    }
}

/// Turns `Constant` nodes with a tensor into initialisers, and takes initialisers off the list of inputs: what is
/// quantized must not be overridden at run time. Raises the IR version to 4, the first that allows this.
pub(super) fn lift_constants(model: &mut ModelProto) -> Result<(), QuantizeError> {
    model.ir_version = Some(model.ir_version().max(4));
    let graph = graph_of(model)?;
    let outputs: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    let mut lifted = Vec::new();
    graph.node.retain(|node| {
        let constant = node.op_type() == "Constant" && is_standard(node);
        let (Some(output), true) = (node.output.first().cloned(), constant) else {
            return true;
        };
        // An output of the graph must come from a node.
        let tensor = constant_tensor(node).filter(|_| !outputs.contains(&output));
        let stays = tensor.is_none();
        lifted.extend(tensor.map(|tensor| TensorProto {
            name: Some(output),
            ..tensor
        }));
        stays
    });
    graph.initializer.extend(lifted);
    let constants: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    graph.input.retain(|i| !constants.contains(i.name()));
    Ok(())
}
