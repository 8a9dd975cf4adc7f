//! Which nodes of a graph run on integers, and which values become integers for them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::type_proto::Value;
use crate::onnx::proto::{GraphProto, NodeProto, ValueInfoProto};

use super::Kept;
use super::consts::Constants;
use super::edit::{self, integer, is_standard, label};
use super::plan::{Role, StaticOptions};
use super::ranges::Channels;

/// Operators whose first output is float when their first input is; what is not listed counts as not float.
const FLOAT_TO_FLOAT: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "MatMul",
    "MaxPool",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Selu",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// The choice so far, while nodes are looked at in the order in which they run.
pub(super) struct Choice {
    constants: Constants<'static>,
    readers: HashMap<String, usize>,
    makers: HashMap<String, usize>,
    outputs: HashSet<String>,
    floats: HashSet<String>,
    keep_float: BTreeSet<String>,
    pub(super) targets: HashMap<usize, Role>,
    pub(super) fused: HashMap<usize, usize>,
    pub(super) activations: BTreeSet<String>,
    pub(super) same_scale: HashSet<String>,
    pub(super) channels: BTreeMap<String, Channels>,
    pub(super) kept: Vec<Kept>,
}

impl Choice {
    pub(super) fn new(graph: &GraphProto, options: &StaticOptions) -> Self {
        let is_float = |v: &&ValueInfoProto| {
            matches!(v.r#type.as_ref().and_then(|t| t.value.as_ref()),
                Some(Value::TensorType(t)) if t.elem_type() == DataType::Float as i32)
        };
        Self {
            constants: Constants::of(graph),
            readers: edit::readers(graph),
            makers: HashMap::new(),
            outputs: graph.output.iter().map(|o| o.name().to_owned()).collect(),
            floats: graph
                .input
                .iter()
                .filter(is_float)
                .map(|v| v.name().to_owned())
                .collect(),
            keep_float: options.keep_float.clone(),
            targets: HashMap::new(),
            fused: HashMap::new(),
            activations: BTreeSet::new(),
            same_scale: HashSet::new(),
            channels: BTreeMap::new(),
            kept: Vec::new(),
        }
    }

    /// Looks at one node; nodes come in the order in which they run.
    pub(super) fn node(&mut self, graph: &GraphProto, place: usize) {
        let Some(node) = graph.node.get(place) else { return };
        let (Some(first), Some(output)) = (node.input.first(), node.output.first()) else {
            return;
        };
        self.makers.insert(output.clone(), place);
        if !is_standard(node) || !self.floats.contains(first) || !FLOAT_TO_FLOAT.contains(&node.op_type()) {
            return;
        }
        // Every output of Split is like the first; of the other operators only the first is float.
        let outputs = if node.op_type() == "Split" {
            node.output.len()
        } else {
            1
        };
        self.floats.extend(node.output.iter().take(outputs).cloned());
        if self.keep_float.contains(node.name()) || self.keep_float.contains(output) {
            self.kept.push(Kept {
                node: label(node),
                why: "asked for",
            });
            return;
        }
        if let Some(before) = self.takes_over(node, first) {
            self.fused.insert(place, before);
            self.activations.remove(first);
            self.quantize_output(output);
        } else if let Some((role, inputs)) = self.role(node) {
            self.targets.insert(place, role);
            self.activations.extend(inputs);
            if role == Role::SameScale {
                self.same_scale.insert(output.clone());
            }
            self.quantize_output(output);
        }
    }

    fn quantize_output(&mut self, output: &str) {
        // The model's outputs keep their full resolution.
        if !self.outputs.contains(output) {
            self.activations.insert(output.to_owned());
        }
    }

    /// A Relu or Clip right behind a quantized node is done by the saturation of that node's output.
    fn takes_over(&self, node: &NodeProto, input: &str) -> Option<usize> {
        let bounded = match node.op_type() {
            "Relu" => true,
            "Clip" => node
                .input
                .iter()
                .skip(1)
                .all(|b| b.is_empty() || self.constants.is_float(b, 0)),
            _ => false,
        };
        let before = *self.makers.get(input)?;
        let alone = self.readers.get(input) == Some(&1) && !self.outputs.contains(input);
        let output_is_free = node.output.first().is_some_and(|o| !self.outputs.contains(o));
        let scaled = matches!(self.targets.get(&before)?, Role::Weighted | Role::OwnScale);
        (bounded && alone && output_is_free && scaled).then_some(before)
    }

    /// The channels of a weighted node's input.
    fn channels_read(&self, node: &NodeProto) -> Option<Channels> {
        let dims = &self.constants.tensor(node.input.get(1)?)?.dims;
        let dim = |axis: usize| dims.get(axis).and_then(|&d| usize::try_from(d).ok());
        match node.op_type() {
            "Conv" => {
                let groups = usize::try_from(integer(node, "group", 1)).ok()?;
                let count = dim(1)?.checked_mul(groups)?;
                Some(Channels { count, last: false })
            }
            "Gemm" if integer(node, "transB", 0) != 0 => Some(Channels {
                count: dim(1)?,
                last: true,
            }),
            _ => Some(Channels {
                count: dim(dims.len().checked_sub(2)?)?,
                last: true,
            }),
        }
    }

    fn role(&mut self, node: &NodeProto) -> Option<(Role, Vec<String>)> {
        let first = node.input.first()?.clone();
        let is_activation = |name: &String| self.floats.contains(name) && self.constants.tensor(name).is_none();
        let is_integer = |name: &String| self.activations.contains(name);
        match node.op_type() {
            op @ ("Conv" | "Gemm" | "MatMul") => {
                let least_rank = if op == "Conv" { 3 } else { 2 };
                let weight = node.input.get(1)?;
                if !self.constants.is_float(weight, least_rank) || integer(node, "transA", 0) != 0 {
                    let why = "its weight is not a constant of floats, or it has transA";
                    self.kept.push(Kept { node: label(node), why });
                    return None;
                }
                if let Some(channels) = self.channels_read(node) {
                    self.channels.insert(first.clone(), channels);
                }
                Some((Role::Weighted, vec![first]))
            }
            "Add" | "Mul" | "Concat" => {
                let all = node.input.iter().all(is_activation);
                (all && node.input.iter().any(is_integer)).then(|| (Role::OwnScale, node.input.clone()))
            }
            "AveragePool" | "GlobalAveragePool" if is_integer(&first) => Some((Role::OwnScale, vec![first])),
            "MaxPool" if node.output.len() == 1 && is_integer(&first) => Some((Role::SameScale, vec![first])),
            "Flatten" | "Reshape" | "Squeeze" | "Transpose" | "Unsqueeze" if is_integer(&first) => {
                Some((Role::SameScale, vec![first]))
            }
            _ => None,
        }
    }
}
