//! From a model's lists to a graph: names to ids, topological order, who depends on an input.

mod order;

use std::collections::HashMap;

use super::names::captured;
use super::shapes::{Facts, Symbols};
use super::{Graph, Kind, Node, NodeId, Origin, Value, ValueId, cost, infer};
use crate::onnx::{Model, ReadError};

/// Operators that give something else at each run: never copied, never folded.
const RANDOM: [&str; 6] = [
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
];

impl Graph {
    /// Builds the graph of a model, checks that it holds together and finds out what its values are. `symbols` are the
    /// numbers that costs are counted with for symbolic dimensions, 1 where one is not named.
    ///
    /// # Errors
    /// When a name is made twice or by nothing, or nodes need each other in a circle.
    pub fn build(model: &Model, symbols: &Symbols) -> Result<Self, ReadError> {
        let facts = Facts::stored(model, symbols);
        let mut build = Build::new(model, &facts);
        build.sources()?;
        let order = build.topological_order()?;
        build.nodes(&order)?;
        build.outputs()?;
        let mut graph = build.graph;
        connect(&mut graph);
        learn(&mut graph, model, symbols);
        cost::count(&mut graph, model);
        graph.warnings.extend(without_parameters(&graph));
        Ok(graph)
    }
}

struct Build<'a> {
    model: &'a Model,
    facts: &'a Facts,
    /// What each node's bodies capture, by the node's index in the model.
    captured: Vec<Vec<String>>,
    graph: Graph,
}

fn invalid<T>(text: String) -> Result<T, ReadError> {
    Err(ReadError::Invalid(text))
}

impl<'a> Build<'a> {
    fn new(model: &'a Model, facts: &'a Facts) -> Self {
        Self {
            model,
            facts,
            captured: model
                .nodes
                .iter()
                .map(|n| captured(&n.proto).into_iter().collect())
                .collect(),
            graph: Graph {
                nodes: Vec::new(),
                values: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                by_name: HashMap::new(),
                warnings: Vec::new(),
            },
        }
    }

    fn value(&mut self, name: &str, origin: Origin, is_constant: bool) -> Result<ValueId, ReadError> {
        let id = ValueId(u32::try_from(self.graph.values.len()).unwrap_or(u32::MAX));
        if self.graph.by_name.insert(name.to_owned(), id).is_some() {
            return invalid(format!("value {name:?} is made twice"));
        }
        let fact = self.facts.of(name);
        self.graph.values.push(Value {
            name: name.to_owned(),
            origin,
            consumers: Vec::new(),
            is_constant,
            is_output: false,
            kind: fact.map_or(Kind::Unknown, |f| f.kind),
            shape: fact.and_then(|f| f.shape.clone()),
            assumed: fact.and_then(|f| f.assumed.clone()),
        });
        Ok(id)
    }

    /// Graph inputs and initialisers.
    fn sources(&mut self) -> Result<(), ReadError> {
        let model = self.model;
        let sparse_name = |index: usize| {
            model
                .sparse
                .get(index)
                .and_then(|s| s.proto.values.as_ref())
                .map_or("", |v| v.name())
        };
        let constant: std::collections::HashSet<&str> = model
            .initialisers
            .iter()
            .map(|i| i.name())
            .chain((0..model.sparse.len()).map(sparse_name))
            .collect();
        for (index, input) in model.inputs.iter().enumerate() {
            let name = input.proto.name();
            if name.is_empty() {
                return invalid("a graph input has no name".to_owned());
            }
            if !constant.contains(name) {
                let id = self.value(name, Origin::Input(index), false)?;
                self.graph.inputs.push(id);
            }
        }
        for (index, initialiser) in model.initialisers.iter().enumerate() {
            if initialiser.name().is_empty() {
                return invalid("an initialiser has no name".to_owned());
            }
            self.value(initialiser.name(), Origin::Initialiser(index), true)?;
        }
        for index in 0..model.sparse.len() {
            self.value(sparse_name(index), Origin::Sparse(index), true)?;
        }
        Ok(())
    }

