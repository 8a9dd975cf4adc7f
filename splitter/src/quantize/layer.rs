//! A node that dynamic quantization can convert, taken apart.

use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto};
use crate::onnx::write::{Names, from_floats};

use super::QuantizeError;
use super::consts::{Constants, Floats};
use super::edit::{float, integer, is_standard};

/// One layer, taken apart: `y = x · w × factor + bias`.
pub(super) struct Layer {
    pub(super) op: &'static str,
    pub(super) weight: String,
    pub(super) floats: Floats,
    /// Axis of the output channels in `floats`.
    pub(super) axis: usize,
    pub(super) bias: Option<String>,
    pub(super) factor: f32,
    pub(super) attributes: Vec<AttributeProto>,
}

/// `[1, C, 1, …]`: a channel vector that broadcasts over `[N, C, …]`.
pub(super) fn channel_dims(channels: usize, rank: usize) -> Vec<usize> {
    let mut dims = vec![1; rank.max(2)];
    dims[1] = channels;
    dims
}

/// The node as a layer; else why not, where it was near.
pub(super) fn layer(
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
