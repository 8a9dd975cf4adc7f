//! Folds a BatchNormalization into the convolution before it, so that its scale is part of the quantized weight.
//!
//! `γ (w·x + b − μ) / √(σ² + ε) + β` is a convolution with `w' = w γ/√(σ²+ε)`, `b' = (b − μ) γ/√(σ²+ε) + β` (Ioffe and
//! Szegedy 2015, inference form).

use std::collections::HashMap;

use crate::onnx::proto::{GraphProto, NodeProto};
use crate::onnx::write::{Names, from_floats};

use super::QuantizeError;
use super::consts::{Constants, Floats};
use super::edit::{float, integer, is_standard, readers, sweep};

/// Folds all that can be; gives how many.
pub(super) fn batch_norms(graph: &mut GraphProto, names: &mut Names) -> Result<usize, QuantizeError> {
    let constants = Constants::of(graph);
    let readers = readers(graph);
    let makers: HashMap<String, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(place, node)| node.output.iter().map(move |o| (o.clone(), place)))
        .collect();
    let mut gone = Vec::new();
    for place in 0..graph.node.len() {
        let Some((conv, folded)) = fold(graph, &constants, &makers, &readers, place)? else {
            continue;
        };
        let Some(output) = graph.node.get(place).and_then(|n| n.output.first()).cloned() else {
            continue;
        };
        let weight = names.fresh(&format!("{output}_folded_weight"));
        let bias = names.fresh(&format!("{output}_folded_bias"));
        graph
            .initializer
            .push(from_floats(&weight, &folded.weight.dims, &folded.weight.data));
        graph
            .initializer
            .push(from_floats(&bias, &[folded.bias.len()], &folded.bias));
        if let Some(conv) = graph.node.get_mut(conv) {
            conv.input.truncate(1);
            conv.input.extend([weight, bias]);
            conv.output = vec![output];
        }
        gone.push(place);
    }
    let mut place = 0;
    graph.node.retain(|_| {
        place += 1;
        !gone.contains(&(place - 1))
    });
    sweep(graph);
    Ok(gone.len())
}

struct Folded {
    weight: Floats,
    bias: Vec<f32>,
}

fn fold(
    graph: &GraphProto,
    constants: &Constants<'_>,
    makers: &HashMap<String, usize>,
    readers: &HashMap<String, usize>,
    place: usize,
) -> Result<Option<(usize, Folded)>, QuantizeError> {
    let Some(norm) = graph.node.get(place).filter(|n| foldable(n)) else {
        return Ok(None);
    };
    let Some(input) = norm.input.first() else {
        return Ok(None);
    };
    let Some(&conv_place) = makers.get(input).filter(|_| readers.get(input) == Some(&1)) else {
        return Ok(None);
    };
    let Some(conv) = graph
        .node
        .get(conv_place)
        .filter(|n| n.op_type() == "Conv" && is_standard(n))
    else {
        return Ok(None);
    };
    let constant = |node: &NodeProto, slot: usize| match node.input.get(slot) {
        Some(name) if !name.is_empty() => constants.floats(name),
        _ => Ok(None),
    };
    let (Some(mut weight), Some(gamma), Some(beta), Some(mean), Some(variance)) = (
        constant(conv, 1)?,
        constant(norm, 1)?,
        constant(norm, 2)?,
        constant(norm, 3)?,
        constant(norm, 4)?,
    ) else {
        return Ok(None);
    };
    let has_bias = conv.input.get(2).is_some_and(|name| !name.is_empty());
    let bias = constant(conv, 2)?;
    let channels = weight.dims.first().copied().unwrap_or(0);
    let fits = [&gamma, &beta, &mean, &variance]
        .iter()
        .all(|f| f.data.len() == channels)
        && bias.as_ref().is_none_or(|b| b.data.len() == channels)
        && has_bias == bias.is_some();
    if !fits || channels == 0 {
        return Ok(None);
    }
    let epsilon = float(norm, "epsilon", 1e-5);
    let bias = scale(&mut weight, bias.as_ref(), [&gamma, &beta, &mean, &variance], epsilon);
    Ok(Some((conv_place, Folded { weight, bias })))
}

/// Scales each output channel of the weight, and gives the bias that goes with it.
fn scale(weight: &mut Floats, bias: Option<&Floats>, norm: [&Floats; 4], epsilon: f32) -> Vec<f32> {
    let [gamma, beta, mean, variance] = norm;
    let channels = gamma.data.len().max(1);
    let per_channel = weight.data.len() / channels;
    let mut folded = Vec::with_capacity(channels);
    let scales = gamma.data.iter().zip(&beta.data);
    let parameters = scales.zip(mean.data.iter().zip(&variance.data));
    for (channel, ((gamma, beta), (mean, variance))) in parameters.enumerate() {
        let factor = gamma / (variance + epsilon).sqrt();
        let own = weight.data.iter_mut().skip(channel * per_channel).take(per_channel);
        own.for_each(|w| *w *= factor);
        let before = bias.and_then(|b| b.data.get(channel)).copied().unwrap_or(0.0);
        folded.push((before - mean) * factor + beta);
    }
    folded
}

fn foldable(node: &NodeProto) -> bool {
    node.op_type() == "BatchNormalization"
        && is_standard(node)
        && node.output.iter().skip(1).all(String::is_empty)
        && integer(node, "training_mode", 0) == 0
        && integer(node, "spatial", 1) == 1
}
