//! Half precision: weights and activations become 16-bit floats; the model's inputs and outputs stay as they were.
//!
//! Every 32-bit float in the graph becomes a 16-bit one, so that no inference of types is needed; casts stand at the
//! model's inputs and outputs, and around operators that have no 16-bit form.

use std::collections::{HashMap, HashSet};

use half::f16;

use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::type_proto::Value;
use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use crate::onnx::write::{self, Names, raw};

use super::consts::floats;
use super::edit::{self, graph_of, is_standard};
use super::limits::MAX_DEPTH;
use super::{Kept, QuantizeError, Quantized};

/// Inputs that stay 32-bit by the operator's definition: (operator, input).
const FLOAT_INPUTS: &[(&str, usize)] = &[
    ("Resize", 2),
    ("Upsample", 1),
    ("QuantizeLinear", 1),
    ("DequantizeLinear", 1),
];

/// Operators without a 16-bit form in ONNX, or that no engine has; their names go into [`Kept`].
const NO_HALF: &[&str] = &[
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "NonMaxSuppression",
    "QuantizeLinear",
    "RandomNormal",
    "RandomUniform",
    "RoiAlign",
];

/// Converts a model to half precision.
///
/// # Errors
/// When the model is damaged, has functions or uses an operator that has no 16-bit form.
pub fn half(mut model: ModelProto) -> Result<Quantized, QuantizeError> {
    if !model.functions.is_empty() {
        return Err(QuantizeError::Model(
            "model-local functions cannot be converted to fp16".to_owned(),
        ));
    }
    edit::lift_constants(&mut model)?;
    let graph = graph_of(&mut model)?;
    if let Some(node) = graph
        .node
        .iter()
        .find(|n| is_standard(n) && NO_HALF.contains(&n.op_type()))
    {
        let (name, op) = (edit::label(node), node.op_type());
        return Err(QuantizeError::Model(format!("node {name}: {op} has no fp16 form")));
    }
    let names = Names::of(graph);
    let mut work = Work {
        names,
        float_constants: HashSet::new(),
        converted: 0,
    };
    work.graph(graph, 0)?;
    work.ends(graph);
    if work.converted == 0 {
        return Err(QuantizeError::Nothing("fp16 makes smaller"));
    }
    let nodes_converted = graph.node.len();
    let kept: Vec<Kept> = Vec::new();
    Ok(Quantized {
        model,
        nodes_converted,
        kept,
    })
}

struct Work {
    names: Names,
    /// Constants that an operator wants in 32 bits.
    float_constants: HashSet<String>,
    converted: usize,
}

impl Work {
    fn graph(&mut self, graph: &mut GraphProto, depth: usize) -> Result<(), QuantizeError> {
        if depth > MAX_DEPTH {
            return Err(QuantizeError::Model(format!("bodies nested deeper than {MAX_DEPTH}")));
        }
        for (node, slot, name) in float_inputs(graph) {
            if !graph.initializer.iter().any(|t| t.name() == name) {
                let op = graph.node.get(node).map_or("", |n| n.op_type()).to_owned();
                return Err(QuantizeError::Model(format!(
                    "input {slot} of {op} must be a constant for fp16: {name}"
                )));
            }
            self.float_constants.insert(name);
        }
        for tensor in &mut graph.initializer {
            if !self.float_constants.contains(tensor.name()) {
                self.tensor(tensor)?;
            }
        }
        for node in &mut graph.node {
            for attribute in &mut node.attribute {
                self.attribute(attribute, depth)?;
            }
        }
        // Types of values between are what the operators make them; stale ones are refused by engines.
        graph.value_info.clear();
        if depth > 0 {
            graph.input.iter_mut().chain(&mut graph.output).for_each(retype);
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &mut TensorProto) -> Result<(), QuantizeError> {
        if tensor.data_type() != DataType::Float as i32 {
            return Ok(());
        }
        let wide = floats(tensor)?;
        // What is beyond ±65504 becomes the largest half: infinity would poison every sum.
        let bytes = wide
            .data
            .iter()
            .map(|&x| {
                if x.is_finite() {
                    x.clamp(f16::MIN.to_f32(), f16::MAX.to_f32())
                } else {
                    x
                }
            })
            .flat_map(|x| f16::from_f32(x).to_le_bytes())
            .collect();
        *tensor = raw(tensor.name(), DataType::Float16, &wide.dims, bytes);
        self.converted += 1;
        Ok(())
    }

    fn attribute(&mut self, attribute: &mut AttributeProto, depth: usize) -> Result<(), QuantizeError> {
        if let Some(tensor) = &mut attribute.t {
            self.tensor(tensor)?;
        }
        for tensor in &mut attribute.tensors {
            self.tensor(tensor)?;
        }
        if matches!(attribute.name(), "to" | "dtype") && attribute.i == Some(DataType::Float as i64) {
            attribute.i = Some(DataType::Float16 as i64);
        }
        for body in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
            self.graph(body, depth + 1)?;
        }
        Ok(())
    }

