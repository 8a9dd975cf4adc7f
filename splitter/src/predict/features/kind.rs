//! Kinds of nodes: what is fitted together because it is the same work.

use std::collections::HashSet;

use crate::graph::{Graph, Node, NodeId, ValueId};

/// Operators with matrix work, into which engines fuse what follows.
const MATRIX: [&str; 4] = ["Conv", "MatMul", "Gemm", "Einsum"];
/// Operators that engines fuse into what is before them, or not at all.
const ELEMENTWISE: [&str; 24] = [
    "Relu",
    "Clip",
    "LeakyRelu",
    "PRelu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Erf",
    "Gelu",
    "Elu",
    "Softplus",
    "Exp",
    "Sqrt",
    "Neg",
    "Abs",
    "Pow",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Sum",
    "BatchNormalization",
    "Min",
];
/// Operators that change how a tensor is looked at.
const VIEWS: [&str; 8] = [
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Dropout",
    "Shape",
    "Constant",
];
/// Operators that move elements.
const MOVES: [&str; 11] = [
    "Transpose",
    "Concat",
    "Slice",
    "Split",
    "Gather",
    "Pad",
    "Expand",
    "Tile",
    "Resize",
    "Upsample",
    "Cast",
];
/// Integers of at most so many elements are shapes, not data.
const MOST_SHAPE_ELEMENTS: u64 = 16;
/// Most nodes that one kernel is taken to have fused.
const MOST_FUSED: usize = 8;

/// What kinds that were never measured are taken for.
pub(in crate::predict) fn class(kind: &str) -> &'static str {
    let op = kind.split(':').next().unwrap_or(kind);
    if MATRIX.iter().any(|part| op.contains(part)) {
        "matrix"
    } else if op.contains("Pool") || op.starts_with("Reduce") {
        "window"
    } else if op.contains("Quantize") {
        "quantise"
    } else if ELEMENTWISE.contains(&op) {
        "elementwise"
    } else if VIEWS.contains(&op) {
        "view"
    } else if MOVES.contains(&op) {
        "move"
    } else {
        "other"
    }
}

/// The operator, and which sort of convolution.
pub(super) fn kind(graph: &Graph, node: &Node) -> String {
    if !node.op.contains("Conv") {
        return node.op.clone();
    }
    let sort = match weights(graph, node) {
        Some([_, 1, kernel @ ..]) if kernel.iter().product::<u64>() > 1 && channels_in(graph, node) > 1 => "depthwise",
        Some([_, _, kernel @ ..]) if kernel.iter().product::<u64>() == 1 => "1x1",
        _ => "kxk",
    };
    format!("{}:{sort}", node.op)
}

fn weights<'a>(graph: &'a Graph, node: &Node) -> Option<&'a [u64]> {
    let at = if node.op == "QLinearConv" { 3 } else { 1 };
    graph.value((*node.inputs.get(at)?)?).assumed.as_deref()
}

fn channels_in(graph: &Graph, node: &Node) -> u64 {
    let input = node.inputs.first().copied().flatten();
    let shape = input.and_then(|v| graph.value(v).assumed.as_ref());
    shape.and_then(|shape| shape.get(1).copied()).unwrap_or(1)
}

/// Elements of a convolution's window.
pub(super) fn window(graph: &Graph, node: &Node) -> u64 {
    match weights(graph, node) {
        Some([_, _, kernel @ ..]) if node.op.contains("Conv") => kernel.iter().product(),
        _ => 1,
    }
}

/// The kind of the nearest node before an elementwise one that is none itself, where nothing else reads what lies between; else
/// the last one up to which this holds; and how many that are.
pub(super) fn behind(graph: &Graph, node: &Node) -> (String, f64) {
    if !ELEMENTWISE.contains(&node.op.as_str()) {
        return (String::new(), 0.0);
    }
    let (mut here, mut chain) = (node, 0.0);
    for _ in 0..MOST_FUSED {
        let private = here.needs().filter_map(|v| private_producer(graph, v));
        // Of two, the one with matrix work, then the later one.
        let rank = |id: &NodeId| (is_matrix(&graph.node(*id).op), *id);
        let Some(before) = private.max_by_key(rank) else {
            break;
        };
        here = graph.node(before);
        chain += 1.0;
        if !ELEMENTWISE.contains(&here.op.as_str()) {
            break;
        }
    }
    if std::ptr::eq(here, node) {
        return (String::new(), 0.0);
    }
    (kind(graph, here), chain)
}

fn is_matrix(op: &str) -> bool {
    MATRIX.iter().any(|part| op.contains(part))
}

fn private_producer(graph: &Graph, v: ValueId) -> Option<NodeId> {
    let value = graph.value(v);
    let is_private = !value.is_constant && !value.is_output && value.consumers.len() == 1;
    value.producer().filter(|_| is_private)
}

/// Nodes that only compute with shapes: engines that know the shapes do this once.
pub(super) fn shape_arithmetic(graph: &Graph) -> HashSet<NodeId> {
    let mut found = HashSet::new();
    for id in graph.node_ids() {
        let node = graph.node(id);
        let small = |v: ValueId| graph.value(v).elements().is_some_and(|n| n <= MOST_SHAPE_ELEMENTS);
        let known = |v: ValueId| {
            let value = graph.value(v);
            value.is_constant || value.producer().is_some_and(|p| found.contains(&p))
        };
        let is_one = node.op == "Shape" || node.captured.is_empty() && node.needs().all(known);
        if !node.is_constant && is_one && node.makes().all(small) {
            found.insert(id);
        }
    }
    found
}
