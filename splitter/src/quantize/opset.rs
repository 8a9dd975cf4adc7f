//! Raises a model's operator set to 11 or 13, where the integer operators begin.
//!
//! Only what is surely the same is raised: operators that did not change between, and a few whose attributes became
//! inputs. Everything else is refused with the node's name. Source: the version history in ONNX's `Operators.md`.

use std::collections::HashMap;

use crate::onnx::opset;
use crate::onnx::proto::type_proto::Value;
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::onnx::write::{Names, bodies, from_floats, from_integers, integer_attribute};

use super::QuantizeError;
use super::edit::{attribute, graph_of, is_standard, label};
use super::limits::MAX_RANK;

/// Same meaning in every version from 7 to 13 (types were added, negative axes allowed, nothing else).
const UNCHANGED: &[&str] = &[
    "Abs",
    "Acos",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Atan",
    "AveragePool",
    "Cast",
    "Ceil",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Cos",
    "DepthToSpace",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "GRU",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "HardSigmoid",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LSTM",
    "LeakyRelu",
    "Less",
    "Log",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "RNN",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "Relu",
    "Reshape",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Size",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
    "Tile",
    "Transpose",
    "Where",
    "Xor",
];

/// Raises the model to `needed` (11 or 13) when it is below.
pub(super) fn raise(model: &mut ModelProto, needed: i64) -> Result<(), QuantizeError> {
    let got = opset(&model.opset_import);
    if got >= needed {
        return Ok(());
    }
    let graph = graph_of(model)?;
    let refuse = |node: &NodeProto, why| QuantizeError::Opset {
        needed,
        got,
        node: label(node),
        op: node.op_type().to_owned(),
        why,
    };
    if got < 7 {
        let why = "broadcasting was another before opset 7";
        return Err(refuse(&graph.node.first().cloned().unwrap_or_default(), why));
    }
    let ranks = ranks(graph);
    let mut names = Names::of(graph);
    let mut raising = Raising {
        got,
        needed,
        names: &mut names,
        ranks: &ranks,
        constants: Vec::new(),
    };
    for node in graph.node.iter_mut().filter(|n| is_standard(n)) {
        raising.node(node).map_err(|why| refuse(node, why))?;
    }
    let constants = raising.constants;
    graph.initializer.extend(constants);
    for import in &mut model.opset_import {
        if crate::onnx::is_standard(import.domain()) {
            import.version = Some(needed);
        }
    }
    // Opset 13 belongs to IR 7; a lower IR with a newer opset is refused by onnx.checker.
    model.ir_version = Some(model.ir_version().max(7));
    Ok(())
}

struct Raising<'a> {
    got: i64,
    needed: i64,
    names: &'a mut Names,
    ranks: &'a HashMap<String, usize>,
    constants: Vec<TensorProto>,
}

impl Raising<'_> {
    #[allow(clippy::match_same_arms, reason = "a line an operator")]
    fn node(&mut self, node: &mut NodeProto) -> Result<(), &'static str> {
        if bodies(node).next().is_some() {
            return Err("its bodies would have to be raised as well");
        }
        match node.op_type() {
            "Squeeze" | "Unsqueeze" | "ReduceSum" if self.needed >= 13 => self.axes(node),
            "Squeeze" | "Unsqueeze" | "ReduceSum" => {}
            "BatchNormalization" if self.got >= 9 || attribute(node, "spatial").is_none_or(|a| a.i() == 1) => {
                node.attribute.retain(|a| a.name() != "spatial");
            }
            "Dropout" if node.output.len() == 1 => node.attribute.clear(),
            "Clip" if self.got < 11 => self.clip(node),
            "Clip" => {}
            "Softmax" | "LogSoftmax" if self.needed >= 13 => self.softmax(node)?,
            "Softmax" | "LogSoftmax" => {}
            "Slice" | "Pad" | "Resize" | "TopK" | "Scatter" | "Upsample" | "OneHot" | "NonMaxSuppression"
                if self.got >= 11 => {}
            "Slice" if self.got >= 10 => {}
            op if UNCHANGED.contains(&op) => {}
            _ => return Err("its operator changed in between"),
        }
        Ok(())
    }

    /// An attribute that became an input.
    fn axes(&mut self, node: &mut NodeProto) {
        let Some(place) = node.attribute.iter().position(|a| a.name() == "axes") else {
            return;
        };
        let axes = node.attribute.remove(place).ints;
        let name = self.names.fresh(&format!("{}_axes", label(node)));
        self.constants.push(from_integers(&name, &axes));
        node.input.truncate(1);
        node.input.push(name);
    }

    fn clip(&mut self, node: &mut NodeProto) {
        let bounds = ["min", "max"].map(|bound| attribute(node, bound).and_then(|a| a.f));
        node.attribute.clear();
        node.input.truncate(1);
        for (bound, value) in ["min", "max"].iter().zip(bounds) {
            let input = value.map_or_else(String::new, |value| {
                let name = self.names.fresh(&format!("{}_{bound}", label(node)));
                self.constants.push(from_floats(&name, &[], &[value]));
                name
            });
            node.input.push(input);
        }
    }

    /// Before 13 it ran over all axes from `axis` on; that is the same where `axis` is the last.
    fn softmax(&self, node: &mut NodeProto) -> Result<(), &'static str> {
        let axis = attribute(node, "axis").and_then(|a| a.i).unwrap_or(1);
        let rank = node
            .input
            .iter()
            .chain(&node.output)
            .find_map(|name| self.ranks.get(name));
        let last = rank.and_then(|&rank| i64::try_from(rank).ok()).map(|rank| rank - 1);
        if axis != -1 && last != Some(axis) {
            return Err("it runs over several axes, or over an input of unknown rank");
        }
        node.attribute.clear();
        node.attribute.push(integer_attribute("axis", -1));
        Ok(())
    }
}

/// Ranks as far as the model states them, and through operators that keep or fix the rank.
fn ranks(graph: &GraphProto) -> HashMap<String, usize> {
    let mut ranks = HashMap::new();
    for value in graph.input.iter().chain(&graph.output).chain(&graph.value_info) {
        let shape = value.r#type.as_ref().and_then(|t| match &t.value {
            Some(Value::TensorType(tensor)) => tensor.shape.as_ref(),
            _ => None,
        });
        if let Some(shape) = shape.filter(|s| s.dim.len() <= MAX_RANK) {
            ranks.insert(value.name().to_owned(), shape.dim.len());
        }
    }
    for node in &graph.node {
        let Some(output) = node.output.first() else { continue };
        let rank = match node.op_type() {
            "Gemm" | "Flatten" => Some(2),
            "Relu" | "Conv" | "Identity" | "Dropout" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "Softmax" => {
                node.input.first().and_then(|name| ranks.get(name)).copied()
            }
            _ => None,
        };
        if let Some(rank) = rank {
            ranks.insert(output.clone(), rank);
        }
    }
    ranks
}
