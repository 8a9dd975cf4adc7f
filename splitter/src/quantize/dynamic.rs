//! Dynamic quantization: int8 weights; activations become uint8 at run time by DynamicQuantizeLinear.
//!
//! The same road as onnxruntime's `quantize_dynamic`: `Conv` → `ConvInteger`, `MatMul` and `Gemm` with a constant
//! matrix → `MatMulInteger`, then Cast and a multiplication by both scales, then the bias in float.

use std::collections::HashMap;

use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};
use crate::onnx::write::{self, Names, from_floats, raw};

use super::consts::Constants;
use super::edit::{self, graph_of, label};
use super::integer::{Integer, weight};
use super::layer::{Layer, channel_dims, layer};
use super::limits::MAX_DEPTH;
use super::{Kept, QuantizeError, Quantized, opset};

/// How weights are quantized; activations are always uint8 and per tensor, as DynamicQuantizeLinear gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dynamic {
    /// The weights' type.
    pub weights: Integer,
    /// A scale for each output channel. With uint8 weights only matrices: ConvInteger takes one zero point.
    pub per_channel: bool,
}

/// Quantizes every `Conv`, `MatMul` and `Gemm` whose weight is a float constant, bodies of `If` and loops included.
///
/// # Errors
/// When the model is damaged, its operator set is below 11 and cannot be raised, or nothing can be quantized.
pub fn dynamic(mut model: ModelProto, options: Dynamic) -> Result<Quantized, QuantizeError> {
    edit::lift_constants(&mut model)?;
    opset::raise(&mut model, 11)?;
    let graph = graph_of(&mut model)?;
    let mut names = Names::of(graph);
    super::fold::batch_norms(graph, &mut names)?;
    let mut work = Work {
        options,
        names,
        converted: 0,
        kept: Vec::new(),
    };
    work.graph(graph, None, 0)?;
    if work.converted == 0 {
        return Err(QuantizeError::Nothing("ConvInteger or MatMulInteger takes"));
    }
    Ok(Quantized {
        model,
        nodes_converted: work.converted,
        kept: work.kept,
    })
}

struct Work {
    options: Dynamic,
    names: Names,
    converted: usize,
    kept: Vec<Kept>,
}

/// What DynamicQuantizeLinear made of one activation.
#[derive(Clone)]
struct Activation {
    integers: String,
    scale: String,
    zero_point: String,
}

impl Work {
    fn graph(
        &mut self,
        graph: &mut GraphProto,
        outer: Option<&Constants<'_>>,
        depth: usize,
    ) -> Result<(), QuantizeError> {
        if depth > MAX_DEPTH {
            return Err(QuantizeError::Model(format!("bodies nested deeper than {MAX_DEPTH}")));
        }
        let constants = match outer {
            Some(outer) => Constants::of(graph).within(outer),
            None => Constants::of(graph),
        };
        let mut activations = HashMap::new();
        let mut nodes = Vec::with_capacity(graph.node.len());
        for mut node in std::mem::take(&mut graph.node) {
            for attribute in &mut node.attribute {
                for body in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
                    self.graph(body, Some(&constants), depth + 1)?;
                }
            }
            match layer(graph, &constants, &mut self.names, &node)? {
                Ok(layer) => self.convert(graph, &node, layer, &mut activations, &mut nodes),
                Err(why) => {
                    if let Some(why) = why {
                        self.kept.push(Kept {
                            node: label(&node),
                            why,
                        });
                    }
                    nodes.push(node);
                }
            }
        }
        graph.node = nodes;
        edit::sweep(graph);
        Ok(())
    }

    fn convert(
        &mut self,
        graph: &mut GraphProto,
        node: &NodeProto,
        layer: Layer,
        activations: &mut HashMap<String, Activation>,
        nodes: &mut Vec<NodeProto>,
    ) {
        let (Some(input), Some(output)) = (node.input.first(), node.output.first()) else {
            return;
        };
        let activation = activations
            .entry(input.clone())
            .or_insert_with(|| self.activation(input, nodes))
            .clone();
        let (integers, zero_point, scale) = self.weight(graph, &layer);
        let accumulator = self.names.fresh(&format!("{output}_int32"));
        let real = self.names.fresh(&format!("{output}_float"));
        let scales = self.names.fresh(&format!("{output}_scale"));
        let mut product = write::node(
            layer.op,
            &[&activation.integers, &integers, &activation.zero_point, &zero_point],
            &[&accumulator],
        );
        product.name = Some(format!("{}_quant", label(node)));
        product.attribute = layer.attributes;
        let mut cast = write::node("Cast", &[&accumulator], &[&real]);
        cast.attribute
            .push(write::integer_attribute("to", DataType::Float as i64));
        nodes.push(product);
        nodes.push(cast);
        nodes.push(write::node("Mul", &[&activation.scale, &scale], &[&scales]));
        match layer.bias {
            Some(bias) => {
                let scaled = self.names.fresh(&format!("{output}_scaled"));
                nodes.push(write::node("Mul", &[&real, &scales], &[&scaled]));
                nodes.push(write::node("Add", &[&scaled, &bias], &[output]));
            }
            None => nodes.push(write::node("Mul", &[&real, &scales], &[output])),
        }
        self.converted += 1;
    }

    fn activation(&mut self, input: &str, nodes: &mut Vec<NodeProto>) -> Activation {
        let made = Activation {
            integers: self.names.fresh(&format!("{input}_quantized")),
            scale: self.names.fresh(&format!("{input}_scale")),
            zero_point: self.names.fresh(&format!("{input}_zero_point")),
        };
        let outputs = [made.integers.as_str(), &made.scale, &made.zero_point];
        nodes.push(write::node("DynamicQuantizeLinear", &[input], &outputs));
        made
    }

    /// Adds the weight's integers, zero point and scale; gives their names.
    fn weight(&mut self, graph: &mut GraphProto, layer: &Layer) -> (String, String, String) {
        let conv = layer.op == "ConvInteger";
        let per_channel = self.options.per_channel && (!conv || self.options.weights == Integer::Int8);
        let axis = per_channel.then_some(layer.axis);
        let made = weight(&layer.floats.data, &layer.floats.dims, axis, self.options.weights, &[]);
        let name = |names: &mut Names, what: &str| names.fresh(&format!("{}_{what}", layer.weight));
        let (integers, zero_point, scale) = (
            name(&mut self.names, "quantized"),
            name(&mut self.names, "zero_point"),
            name(&mut self.names, "scale"),
        );
        let kind = self.options.weights.onnx();
        graph
            .initializer
            .push(raw(&integers, kind, &layer.floats.dims, made.bytes));
        // Symmetric weights share one zero point, which every engine takes; uint8 columns have their own.
        let one_zero = self.options.weights == Integer::Int8 || !per_channel;
        let zeros: Vec<u8> = made
            .channels
            .iter()
            .take(if one_zero { 1 } else { usize::MAX })
            .map(|c| c.zero_point.to_le_bytes()[0])
            .collect();
        let zero_dims: &[usize] = if one_zero { &[] } else { &[zeros.len()] };
        graph.initializer.push(raw(&zero_point, kind, zero_dims, zeros));
        let scales: Vec<f32> = made.channels.iter().map(|c| c.scale * layer.factor).collect();
        let dims = match (per_channel, conv) {
            (false, _) => vec![],
            (true, false) => vec![scales.len()],
            (true, true) => channel_dims(scales.len(), layer.floats.dims.len()),
        };
        graph.initializer.push(from_floats(&scale, &dims, &scales));
        (integers, zero_point, scale)
    }
}
