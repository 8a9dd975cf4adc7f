//! What is drawn: boxes, the values between them, legal cuts, parts.

use std::collections::HashMap;

use serde::Serialize;

use super::describe::{constants, describe};
use super::limits::MAX_DRAWN_NODES;
use crate::cut::{Cut, Cutter};
use crate::graph::{Graph, Node, NodeId, Value};

/// A model, or the parts of a bundle, ready to be laid out. Serialised, it is the page's data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drawing {
    /// What stands above it: the model's name.
    pub title: String,
    /// Number of parts; 1 without a cut.
    pub parts: usize,
    /// Graph inputs, nodes that depend on them, graph outputs; in topological order.
    pub boxes: Vec<Shape>,
    /// Values by index.
    pub values: Vec<Drawn>,
    /// From box to box.
    pub edges: Vec<Edge>,
    /// Nodes in the file, constant ones included.
    pub nodes_total: usize,
    /// Parameters of all nodes.
    pub params_total: u64,
    /// Multiply-accumulates of all nodes; none where a shape is not known.
    pub macs_total: Option<u64>,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shape {
    /// The operator, or `input`, or `output`.
    pub op: String,
    /// The node's or the value's name; may be empty.
    pub name: String,
    /// The part that runs it.
    pub part: usize,
    /// Values that it reads.
    pub reads: Vec<usize>,
    /// Values that it makes.
    pub makes: Vec<usize>,
    /// Initialisers and constant nodes that it reads, as text.
    pub constants: Vec<String>,
    /// Parameters.
    pub params: u64,
    /// Multiply-accumulates.
    pub macs: Option<u64>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drawn {
    /// Its name.
    pub name: String,
    /// e.g. `f32 [1, 3, 224, 224]`.
    pub what: String,
    /// Its own bytes at the assumed shape.
    pub bytes: Option<u64>,
    /// What would cross if the model were cut at this value alone; missing where that is no legal cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Crossing>,
    /// True when it crosses the drawn cut.
    pub crosses: bool,
}

/// What a cut at one value would send.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Crossing {
    /// Values that cross.
    pub values: usize,
    /// Their bytes; none where a shape is not known.
    pub bytes: Option<u64>,
}

/// One value on its way from one box to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Box that makes it.
    pub from: usize,
    /// Box that reads it.
    pub to: usize,
    /// Which value.
    pub value: usize,
}

/// Why a model is not drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrawingError {
    /// Too large for a picture.
    #[error("{got} nodes depend on an input, a picture takes at most {limit}; `kerf layers` lists them")]
    TooLarge {
        /// Nodes that would be drawn.
        got: usize,
        /// The bound.
        limit: usize,
    },
}

impl Drawing {
    /// A whole model, its legal single cuts marked; `cuts` (in the order of flow) part it.
    ///
    /// # Errors
    /// When it has more nodes than a picture takes.
    pub fn of_model(title: &str, graph: &Graph, cuts: &[Cut]) -> Result<Self, DrawingError> {
        let mut drawing = Self::empty(title, cuts.len() + 1);
        let part_of = |node: NodeId| cuts.iter().filter(|cut| !cut.is_head(node)).count();
        let mut places = HashMap::new();
        drawing.add(graph, &part_of, &mut places)?;
        let cutter = Cutter::new(graph);
        for id in graph.value_ids() {
            let value = graph.value(id);
            let Some(&(index, _)) = places.get(&value.name) else {
                continue;
            };
            let crosses = cuts.iter().any(|cut| cut.crossing().contains(&id));
            let legal = (!value.is_constant).then(|| cutter.cut(&[id]).ok()).flatten();
            if let Some(drawn) = drawing.values.get_mut(index) {
                drawn.crosses = crosses;
                drawn.cut = legal.map(|cut| Crossing {
                    values: cut.crossing().len(),
                    bytes: cut.bytes(graph),
                });
            }
        }
        drawing.outputs(graph.outputs().iter().map(|v| graph.value(*v).name.as_str()), &places);
        Ok(drawing)
    }

    /// A bundle: the graphs of its parts in the order of flow, the values that cross each cut, the model's outputs.
    ///
    /// # Errors
    /// When it has more nodes than a picture takes.
    pub fn of_parts(
        title: &str,
        parts: &[Graph],
        crossing: &[String],
        outputs: &[String],
    ) -> Result<Self, DrawingError> {
        let mut drawing = Self::empty(title, parts.len());
        let mut places = HashMap::new();
        for (part, graph) in parts.iter().enumerate() {
            drawing.add(graph, &|_| part, &mut places)?;
        }
        for value in &mut drawing.values {
            value.crosses = crossing.contains(&value.name);
        }
        drawing.outputs(outputs.iter().map(String::as_str), &places);
        Ok(drawing)
    }

