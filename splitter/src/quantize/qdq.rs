//! Static quantization, second half: QuantizeLinear and DequantizeLinear around every chosen value, weight and bias.
//!
//! A value `v` becomes `v → QuantizeLinear → DequantizeLinear → v'`, and the nodes that run on integers read `v'`;
//! engines fuse the pairs into integer kernels. Operators that are neither integer nor element by element (Softmax,
//! normalisations) keep reading `v`: tract 0.23.9 turns `DequantizeLinear → Softmax → QuantizeLinear` into a table of
//! 256 entries and answers wrongly, and the float road is the more exact one anyway.

use std::collections::{BTreeSet, HashMap};

use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};
use crate::onnx::write::{self, Names, from_floats, raw};

use super::consts::Constants;
use super::edit::{self, graph_of, is_standard};
use super::integer::{Affine, Integer};
use super::plan::{Role, Static, StaticOptions};
use super::{QuantizeError, Ranges};

mod weighted;

use weighted::Weight;

/// Element by element: reading the dequantized value lets engines fuse, and is right in every one.
const ELEMENTWISE: &[&str] = &[
    "Add",
    "Clip",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mul",
    "PRelu",
    "Pow",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Sqrt",
    "Sub",
    "Tanh",
];

pub(super) fn rewrite(plan: Static, ranges: &Ranges) -> Result<ModelProto, QuantizeError> {
    let Static {
        mut model,
        options,
        names,
        targets,
        fused,
        activations,
        ..
    } = plan;
    let graph = graph_of(&mut model)?;
    let constants = Constants::of(graph);
    let affines = affines(graph, &targets, &activations, &options, ranges)?;
    let weights = (options.weights, options.per_channel);
    let mut work = Work {
        ranges,
        names,
        weights,
        affines,
        constants,
        pairs: HashMap::new(),
        dequantized: HashMap::new(),
        nodes: Vec::new(),
    };
    let absorbed = work.absorbed(graph, &fused);
    let inputs: Vec<String> = graph.input.iter().map(|i| i.name().to_owned()).collect();
    for input in inputs {
        work.pair(graph, &input);
    }
    let nodes = std::mem::take(&mut graph.node);
    let outputs_of: HashMap<usize, String> = absorbed
        .iter()
        .filter_map(|(activation, before)| Some((*before, nodes.get(*activation)?.output.first()?.clone())))
        .collect();
    for (place, mut node) in nodes.into_iter().enumerate() {
        if absorbed.contains_key(&place) {
            continue;
        }
        if let Some(output) = outputs_of.get(&place) {
            node.output = vec![output.clone()];
        }
        work.node(graph, node, targets.get(&place).copied())?;
    }
    graph.node = work.nodes;
    edit::sweep(graph);
    Ok(model)
}

/// How each value that becomes integers is mapped to them.
fn affines(
    graph: &GraphProto,
    targets: &HashMap<usize, Role>,
    activations: &BTreeSet<String>,
    options: &StaticOptions,
    ranges: &Ranges,
) -> Result<HashMap<String, Affine>, QuantizeError> {
    let mut affines: HashMap<String, Affine> = HashMap::new();
    let own = |value: &str| -> Result<Affine, QuantizeError> {
        let range = ranges.range(value, options.percentile)?;
        Ok(Affine::covering(range, options.activations, options.symmetric))
    };
    for input in graph
        .input
        .iter()
        .map(|i| i.name())
        .filter(|i| activations.contains(*i))
    {
        // All of it: an image's 256 steps are then the integers' own, where its extremes were seen.
        let range = ranges.range(input, 100.0)?;
        let affine = Affine::covering(range, options.activations, options.symmetric);
        affines.insert(input.to_owned(), affine);
    }
    for (place, node) in graph.node.iter().enumerate() {
        let same = targets.get(&place) == Some(&Role::SameScale);
        for output in node.output.iter().filter(|o| activations.contains(*o)) {
            let from_input = node
                .input
                .first()
                .filter(|_| same)
                .and_then(|i| affines.get(i))
                .copied();
            let affine = from_input.map_or_else(|| own(output), Ok)?;
            affines.insert(output.clone(), affine);
        }
    }
    Ok(affines)
}

struct Work<'r> {
    ranges: &'r Ranges,
    names: Names,
    weights: (Integer, bool),
    affines: HashMap<String, Affine>,
    constants: Constants<'static>,
    /// Value → its dequantized twin.
    pairs: HashMap<String, String>,
    /// Weights that were quantized already, by their old name.
    dequantized: HashMap<String, Weight>,
    nodes: Vec<NodeProto>,
}

impl Work<'_> {
    /// Relu and Clip nodes whose bounds the integers' own bounds reproduce: place → place of the node before.
    fn absorbed(&self, graph: &GraphProto, fused: &HashMap<usize, usize>) -> HashMap<usize, usize> {
        let within = |place: &usize| {
            let node = graph.node.get(*place)?;
            let affine = self.affines.get(node.output.first()?)?;
            let bound = |slot: usize, none: f32| match node.input.get(slot) {
                Some(name) if !name.is_empty() => self
                    .constants
                    .floats(name)
                    .ok()
                    .flatten()
                    .and_then(|f| f.data.first().copied()),
                _ => Some(none),
            };
            let (low, high) = match node.op_type() {
                "Relu" => (0.0, f32::INFINITY),
                _ => (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?),
            };
            let (reach, half_a_step) = (affine.reach(), affine.scale / 2.0);
            (reach.low >= low - half_a_step && reach.high <= high + half_a_step).then_some(())
        };
        fused
            .iter()
            .filter(|(place, _)| within(place).is_some())
            .map(|(&a, &b)| (a, b))
            .collect()
    }

    fn node(&mut self, graph: &mut GraphProto, mut node: NodeProto, role: Option<Role>) -> Result<(), QuantizeError> {
        let source = node.input.first().cloned().unwrap_or_default();
        if role.is_some() || (is_standard(&node) && ELEMENTWISE.contains(&node.op_type())) {
            for name in &mut node.input {
                if let Some(twin) = self.pairs.get(name) {
                    name.clone_from(twin);
                }
            }
        }
        if role == Some(Role::Weighted) {
            self.weighted(graph, &mut node, &source)?;
        }
        let outputs = node.output.clone();
        self.nodes.push(node);
        for output in outputs {
            self.pair(graph, &output);
        }
        Ok(())
    }

    /// Adds the pair behind a value, where it becomes integers.
    fn pair(&mut self, graph: &mut GraphProto, value: &str) {
        let Some(affine) = self.affines.get(value).copied() else {
            return;
        };
        let scale = self.names.fresh(&format!("{value}_scale"));
        let zero_point = self.names.fresh(&format!("{value}_zero_point"));
        let integers = self.names.fresh(&format!("{value}_quantized"));
        let twin = self.names.fresh(&format!("{value}_dequantized"));
        graph.initializer.push(from_floats(&scale, &[], &[affine.scale]));
        graph.initializer.push(raw(
            &zero_point,
            affine.kind.onnx(),
            &[],
            vec![affine.zero_point.to_le_bytes()[0]],
        ));
        self.nodes.push(write::node(
            "QuantizeLinear",
            &[value, &scale, &zero_point],
            &[&integers],
        ));
        self.nodes.push(write::node(
            "DequantizeLinear",
            &[&integers, &scale, &zero_point],
            &[&twin],
        ));
        self.pairs.insert(value.to_owned(), twin);
    }
}
