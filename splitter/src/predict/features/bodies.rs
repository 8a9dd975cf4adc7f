//! Work inside a node: the bodies of `If`, `Scan` and `Loop`, and the steps of recurrent layers.
//!
//! A body is read as a network of its own, whose inputs are what it takes from outside: so shapes are known inside of it too.

use std::path::Path;

use prost::Message as _;

use crate::graph::shapes::Symbols;
use crate::graph::{Graph, Kind, Node, ValueId};
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::onnx::{ElementType, Model, declare};

/// Operators that go through a sequence step by step.
const RECURRENT: [&str; 3] = ["LSTM", "GRU", "RNN"];

/// What runs inside of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Inside {
    /// Multiply-accumulates of all of it.
    pub(super) macs: f64,
    /// Nodes that run, each as often as it does; a recurrent layer's steps.
    pub(super) nodes: f64,
}

/// Nothing for a node without bodies and steps, and for bodies that cannot be read as a network.
pub(super) fn inside(model: &Model, graph: &Graph, node: &Node) -> Inside {
    let length = |index: usize| {
        let value = node.inputs.get(index).copied().flatten();
        value.and_then(|v| graph.value(v).assumed.as_deref()?.first().copied())
    };
    if RECURRENT.contains(&node.op.as_str()) {
        return Inside {
            macs: 0.0,
            nodes: length(0).unwrap_or(0) as f64,
        };
    }
    let Some(proto) = model.nodes.get(node.index).map(|stored| &stored.proto) else {
        return Inside::default();
    };
    let bodies = proto.attribute.iter().flat_map(crate::graph::bodies);
    let each = bodies.filter_map(|body| work(model, graph, proto, node, body));
    // Of branches the longer one counts: which one runs is seen only when it does.
    let once = each.fold(Inside::default(), |a, b| {
        if b.macs > a.macs || b.nodes > a.nodes { b } else { a }
    });
    let times = if node.op == "Scan" {
        length(states(proto, node)).unwrap_or(1) as f64
    } else {
        1.0
    };
    Inside {
        macs: once.macs * times,
        nodes: once.nodes * times,
    }
}

/// Inputs of a scan that are handed from step to step.
fn states(proto: &NodeProto, node: &Node) -> usize {
    let scanned = proto.attribute.iter().find(|a| a.name() == "num_scan_inputs");
    let scanned = scanned.and_then(|a| usize::try_from(a.i()).ok()).unwrap_or(0);
    node.inputs.len().saturating_sub(scanned)
}

fn work(model: &Model, outer: &Graph, proto: &NodeProto, node: &Node, body: &GraphProto) -> Option<Inside> {
    let mut network = body.clone();
    let constants = std::mem::take(&mut network.initializer);
    network.input = body
        .input
        .iter()
        .enumerate()
        .filter_map(|(index, input)| formal(outer, proto, node, index, input.name()))
        .collect();
    let captured = node
        .captured
        .iter()
        .filter_map(|v| given(outer, *v, outer.value(*v).name.as_str(), 0));
    network.input.extend(captured);
    let constant = |c: &crate::onnx::proto::TensorProto| {
        let dims = c.dims.iter().map(|dim| declare::fixed(dim.unsigned_abs())).collect();
        declare::declared(c.name(), Some(ElementType::from_onnx(c.data_type())), Some(dims))
    };
    network.input.extend(constants.iter().map(constant));
    let whole = ModelProto {
        graph: Some(network),
        ..model.header.clone()
    };
    let inner = Model::from_bytes(whole.encode_to_vec().into(), "body", Path::new(".")).ok()?;
    let inner = Graph::build(&inner, &Symbols::default()).ok()?;
    let ids = inner.node_ids().filter(|id| !inner.node(*id).is_constant);
    Some(ids.fold(Inside::default(), |sum, id| Inside {
        macs: sum.macs + inner.node(id).macs.unwrap_or(0) as f64,
        nodes: sum.nodes + 1.0,
    }))
}

/// What a body calls its inputs; a scan gives slices of some.
fn formal(outer: &Graph, proto: &NodeProto, node: &Node, index: usize, name: &str) -> Option<ValueInfoProto> {
    let value = node.inputs.get(index).copied().flatten()?;
    let is_sliced = node.op == "Scan" && index >= states(proto, node);
    given(outer, value, name, usize::from(is_sliced))
}

/// A value of the network around as an input of this name, its first dimensions dropped.
fn given(outer: &Graph, id: ValueId, name: &str, dropped: usize) -> Option<ValueInfoProto> {
    let value = outer.value(id);
    let Kind::Tensor(element) = value.kind else { return None };
    let dims = value
        .assumed
        .as_ref()?
        .iter()
        .skip(dropped)
        .map(|dim| declare::fixed(*dim));
    Some(declare::declared(name, Some(element), Some(dims.collect())))
}
