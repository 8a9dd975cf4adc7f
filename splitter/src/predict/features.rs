//! What a node is, as far as its time depends on it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::onnx::Model;

mod bodies;
mod kind;

pub(super) use kind::class;
use kind::{behind, kind, shape_arithmetic};

/// One node: what it is, and what it took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The model that it is of: what is left out together.
    pub model: String,
    /// Operator, and for convolutions which sort: `Conv:1x1`, `Conv:depthwise`, `Conv:kxk`.
    pub kind: String,
    /// The kind of the node whose work this one may become a part of: nothing else reads what lies between them. Else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub behind: String,
    /// Multiply-accumulates, those inside of its bodies included.
    pub macs: f64,
    /// Nodes that run inside of it, each as often as it does; steps of a recurrent layer; 0 for most nodes.
    #[serde(default)]
    pub inside: f64,
    /// Bytes read and written, weights included.
    pub bytes: f64,
    /// Elements that it makes.
    pub elements: f64,
    /// Elements of its first input.
    pub input: f64,
    /// Channels of what it makes: the second dimension.
    pub channels: f64,
    /// The last dimension of what it makes.
    pub width: f64,
    /// Elements of a convolution's window; 1 for others.
    pub window: f64,
    /// Inputs that are no weights.
    pub inputs: f64,
    /// Bytes of its weights.
    pub weight_bytes: f64,
    /// Nodes that run before it: the first ones find caches that others have used.
    pub place: f64,
    /// Nodes of its kind that run before it: the first one's code has to be fetched.
    pub again: f64,
    /// Nodes before it in a row that it may be one kernel with.
    pub chain: f64,
    /// 1 where a convolution runs before it: engines keep its order of axes in what follows.
    pub pictured: f64,
    /// Milliseconds; 0 where not measured, or where it has become part of another.
    pub ms: f64,
}

/// From so many on, another node of the same kind changes nothing.
const MOST_AGAIN: f64 = 4.0;
/// Figures that the trees see.
pub(super) const SHAPE_FEATURES: usize = 16;

impl Observation {
    /// True when every figure is one that a node can have.
    pub fn is_valid(&self) -> bool {
        let figures = [
            self.macs,
            self.inside,
            self.bytes,
            self.elements,
            self.input,
            self.channels,
            self.width,
            self.window,
            self.inputs,
            self.weight_bytes,
            self.place,
            self.again,
            self.chain,
            self.pictured,
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
            // How long each dot product is, …
            (self.macs / elements + 1.0).ln(),
            (self.weight_bytes + 1.0).ln(),
            // … and how many there are of a channel: the three sides of a product of matrices.
            (elements / self.channels.max(1.0)).max(1.0).ln(),
            (self.width + 1.0).ln(),
            self.window.max(1.0).ln(),
            // A step of two, or a pool.
            (self.input.max(1.0) / elements).ln(),
            self.inputs,
            (self.place + 1.0).ln(),
            self.again.min(MOST_AGAIN),
            self.chain,
            self.pictured,
            (self.inside + 1.0).ln(),
        ]
    }
}

/// Every node of a graph that runs, with its id; times are 0.
pub fn observe(graph: &Graph, model: &Model) -> Vec<(NodeId, Observation)> {
    let folded = shape_arithmetic(graph);
    let runs = |id: &NodeId| !graph.node(*id).is_constant && !folded.contains(id);
    let mut seen: HashMap<String, f64> = HashMap::new();
    let (mut all, mut pictured) = (Vec::new(), 0.0);
    for id in graph.node_ids().filter(runs) {
        let mut o = observation(graph, graph.node(id), model);
        let again = seen.entry(o.kind.clone()).or_default();
        o.again = *again;
        *again += 1.0;
        o.place = all.len() as f64;
        o.pictured = pictured;
        if o.kind.starts_with("Conv") {
            pictured = 1.0;
        }
        all.push((id, o));
    }
    all
}

fn observation(graph: &Graph, node: &Node, model: &Model) -> Observation {
    let bytes = |v| graph.value(v).bytes().unwrap_or(0) as f64;
    let elements = |v: ValueId| graph.value(v).elements().unwrap_or(1) as f64;
    let is_weight = |v: &ValueId| graph.value(*v).is_constant;
    let made: Vec<_> = node.makes().collect();
    let shape = made
        .first()
        .and_then(|v| graph.value(*v).assumed.as_deref())
        .unwrap_or_default();
    let dim = |dim: Option<&u64>| dim.copied().unwrap_or(1) as f64;
    let data: Vec<ValueId> = node.needs().filter(|v| !is_weight(v)).collect();
    let (behind, chain) = behind(graph, node);
    let inside = bodies::inside(model, graph, node);
    Observation {
        model: model.name.clone(),
        kind: kind(graph, node),
        behind,
        chain,
        macs: node.macs.unwrap_or(0) as f64 + inside.macs,
        inside: inside.nodes,
        bytes: node.needs().map(bytes).sum::<f64>() + made.iter().map(|v| bytes(*v)).sum::<f64>(),
        elements: made.iter().map(|v| elements(*v)).sum(),
        input: data.first().copied().map_or(1.0, elements),
        channels: dim(shape.get(1)),
        width: dim(shape.last()),
        window: kind::window(graph, node) as f64,
        inputs: data.len() as f64,
        weight_bytes: node.needs().filter(is_weight).map(bytes).sum(),
        place: 0.0,
        again: 0.0,
        pictured: 0.0,
        ms: 0.0,
    }
}
