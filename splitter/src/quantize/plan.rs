//! Static quantization, first half: which nodes run on integers, and which values calibration must see.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use crate::onnx::proto::type_proto::{Tensor, Value};
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto};

use super::consts::Constants;
use super::edit::{self, Names, graph_of, integer, is_standard, label};
use super::integer::Integer;
use super::ranges::Channels;
use super::{Kept, QuantizeError, Quantized, Ranges, opset, qdq};

/// How a model is quantized statically.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticOptions {
    /// The weights' type.
    pub weights: Integer,
    /// The activations' type.
    pub activations: Integer,
    /// Activations around a zero point of 0 (128 for uint8), as TensorRT and most NPUs want them.
    pub symmetric: bool,
    /// A scale for each output channel of a weight; needs opset 13.
    pub per_channel: bool,
    /// Share of an activation's elements within its range, per cent, over 50: 100 is min-max.
    pub percentile: f64,
    /// Nodes that stay in float, by name.
    pub keep_float: BTreeSet<String>,
}

/// A value that calibration must see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The value; what [`Ranges::observe`] is told.
    pub value: String,
    /// The output that shows it, all elements in one row.
    pub output: String,
}

/// What a node that runs on integers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Has a constant weight as second input.
    Weighted,
    /// Its output has its input's scale.
    SameScale,
    /// Its output has a scale of its own.
    OwnScale,
}

/// A static quantization that waits for its ranges.
#[derive(Debug, Clone)]
pub struct Static {
    pub(super) model: ModelProto,
    pub(super) options: StaticOptions,
    pub(super) names: Names,
    /// Role by the node's place.
    pub(super) targets: HashMap<usize, Role>,
    /// Place of a Relu or Clip → place of the node before it, which may take it over.
    pub(super) fused: HashMap<usize, usize>,
    /// Values that become integers.
    pub(super) activations: BTreeSet<String>,
    observed: Vec<Observed>,
    channels: BTreeMap<String, Channels>,
    kept: Vec<Kept>,
}

impl Static {
    /// Prepares a model: constants lifted, opset raised, batch normalisations folded, nodes chosen.
    ///
    /// # Errors
    /// When the model is damaged, too old to be raised, or has nothing to quantize.
    pub fn new(mut model: ModelProto, options: StaticOptions) -> Result<Self, QuantizeError> {
        if !(options.percentile > 50.0 && options.percentile <= 100.0) {
            return Err(QuantizeError::Option {
                what: "percentile",
                expected: "over 50, at most 100",
                got: options.percentile.to_string(),
            });
        }
        edit::lift_constants(&mut model)?;
        opset::raise(&mut model, if options.per_channel { 13 } else { 11 })?;
        let graph = graph_of(&mut model)?;
        let mut names = Names::of(graph)?;
        super::fold::batch_norms(graph, &mut names)?;
        let mut choice = Choice::new(graph, &options);
        for place in 0..graph.node.len() {
            choice.node(graph, place);
        }
        if choice.targets.is_empty() {
            return Err(QuantizeError::Nothing("Conv, Gemm or MatMul reads"));
        }
        let Choice {
            targets,
            fused,
            activations,
            same_scale,
            channels,
            kept,
            ..
        } = choice;
        let observed = activations
            .iter()
            .filter(|value| !same_scale.contains(*value))
            .map(|value| Observed {
                value: value.clone(),
                output: names.fresh(&format!("{value}_observed")),
            })
            .collect();
        Ok(Self {
            model,
            options,
            names,
            targets,
            fused,
            activations,
            observed,
            channels,
            kept,
        })
    }

    /// The values that calibration must see, and the outputs of [`Static::observed_model`] that show them.
    pub fn observed(&self) -> &[Observed] {
        &self.observed
    }

    /// Empty ranges that know which channel means the bias correction needs.
    pub fn ranges(&self) -> Ranges {
        Ranges::with_channels(self.channels.clone())
    }

    /// The prepared float model with an output more for every observed value, behind its own outputs.
    pub fn observed_model(&self) -> ModelProto {
        let mut model = self.model.clone();
        if let Some(graph) = &mut model.graph {
            for observed in &self.observed {
                // One row, so that the output's rank is known without inferring any shape.
                let mut flat = edit::node("Flatten", &[&observed.value], &[&observed.output]);
                flat.attribute.push(edit::integer_attribute("axis", 0));
                graph.node.push(flat);
                graph.output.push(row_of_floats(&observed.output));
            }
        }
        model
    }

    /// Writes the quantized model.
    ///
    /// # Errors
    /// When a value was never observed, or a constant is damaged.
    pub fn finish(self, ranges: &Ranges) -> Result<Quantized, QuantizeError> {
        let (nodes_converted, kept) = (self.targets.len(), self.kept.clone());
        let model = qdq::rewrite(self, ranges)?;
        Ok(Quantized {
            model,
            nodes_converted,
            kept,
        })
    }
}

/// `[1, n]` of 32-bit floats.
fn row_of_floats(name: &str) -> ValueInfoProto {
    let dimension = |value| Dimension {
        value: Some(value),
        ..Dimension::default()
    };
    let dim = vec![
        dimension(dimension::Value::DimValue(1)),
        dimension(dimension::Value::DimParam(format!("{name}_elements"))),
    ];
    let tensor = Tensor {
        elem_type: Some(DataType::Float as i32),
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

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

struct Choice {
    constants: Constants<'static>,
    readers: HashMap<String, usize>,
    makers: HashMap<String, usize>,
    outputs: HashSet<String>,
    floats: HashSet<String>,
    keep_float: BTreeSet<String>,
    targets: HashMap<usize, Role>,
    fused: HashMap<usize, usize>,
    activations: BTreeSet<String>,
    same_scale: HashSet<String>,
    channels: BTreeMap<String, Channels>,
    kept: Vec<Kept>,
}

impl Choice {
    fn new(graph: &GraphProto, options: &StaticOptions) -> Self {
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
    fn node(&mut self, graph: &GraphProto, place: usize) {
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