    fn empty(title: &str, parts: usize) -> Self {
        Self {
            title: title.to_owned(),
            parts,
            boxes: Vec::new(),
            values: Vec::new(),
            edges: Vec::new(),
            nodes_total: 0,
            params_total: 0,
            macs_total: Some(0),
        }
    }

    /// Adds a graph; `places` knows, by value name, the value's index and the box that makes it.
    fn add(
        &mut self,
        graph: &Graph,
        part_of: &dyn Fn(NodeId) -> usize,
        places: &mut HashMap<String, (usize, usize)>,
    ) -> Result<(), DrawingError> {
        let got = self.boxes.len() + graph.nodes().iter().filter(|n| !n.is_constant).count();
        if got > MAX_DRAWN_NODES {
            let limit = MAX_DRAWN_NODES;
            return Err(DrawingError::TooLarge { got, limit });
        }
        for &input in graph.inputs() {
            let value = graph.value(input);
            if !places.contains_key(&value.name) {
                let part = value.consumers.iter().map(|n| part_of(*n)).min().unwrap_or(0);
                self.input(value, part, places);
            }
        }
        let mut owned = vec![false; graph.nodes().len()];
        for id in graph.node_ids() {
            let node = graph.node(id);
            self.nodes_total += 1;
            self.params_total += node.params;
            self.macs_total = self.macs_total.zip(node.macs).map(|(a, b)| a.saturating_add(b));
            if !node.is_constant {
                let constants = constants(graph, node, &mut owned);
                self.node(graph, node, part_of(id), constants, places);
            }
        }
        Ok(())
    }

    fn input(&mut self, value: &Value, part: usize, places: &mut HashMap<String, (usize, usize)>) {
        let place = (self.values.len(), self.boxes.len());
        self.values.push(Drawn::of(value));
        self.boxes
            .push(Shape::end("input", &value.name, part, vec![], vec![place.0]));
        places.insert(value.name.clone(), place);
    }

    fn node(
        &mut self,
        graph: &Graph,
        node: &Node,
        part: usize,
        constants: Vec<String>,
        places: &mut HashMap<String, (usize, usize)>,
    ) {
        let to = self.boxes.len();
        let mut reads = Vec::new();
        for name in node.needs().map(|v| &graph.value(v).name) {
            let Some(&(value, from)) = places.get(name) else {
                continue;
            };
            if !reads.contains(&value) {
                reads.push(value);
                self.edges.push(Edge { from, to, value });
            }
        }
        let mut makes = Vec::new();
        for id in node.makes() {
            let value = graph.value(id);
            makes.push(self.values.len());
            places.insert(value.name.clone(), (self.values.len(), to));
            self.values.push(Drawn::of(value));
        }
        self.boxes.push(Shape {
            op: node.op.clone(),
            name: node.name.clone(),
            part,
            reads,
            makes,
            constants,
            params: node.params,
            macs: node.macs,
        });
    }

    fn outputs<'a>(&mut self, names: impl Iterator<Item = &'a str>, places: &HashMap<String, (usize, usize)>) {
        for name in names {
            let Some(&(value, from)) = places.get(name) else {
                continue;
            };
            let to = self.boxes.len();
            let part = self.boxes.get(from).map_or(0, |b| b.part);
            self.boxes.push(Shape::end("output", name, part, vec![value], vec![]));
            self.edges.push(Edge { from, to, value });
        }
    }
}

impl Drawn {
    fn of(value: &Value) -> Self {
        Self {
            name: value.name.clone(),
            what: describe(value),
            bytes: value.bytes(),
            cut: None,
            crosses: false,
        }
    }
}

impl Shape {
    fn end(op: &str, name: &str, part: usize, reads: Vec<usize>, makes: Vec<usize>) -> Self {
        Self {
            op: op.to_owned(),
            name: name.to_owned(),
            part,
            reads,
            makes,
            constants: Vec::new(),
            params: 0,
            macs: Some(0),
        }
    }

    /// True for a graph input or output.
    pub fn is_end(&self) -> bool {
        self.reads.is_empty() && self.op == "input" || self.makes.is_empty() && self.op == "output"
    }
}
