//! Conv, Gemm and MatMul: the weight as 8-bit integers, the bias as 32-bit ones, corrected.
//!
//! Rounding a weight shifts the mean of the layer's output by `Σ (ŵ − w)·E[x]`; the bias takes it back (Nagel et al. 2019,
//! "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with E[x] from calibration).

use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{GraphProto, NodeProto};
use crate::onnx::write::{self, from_floats, raw};

use super::super::QuantizeError;
use super::super::consts::Floats;
use super::super::edit::{self, integer};
use super::super::integer::{Affine, bias, weight};
use super::Work;

/// A weight that was quantized.
pub(super) struct Weight {
    /// The value that holds it, dequantized.
    twin: String,
    channels: Vec<Affine>,
    /// `ŵ − w`, in the weight's own order.
    error: Floats,
    /// Axis of the output channels.
    axis: usize,
}

impl Work<'_> {
    /// Gives a node its integer weight and bias; `source` is what it read before.
    pub(super) fn weighted(
        &mut self,
        graph: &mut GraphProto,
        node: &mut NodeProto,
        source: &str,
    ) -> Result<(), QuantizeError> {
        let input_scale = self.affines.get(source).map_or(1.0, |a| a.scale);
        let (Some(name), bias_name) = (node.input.get(1).cloned(), node.input.get(2).cloned()) else {
            return Ok(());
        };
        let plain = |what: &str| (edit::float(node, what, 1.0) - 1.0).abs() < f32::EPSILON;
        let float_bias = match bias_name.filter(|b| !b.is_empty() && plain("alpha") && plain("beta")) {
            Some(name) => self.constants.floats(&name)?.map(|floats| (name, floats)),
            None => None,
        };
        if !self.dequantized.contains_key(&name) {
            // A bias is added in 32 bits at scale input × weight: the weight's scale must be wide enough for it.
            let least: Vec<f32> = float_bias
                .iter()
                .flat_map(|(_, b)| &b.data)
                .map(|b| b.abs() / (input_scale * 1_073_741_824.0))
                .collect();
            self.weight(graph, node, &name, &least)?;
        }
        let Some(weight) = self.dequantized.get(&name) else {
            return Ok(());
        };
        if let Some(slot) = node.input.get_mut(1) {
            slot.clone_from(&weight.twin);
        }
        let channels = weight.channels.clone();
        // A bias that broadcasts otherwise than over the channels stays in float.
        let fits = |len: usize| channels.len() == 1 || channels.len() == len;
        if let Some((name, mut floats)) = float_bias.filter(|(_, b)| b.dims.len() == 1 && fits(b.data.len())) {
            if let Some(means) = self.ranges.means(source) {
                for (value, shift) in floats.data.iter_mut().zip(weight.shift(&means)) {
                    *value -= shift;
                }
            }
            let twin = self.bias(graph, &name, &floats.data, input_scale, &channels);
            if let Some(slot) = node.input.get_mut(2) {
                *slot = twin;
            }
        }
        Ok(())
    }

    fn weight(
        &mut self,
        graph: &mut GraphProto,
        node: &NodeProto,
        name: &str,
        least: &[f32],
    ) -> Result<(), QuantizeError> {
        let Some(floats) = self.constants.floats(name)? else {
            return Ok(());
        };
        let (kind, per_channel) = self.weights;
        let axis = match node.op_type() {
            "Conv" => 0,
            "Gemm" if integer(node, "transB", 0) != 0 => 0,
            _ => floats.dims.len().saturating_sub(1),
        };
        let widest = [least.iter().copied().fold(0.0, f32::max)];
        let least = if per_channel { least } else { &widest };
        let made = weight(&floats.data, &floats.dims, per_channel.then_some(axis), kind, least);
        let error = Floats {
            data: made.errors(&floats.data),
            dims: floats.dims.clone(),
        };
        let scales: Vec<f32> = made.channels.iter().map(|c| c.scale).collect();
        let dims: Vec<usize> = if per_channel { vec![scales.len()] } else { vec![] };
        let zeros = made.channels.iter().map(|c| c.zero_point.to_le_bytes()[0]).collect();
        let integers = self.names.fresh(&format!("{name}_quantized"));
        let zero_point = self.names.fresh(&format!("{name}_zero_point"));
        graph
            .initializer
            .push(raw(&integers, kind.onnx(), &floats.dims, made.bytes));
        graph.initializer.push(raw(&zero_point, kind.onnx(), &dims, zeros));
        let twin = self.dequantize(graph, name, &integers, (&scales, &dims), Some(&zero_point), axis);
        let channels = made.channels;
        let weight = Weight {
            twin,
            channels,
            error,
            axis,
        };
        self.dequantized.insert(name.to_owned(), weight);
        Ok(())
    }

    fn bias(
        &mut self,
        graph: &mut GraphProto,
        name: &str,
        data: &[f32],
        input_scale: f32,
        channels: &[Affine],
    ) -> String {
        let (integers, scales) = bias(data, input_scale, channels);
        let bytes = integers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let tensor = self.names.fresh(&format!("{name}_quantized"));
        graph
            .initializer
            .push(raw(&tensor, DataType::Int32, &[integers.len()], bytes));
        let dims: Vec<usize> = if channels.len() == 1 {
            vec![]
        } else {
            vec![scales.len()]
        };
        self.dequantize(graph, name, &tensor, (&scales, &dims), None, 0)
    }

    fn dequantize(
        &mut self,
        graph: &mut GraphProto,
        name: &str,
        integers: &str,
        (scales, dims): (&[f32], &[usize]),
        zero_point: Option<&str>,
        axis: usize,
    ) -> String {
        let scale = self.names.fresh(&format!("{name}_scale"));
        let twin = self.names.fresh(&format!("{name}_dequantized"));
        graph.initializer.push(from_floats(&scale, dims, scales));
        let mut inputs = vec![integers, &scale];
        inputs.extend(zero_point);
        let mut node = write::node("DequantizeLinear", &inputs, &[&twin]);
        if !dims.is_empty() {
            let axis = i64::try_from(axis).unwrap_or_default();
            node.attribute.push(write::integer_attribute("axis", axis));
        }
        self.nodes.push(node);
        twin
    }
}

impl Weight {
    /// How far rounding moves the mean of each output channel, for these means of the input channels.
    fn shift(&self, means: &[f32]) -> Vec<f32> {
        let outputs = self.error.dims.get(self.axis).copied().unwrap_or(0);
        if outputs == 0 || means.is_empty() {
            return vec![0.0; outputs];
        }
        if self.axis != 0 {
            // [inputs, outputs], a matrix from the right.
            let mut shift = vec![0.0; outputs];
            for (index, error) in self.error.data.iter().enumerate() {
                if let (Some(sum), Some(mean)) = (shift.get_mut(index % outputs), means.get(index / outputs)) {
                    *sum += error * mean;
                }
            }
            return shift;
        }
        // [outputs, inputs of a group, kernel …].
        let in_group = self.error.dims.get(1).copied().unwrap_or(1).max(1);
        let groups = (means.len() / in_group).max(1);
        let kernel = self.error.dims.iter().skip(2).product::<usize>().max(1);
        let per_output = in_group * kernel;
        self.error
            .data
            .chunks(per_output.max(1))
            .enumerate()
            .map(|(output, errors)| {
                let first = output * groups / outputs * in_group;
                let means = means.iter().skip(first);
                errors
                    .chunks(kernel)
                    .zip(means)
                    .map(|(e, mean)| e.iter().sum::<f32>() * mean)
                    .sum()
            })
            .collect()
    }
}
