//! What a node is, as far as its time depends on it.

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, Node, NodeId};

/// One node: what it is, and what it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The model that it is of: what is left out together.
    pub model: String,
    /// Operator, and for convolutions which sort: `Conv:1x1`, `Conv:depthwise`, `Conv:kxk`.
    pub kind: String,
    /// Multiply-accumulates.
    pub macs: f64,
    /// Bytes read and written, weights included.
    pub bytes: f64,
    /// Elements that it makes.
    pub elements: f64,
    /// Channels of what it makes: the second dimension.
    pub channels: f64,
    /// Bytes of its weights.
    pub weight_bytes: f64,
    /// Milliseconds; 0 where not measured.
    pub ms: f64,
}

/// Figures that the trees see.
pub(super) const SHAPE_FEATURES: usize = 6;

impl Observation {
    /// True when every figure is one that a node can have.
    pub fn is_valid(&self) -> bool {
        let figures = [
            self.macs,
            self.bytes,
            self.elements,
            self.channels,
            self.weight_bytes,
            self.ms,
        ];
        figures.iter().all(|figure| figure.is_finite() && *figure >= 0.0)
    }

    /// Logarithms: times grow by factors, and so do errors.
    pub(super) fn shape(&self) -> [f64; SHAPE_FEATURES] {
        let elements = self.elements.max(1.0);
        [
            (self.macs + 1.0).ln(),
            (self.bytes + 1.0).ln(),
            elements.ln(),
            (self.channels + 1.0).ln(),
            (self.macs / elements + 1.0).ln(),
            (self.weight_bytes + 1.0).ln(),
        ]
    }
}

/// Every node of a graph that runs, with its id; times are 0.
pub fn observe(graph: &Graph, model: &str) -> Vec<(NodeId, Observation)> {
    let runs = |id: &NodeId| !graph.node(*id).is_constant;
    graph
        .node_ids()
        .filter(runs)
        .map(|id| (id, observation(graph, graph.node(id), model)))
        .collect()
}

fn observation(graph: &Graph, node: &Node, model: &str) -> Observation {
    let bytes = |v| graph.value(v).bytes().unwrap_or(0) as f64;
    let made: Vec<_> = node.makes().collect();
    let elements: f64 = made
        .iter()
        .map(|v| graph.value(*v).elements().unwrap_or(1) as f64)
        .sum();
    let channels = made
        .first()
        .and_then(|v| graph.value(*v).assumed.as_ref()?.get(1).copied());
    let is_weight = |v: &crate::graph::ValueId| graph.value(*v).is_constant;
    Observation {
        model: model.to_owned(),
        kind: kind(graph, node),
        macs: node.macs.unwrap_or(0) as f64,
        bytes: node.needs().map(bytes).sum::<f64>() + made.iter().map(|v| bytes(*v)).sum::<f64>(),
        elements,
        channels: channels.unwrap_or(1) as f64,
        weight_bytes: node.needs().filter(is_weight).map(bytes).sum(),
        ms: 0.0,
    }
}

fn kind(graph: &Graph, node: &Node) -> String {
    if !node.op.contains("Conv") {
        return node.op.clone();
    }
    let weights = node
        .inputs
        .get(1)
        .copied()
        .flatten()
        .and_then(|v| graph.value(v).assumed.clone());
    let sort = match weights.as_deref() {
        Some([_, 1, kernel @ ..]) if kernel.iter().product::<u64>() > 1 => "depthwise",
        Some([_, _, kernel @ ..]) if kernel.iter().product::<u64>() == 1 => "1x1",
        _ => "kxk",
    };
    format!("{}:{sort}", node.op)
}
