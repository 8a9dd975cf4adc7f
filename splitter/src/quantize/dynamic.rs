//! Dynamic quantization: int8 weights; activations become uint8 at run time by DynamicQuantizeLinear.
//!
//! The same road as onnxruntime's `quantize_dynamic`: `Conv` → `ConvInteger`, `MatMul` and `Gemm` with a constant
//! matrix → `MatMulInteger`, then Cast and a multiplication by both scales, then the bias in float.

use std::collections::HashMap;

use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto};

use super::consts::{Constants, Floats, from_floats, raw};
use super::edit::{self, Names, float, graph_of, integer, is_standard, label};
use super::integer::{Integer, weight};
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
    let mut names = Names::of(graph)?;
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

/// One layer, taken apart: `y = x · w × factor + bias`.
struct Layer {
    op: &'static str,
    weight: String,
    floats: Floats,
    /// Axis of the output channels in `floats`.
    axis: usize,
    bias: Option<String>,
    factor: f32,
    attributes: Vec<AttributeProto>,
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
        let mut product = edit::node(
            layer.op,
            &[&activation.integers, &integers, &activation.zero_point, &zero_point],
            &[&accumulator],
        );
        product.name = Some(format!("{}_quant", label(node)));
        product.attribute = layer.attributes;
        let mut cast = edit::node("Cast", &[&accumulator], &[&real]);
        cast.attribute
            .push(edit::integer_attribute("to", DataType::Float as i64));
        nodes.push(product);
        nodes.push(cast);
        nodes.push(edit::node("Mul", &[&activation.scale, &scale], &[&scales]));
        match layer.bias {
            Some(bias) => {
                let scaled = self.names.fresh(&format!("{output}_scaled"));
                nodes.push(edit::node("Mul", &[&real, &scales], &[&scaled]));
                nodes.push(edit::node("Add", &[&scaled, &bias], &[output]));
            }
            None => nodes.push(edit::node("Mul", &[&real, &scales], &[output])),
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
        nodes.push(edit::node("DynamicQuantizeLinear", &[input], &outputs));
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

/// `[1, C, 1, …]`: a channel vector that broadcasts over `[N, C, …]`.
fn channel_dims(channels: usize, rank: usize) -> Vec<usize> {
    let mut dims = vec![1; rank.max(2)];
    dims[1] = channels;
    dims
}

/// The node as a layer; else why not, where it was near.
fn layer(
    graph: &mut GraphProto,
    constants: &Constants<'_>,
    names: &mut Names,
    node: &NodeProto,
) -> Result<Result<Layer, Option<&'static str>>, QuantizeError> {
    if !is_standard(node) {
        return Ok(Err(None));
    }
    let name = |slot: usize| node.input.get(slot).filter(|n| !n.is_empty()).cloned();
    let (op, least_rank) = match node.op_type() {
        "Conv" => ("ConvInteger", 3),
        "MatMul" | "Gemm" => ("MatMulInteger", 2),
        _ => return Ok(Err(None)),
    };
    let Some(weight) = name(1).filter(|w| constants.is_float(w, least_rank)) else {
        return Ok(Err(Some("its weight is not a constant of floats")));
    };
    let Some(floats) = constants.floats(&weight)? else {
        return Ok(Err(Some("its weight is not a constant of floats")));
    };
    let base = Layer {
        op,
        weight: weight.clone(),
        axis: floats.dims.len() - 1,
        floats,
        bias: name(2),
        factor: 1.0,
        attributes: Vec::new(),
    };
    match node.op_type() {
        "Conv" => conv(graph, constants, names, node, base),
        "Gemm" => gemm(graph, constants, names, node, base),
        _ => Ok(Ok(base)),
    }
}

fn conv(
    graph: &mut GraphProto,
    constants: &Constants<'_>,
    names: &mut Names,
    node: &NodeProto,
    layer: Layer,
) -> Result<Result<Layer, Option<&'static str>>, QuantizeError> {
    let mut bias = None;
    if let Some(name) = &layer.bias {
        let Some(floats) = constants.floats(name)? else {
            return Ok(Err(Some("its bias is not a constant of floats")));
        };
        // A bias of its own shape, for this layer: the old one goes when nobody reads it.
        let shaped = names.fresh(&format!("{name}_channels"));
        let dims = channel_dims(floats.data.len(), layer.floats.dims.len());
        graph.initializer.push(from_floats(&shaped, &dims, &floats.data));
        bias = Some(shaped);
    }
    Ok(Ok(Layer {
        axis: 0,
        bias,
        attributes: node.attribute.clone(),
        ..layer
    }))
}

fn gemm(
    graph: &mut GraphProto,
    constants: &Constants<'_>,
    names: &mut Names,
    node: &NodeProto,
    mut layer: Layer,
) -> Result<Result<Layer, Option<&'static str>>, QuantizeError> {
    if integer(node, "transA", 0) != 0 || layer.floats.dims.len() != 2 {
        return Ok(Err(Some("Gemm with transA")));
    }
    if integer(node, "transB", 0) != 0 {
        layer.floats = transposed(&layer.floats);
    }
    layer.factor = float(node, "alpha", 1.0);
    let beta = float(node, "beta", 1.0);
    if let Some(name) = layer.bias.clone().filter(|_| (beta - 1.0).abs() > f32::EPSILON) {
        let Some(floats) = constants.floats(&name)? else {
            return Ok(Err(Some("Gemm with beta and a bias that is no constant")));
        };
        let scaled = names.fresh(&format!("{name}_times_beta"));
        let data: Vec<f32> = floats.data.iter().map(|x| x * beta).collect();
        graph.initializer.push(from_floats(&scaled, &floats.dims, &data));
        layer.bias = Some(scaled);
    }
    Ok(Ok(layer))
}

fn transposed(matrix: &Floats) -> Floats {
    let (rows, columns) = (matrix.dims[0], matrix.dims[1]);
    let data = (0..columns)
        .flat_map(|c| (0..rows).map(move |r| r * columns + c))
        .map(|place| matrix.data[place])
        .collect();
    Floats {
        data,
        dims: vec![columns, rows],
    }
}
