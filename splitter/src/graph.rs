//! The graph: nodes and values with index ids, in topological order, checked.
//!
//! Owns: who makes a value, who needs it, what it is, what depends on no input. Must not know: cuts, files, engines.
//! Start at [`Graph::build`]. Shapes come from the file and from tract's rules, costs from [`cost`].

mod bodies_out;
mod build;
pub mod cost;
mod infer;
mod names;
mod quiet;
pub mod shapes;

use std::collections::HashMap;

use kerf_wire::DType;
use kerf_wire::manifest::Axis;

use crate::onnx::ElementType;

pub(crate) use names::bodies;
pub use names::nearest_names;

/// A node's place in [`Graph::nodes`], which is in topological order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A value's place in [`Graph::values`]: graph inputs, then initialisers, then node outputs in topological order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

impl NodeId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl ValueId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A model's graph.
#[derive(Debug, Clone)]
pub struct Graph {
    nodes: Vec<Node>,
    values: Vec<Value>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    by_name: HashMap<String, ValueId>,
    warnings: Vec<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A graph input that is no initialiser: the index in the model's list of inputs.
    Input(usize),
    /// An initialiser: the index in the model's list.
    Initialiser(usize),
    /// A sparse initialiser: the index in the model's list.
    Sparse(usize),
    /// A node's output.
    Node(NodeId),
}

/// One edge of the graph.
#[derive(Debug, Clone)]
pub struct Value {
    /// Its name, unique in the graph.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The nodes that need it, also those whose bodies capture it, in topological order, each once.
    pub consumers: Vec<NodeId>,
    /// True when it depends on no graph input: it is copied to the parts that need it and never crosses.
    pub is_constant: bool,
    /// True when it is one of the graph's outputs.
    pub is_output: bool,
    /// What it is, as far as that is known.
    pub kind: Kind,
    /// Dimensions, outermost first; none where even their number is not known.
    pub shape: Option<Vec<Axis>>,
    /// Dimensions with every symbol at its assumed number (1 unless given); what costs are counted with.
    pub assumed: Option<Vec<u64>>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A tensor of this element type.
    Tensor(ElementType),
    /// A sequence, map, optional or sparse tensor.
    Other(&'static str),
    /// Not known.
    Unknown,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name; often empty.
    pub name: String,
    /// The operator, e.g. `Conv`.
    pub op: String,
    /// Its domain; empty for ONNX's own.
    pub domain: String,
    /// Index in the model's list of nodes.
    pub index: usize,
    /// Inputs in order; none where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Outer values that its bodies use (If, Loop, Scan), in order of name.
    pub captured: Vec<ValueId>,
    /// Outputs in order; none where an optional one is left out.
    pub outputs: Vec<Option<ValueId>>,
    /// True when it depends on no graph input and always gives the same.
    pub is_constant: bool,
    /// Elements of the float initialisers that it is the first to use.
    pub params: u64,
    /// Multiply-accumulate operations for one run at the assumed shapes; none where the shapes are not known.
    pub macs: Option<u64>,
}

impl Node {
    /// Everything that it needs: inputs, then captured values.
    pub fn needs(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.inputs.iter().flatten().chain(&self.captured).copied()
    }

    /// Everything that it makes.
    pub fn makes(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.outputs.iter().flatten().copied()
    }

    /// What a person would call it: its name, or what it makes.
    pub fn label(&self) -> String {
        if self.name.is_empty() {
            format!("{} #{}", self.op, self.index)
        } else {
            format!("{} {:?}", self.op, self.name)
        }
    }
}

impl Value {
    /// The node that makes it.
    pub fn producer(&self) -> Option<NodeId> {
        match self.origin {
            Origin::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The element type as frames carry it; none where it is not known or not carried.
    pub fn dtype(&self) -> Option<DType> {
        match self.kind {
            Kind::Tensor(element) => element.wire(),
            Kind::Other(_) | Kind::Unknown => None,
        }
    }

    /// Elements at the assumed shape.
    pub fn elements(&self) -> Option<u64> {
        self.assumed
            .as_ref()?
            .iter()
            .try_fold(1_u64, |n, dim| n.checked_mul(*dim))
    }

    /// Bytes of the raw tensor at the assumed shape.
    pub fn bytes(&self) -> Option<u64> {
        match self.kind {
            Kind::Tensor(element) => element.payload_bytes(self.elements()?),
            Kind::Other(_) | Kind::Unknown => None,
        }
    }
}

impl Graph {
    /// Nodes in topological order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All values; see [`ValueId`] for their order.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Graph inputs that are no initialisers, in the model's order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// Graph outputs, in the model's order.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// One value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The value of this name.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.by_name.get(name).copied()
    }

    /// Ids of all values.
    pub fn value_ids(&self) -> impl Iterator<Item = ValueId> {
        (0..self.values.len()).map(|index| ValueId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// Ids of all nodes.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).map(|index| NodeId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// What a person should know of this model, e.g. that it came without its parameters.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
