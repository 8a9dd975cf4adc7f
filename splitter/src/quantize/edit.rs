//! Small tools for reading a graph that is rewritten: attributes, who reads what, what nobody reads.

use std::collections::{HashMap, HashSet};

use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use crate::onnx::write::{bodies, from_floats, from_integers};

use super::QuantizeError;
use super::limits::MAX_DEPTH;

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

/// The node's name, or its first output where it has none.
pub(super) fn label(node: &NodeProto) -> String {
    match node.name() {
        "" => node.output.first().cloned().unwrap_or_default(),
        name => name.to_owned(),
    }
}

/// True for an operator of ONNX itself.
pub(super) fn is_standard(node: &NodeProto) -> bool {
    crate::onnx::is_standard(node.domain())
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
