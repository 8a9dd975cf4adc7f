//! Static quantization, first half: which nodes run on integers, and which values calibration must see.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kerf_wire::DType;

use crate::onnx::proto::{ModelProto, ValueInfoProto};
use crate::onnx::write::{self, Names};
use crate::onnx::{ElementType, declare};

use super::choice::Choice;
use super::edit::{self, graph_of};
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
        let mut names = Names::of(graph);
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
                let mut flat = write::node("Flatten", &[&observed.value], &[&observed.output]);
                flat.attribute.push(write::integer_attribute("axis", 0));
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
    let shape = vec![declare::fixed(1), declare::named(&format!("{name}_elements"))];
    declare::declared(name, Some(ElementType::Wire(DType::F32)), Some(shape))
}