    fn nodes(&mut self, order: &[usize]) -> Result<(), ReadError> {
        for index in order {
            let proto = &self.model.nodes[*index].proto;
            let id = NodeId(u32::try_from(self.graph.nodes.len()).unwrap_or(u32::MAX));
            let find = |graph: &Graph, name: &String| if name.is_empty() { None } else { graph.find(name) };
            let inputs: Vec<_> = proto.input.iter().map(|name| find(&self.graph, name)).collect();
            let captured: Vec<_> = self.captured[*index]
                .iter()
                .filter_map(|n| self.graph.find(n))
                .collect();
            let depends = inputs
                .iter()
                .flatten()
                .chain(&captured)
                .any(|v| !self.graph.value(*v).is_constant);
            let is_constant = !depends && !RANDOM.contains(&proto.op_type());
            let mut outputs = Vec::with_capacity(proto.output.len());
            for name in &proto.output {
                outputs.push(match name.as_str() {
                    "" => None,
                    name => Some(self.value(name, Origin::Node(id), is_constant)?),
                });
            }
            self.graph.nodes.push(Node {
                name: proto.name().to_owned(),
                op: proto.op_type().to_owned(),
                domain: match proto.domain() {
                    "ai.onnx" => String::new(),
                    domain => domain.to_owned(),
                },
                index: *index,
                inputs,
                captured,
                outputs,
                is_constant,
                params: 0,
                macs: None,
            });
        }
        Ok(())
    }

    fn outputs(&mut self) -> Result<(), ReadError> {
        if self.model.outputs.is_empty() {
            return invalid("the graph has no output".to_owned());
        }
        for output in &self.model.outputs {
            let name = output.proto.name();
            let Some(id) = self.graph.find(name) else {
                return invalid(format!("graph output {name:?} is made by nothing"));
            };
            if std::mem::replace(&mut self.graph.values[id.index()].is_output, true) {
                return invalid(format!("graph output {name:?} is listed twice"));
            }
            self.graph.outputs.push(id);
        }
        Ok(())
    }
}

/// Fills in who needs each value.
fn connect(graph: &mut Graph) {
    for index in 0..graph.nodes.len() {
        let id = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
        let needs: Vec<ValueId> = graph.nodes[index].needs().collect();
        for value in needs {
            let consumers = &mut graph.values[value.index()].consumers;
            if consumers.last() != Some(&id) {
                consumers.push(id);
            }
        }
    }
}

/// Adds what shape analysis finds to what the file says. Graph inputs and outputs stay as the file declares them, where
/// it does.
fn learn(graph: &mut Graph, model: &Model, symbols: &Symbols) {
    match infer::infer(graph, model, symbols) {
        Ok(facts) => {
            for (value, fact) in graph.values.iter_mut().zip(facts) {
                let Some(fact) = fact else { continue };
                let declared = value.kind != Kind::Unknown && value.shape.is_some();
                let interior = value.producer().is_some() && !value.is_output;
                if (interior && fact.shape.is_some()) || !declared {
                    value.kind = fact.kind;
                    value.shape = fact.shape.or(value.shape.take());
                    value.assumed = fact.assumed.or(value.assumed.take());
                }
            }
        }
        Err(why) => graph
            .warnings
            .push(format!("shapes are only known as far as the file says them: {why}")),
    }
}

/// PyTorch's `export_params=False` leaves the weights as graph inputs: recognised by where they are used.
fn without_parameters(graph: &Graph) -> Option<String> {
    const WEIGHTED: [&str; 5] = ["Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"];
    let weights: Vec<&str> = graph
        .inputs
        .iter()
        .filter(|id| {
            let value = graph.value(**id);
            let second = |node: &NodeId| {
                let node = graph.node(*node);
                WEIGHTED.contains(&node.op.as_str())
                    && node.inputs.iter().skip(1).any(|i| *i == Some(**id))
                    && node.inputs.first() != Some(&Some(**id))
            };
            !value.consumers.is_empty() && value.consumers.iter().all(second)
        })
        .map(|id| graph.value(*id).name.as_str())
        .collect();
    let layers = graph.nodes.iter().filter(|n| WEIGHTED.contains(&n.op.as_str())).count();
    if weights.len() < 2 || weights.len() < layers {
        return None;
    }
    Some(format!(
        "this model was exported without its parameters (PyTorch: export_params=False): {} of its inputs are weights, \
         e.g. {:?}; export it with them",
        weights.len(),
        weights.first().copied().unwrap_or_default()
    ))
}