    /// Casts at the model's inputs and outputs.
    fn ends(&mut self, graph: &mut GraphProto) {
        let mut renames = HashMap::new();
        let mut first = Vec::new();
        for input in graph.input.iter().filter(|v| is_float(v)) {
            let name = self.names.fresh(&format!("{}_fp16", input.name()));
            first.push(cast(input.name(), &name, DataType::Float16));
            renames.insert(input.name().to_owned(), name);
        }
        for node in &mut graph.node {
            rename_inputs(node, &renames, 0);
        }
        let mut last = Vec::new();
        let mut outputs = HashMap::new();
        for output in graph.output.iter().filter(|v| is_float(v)) {
            let source = renames.get(output.name()).cloned();
            let name = source.unwrap_or_else(|| self.names.fresh(&format!("{}_fp16", output.name())));
            last.push(cast(&name, output.name(), DataType::Float));
            outputs.insert(output.name().to_owned(), name);
        }
        for node in &mut graph.node {
            rename_inputs(node, &outputs, 0);
            for name in &mut node.output {
                if let Some(new) = outputs.get(name) {
                    name.clone_from(new);
                }
            }
        }
        first.append(&mut graph.node);
        first.append(&mut last);
        graph.node = first;
    }
}

fn cast(from: &str, to: &str, kind: DataType) -> NodeProto {
    let mut node = write::node("Cast", &[from], &[to]);
    node.attribute.push(write::integer_attribute("to", kind as i64));
    node
}

fn rename_inputs(node: &mut NodeProto, renames: &HashMap<String, String>, depth: usize) {
    for name in &mut node.input {
        if let Some(new) = renames.get(name) {
            name.clone_from(new);
        }
    }
    if depth > MAX_DEPTH {
        return;
    }
    let bodies = node
        .attribute
        .iter_mut()
        .flat_map(|a| a.g.as_deref_mut().into_iter().chain(&mut a.graphs));
    for body in bodies {
        body.node
            .iter_mut()
            .for_each(|inner| rename_inputs(inner, renames, depth + 1));
        for output in &mut body.output {
            if let Some(new) = renames.get(output.name()) {
                output.name = Some(new.clone());
            }
        }
    }
}

fn float_inputs(graph: &GraphProto) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for (place, node) in graph.node.iter().enumerate().filter(|(_, n)| is_standard(n)) {
        for (_, slot) in FLOAT_INPUTS.iter().filter(|(op, _)| *op == node.op_type()) {
            if let Some(name) = node.input.get(*slot).filter(|n| !n.is_empty()) {
                found.push((place, *slot, name.clone()));
            }
        }
    }
    found
}

fn is_float(value: &ValueInfoProto) -> bool {
    matches!(value.r#type.as_ref().and_then(|t| t.value.as_ref()),
        Some(Value::TensorType(t)) if t.elem_type() == DataType::Float as i32)
}

fn retype(value: &mut ValueInfoProto) {
    if let Some(Value::TensorType(tensor)) = value.r#type.as_mut().and_then(|t| t.value.as_mut())
        && tensor.elem_type() == DataType::Float as i32
    {
        tensor.elem_type = Some(DataType::Float16 as i32);
    }
}
