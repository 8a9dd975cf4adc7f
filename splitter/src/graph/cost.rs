//! What a node costs: parameters and multiply-accumulate operations.
//!
//! Counted as onnx-tool 1.0 counts (`onnx_tool/node.py`, class `profile` of each node), so that figures can be compared:
//! products of matrices and convolutions by their output elements, output height × width and groups included, every
//! other operator by its elements times a weight. Operators that only move data cost 0.

use std::collections::HashSet;

use super::{Graph, Node, Origin, Value};
use crate::onnx::Model;
use crate::onnx::proto::{GraphProto, NodeProto};

/// Weights of one element, in multiply-accumulates.
mod weight {
    pub(super) const DIV: u64 = 4;
    pub(super) const EXP: u64 = 32;
    pub(super) const LOG: u64 = 43;
    pub(super) const SIN: u64 = 39;
    pub(super) const SQRT: u64 = 24;
    pub(super) const TANH: u64 = EXP + 2 + DIV;
    pub(super) const RESIZE_LINEAR: u64 = 4;
    pub(super) const RESIZE_CUBIC: u64 = 8;
}

/// Fills in each node's params and macs.
pub(super) fn count(graph: &mut Graph, model: &Model) {
    let mut seen = HashSet::new();
    for index in 0..graph.nodes().len() {
        let node = &graph.nodes[index];
        let proto = &model.nodes[node.index].proto;
        let mut params = bodies_params(proto);
        for value in node.needs() {
            if let Origin::Initialiser(initialiser) = graph.value(value).origin
                && let Some(initialiser) = model.initialisers.get(initialiser)
                && initialiser.element.is_float()
                && seen.insert(value)
            {
                params = params.saturating_add(initialiser.elements);
            }
        }
        let macs = if node.is_constant {
            Some(0)
        } else {
            macs(graph, node, proto)
        };
        graph.nodes[index].params = params;
        graph.nodes[index].macs = macs;
    }
}

/// Elements of the float initialisers inside a node's bodies.
fn bodies_params(proto: &NodeProto) -> u64 {
    fn of(body: &GraphProto) -> u64 {
        let own = body
            .initializer
            .iter()
            .filter(|i| crate::onnx::ElementType::from_onnx(i.data_type()).is_float());
        let elements = |dims: &[i64]| {
            dims.iter()
                .try_fold(1_u64, |n, d| n.checked_mul(d.unsigned_abs()))
                .unwrap_or(0)
        };
        own.map(|i| elements(&i.dims)).sum::<u64>() + body.node.iter().map(bodies_params).sum::<u64>()
    }
    proto.attribute.iter().flat_map(super::names::bodies).map(of).sum()
}

/// What one node needs, with its shapes at hand.
struct Sizes<'a> {
    graph: &'a Graph,
    node: &'a Node,
    proto: &'a NodeProto,
}

impl Sizes<'_> {
    fn input(&self, index: usize) -> Option<&Value> {
        Some(self.graph.value((*self.node.inputs.get(index)?)?))
    }

    fn shape(&self, index: usize) -> Option<&[u64]> {
        self.input(index)?.assumed.as_deref()
    }

    fn volume(&self, index: usize) -> Option<u64> {
        self.input(index)?.elements()
    }

    fn out(&self) -> Option<u64> {
        self.graph.value(self.node.makes().next()?).elements()
    }

    fn inputs(&self) -> u64 {
        self.node.inputs.iter().flatten().count() as u64
    }

    fn ints(&self, name: &str) -> Option<&[i64]> {
        Some(&self.proto.attribute.iter().find(|a| a.name() == name)?.ints)
    }

    fn int(&self, name: &str) -> Option<i64> {
        Some(self.proto.attribute.iter().find(|a| a.name() == name)?.i())
    }

    fn text(&self, name: &str) -> &[u8] {
        let attribute = self.proto.attribute.iter().find(|a| a.name() == name);
        attribute.map_or(b"", |a| a.s())
    }

    /// Output elements × the weights that each is a sum of, plus the bias.
    fn convolution(&self, weights: usize, bias: bool) -> Option<u64> {
        let (_, each) = self.shape(weights)?.split_first()?;
        let out = self.out()?;
        out.checked_mul(product(each)?)?.checked_add(if bias { out } else { 0 })
    }

    /// Output elements × the length of the dot products, plus the bias.
    fn matrix(&self, inner: u64, bias: bool) -> Option<u64> {
        let out = self.out()?;
        out.checked_mul(inner)?.checked_add(if bias { out } else { 0 })
    }

    /// All of a recurrent layer's gates for every step: products, biases, and `each` for each hidden element.
    fn recurrent(&self, gates: u64, each: u64) -> Option<u64> {
        let &[steps, batch, _] = self.shape(0)? else {
            return None;
        };
        let hidden = self.shape(1)?.get(1)? / gates;
        let weights = self.volume(1)? + self.volume(2)? + self.volume(3).unwrap_or(0);
        let runs = steps.checked_mul(batch)?;
        weights
            .checked_mul(runs)?
            .checked_add(runs.checked_mul(hidden)?.checked_mul(each)?)
    }

    fn einsum(&self) -> Option<u64> {
        let equation = String::from_utf8_lossy(self.text("equation")).replace(' ', "");
        let (from, _) = equation.split_once("->").unwrap_or((equation.as_str(), ""));
        let mut sizes = std::collections::BTreeMap::new();
        for (index, letters) in from.split(',').enumerate() {
            sizes.extend(letters.chars().zip(self.shape(index)?.iter().copied()));
        }
        sizes.values().try_fold(1_u64, |n, size| n.checked_mul(*size))
    }
}

fn product(dims: &[u64]) -> Option<u64> {
    dims.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim))
}

fn macs(graph: &Graph, node: &Node, proto: &NodeProto) -> Option<u64> {
    let sizes = Sizes { graph, node, proto };
    let s = &sizes;
    match node.op.as_str() {
        "If" | "Loop" | "Scan" => None,
        "Conv" | "ConvTranspose" => s.convolution(1, s.inputs() > 2),
        "ConvInteger" => s.convolution(1, false),
        "QLinearConv" => s.convolution(3, s.inputs() > 8),
        "Gemm" => {
            let inner = s
                .shape(1)?
                .get(usize::from(s.int("transB").unwrap_or(0) != 0))
                .copied()?;
            s.matrix(inner, s.inputs() > 2)
        }
        "MatMulInteger" => s.matrix(*s.shape(0)?.last()?, s.inputs() == 3),
        "MatMul" | "QLinearMatMul" | "QGemm" => s.matrix(*s.shape(0)?.last()?, false),
        "Einsum" => s.einsum(),
        "LSTM" => s.recurrent(4, 4 + 3 * weight::EXP + 2 * weight::TANH + 4),
        "GRU" => s.recurrent(3, 3 + 2 * weight::EXP + weight::TANH + 5),
        "MaxPool" | "AveragePool" | "LpPool" => {
            let kernel = s.ints("kernel_shape")?.iter().map(|k| k.unsigned_abs());
            kernel.take(2).try_fold(s.out()?, u64::checked_mul)
        }
        "GlobalAveragePool" => s.volume(0)?.checked_add(s.out()?.checked_mul(weight::DIV)?),
        "BatchNormalization" => s.out()?.checked_mul(3 + weight::SQRT + weight::DIV),
        "LayerNormalization" => {
            let rows = s.volume(0)? / (*s.shape(0)?.last()?).max(1);
            s.volume(0)?
                .checked_mul(7)?
                .checked_add(rows.checked_mul(1 + weight::SQRT + weight::DIV)?)
        }
        "ReduceMean" | "ReduceSum" | "ReduceProd" | "ReduceMin" | "ReduceMax" => s.volume(0),
        "ReduceL2" => s.volume(0)?.checked_mul(1 + weight::SQRT),
        "LRN" => {
            let size = s.int("size").unwrap_or(1).unsigned_abs();
            s.out()?.checked_mul(weight::DIV + weight::EXP + 1 + size)
        }
        "Resize" | "Upsample" => match s.text("mode") {
            b"linear" => s.out()?.checked_mul(weight::RESIZE_LINEAR),
            b"cubic" => s.out()?.checked_mul(weight::RESIZE_CUBIC),
            _ => Some(0),
        },
        op => match each(op, s.inputs()) {
            0 => Some(0),
            each => s.out()?.checked_mul(each),
        },
    }
}

/// Weight of one output element; 0 for operators that only move data.
fn each(op: &str, inputs: u64) -> u64 {
    use weight::{DIV, EXP, LOG, SIN, SQRT, TANH};
    let others = inputs.saturating_sub(1).max(1);
    match op {
        "Add" | "Sub" | "Mul" | "Min" | "Max" | "Mod" | "Sum" | "Mean" => others,
        "Relu" | "Neg" | "Abs" | "Sign" | "Ceil" | "Floor" | "Round" | "Not" | "And" | "Or" | "Xor" | "Less"
        | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Equal" | "CumSum" => 1,
        "Div" | "Reciprocal" => DIV,
        "Clip" | "PRelu" | "LeakyRelu" | "QuantizeLinear" | "DequantizeLinear" | "DynamicQuantizeLinear" => 2,
        "HardSigmoid" => 4,
        "HardSwish" => 5,
        "InstanceNormalization" => 14,
        "Sqrt" => SQRT,
        "Exp" | "Pow" | "Sigmoid" | "Atan" => EXP,
        "LpNormalization" => EXP + 1,
        "Gelu" => EXP + 2,
        "Elu" => EXP + 3,
        "Softmax" => EXP + DIV,
        "Sin" | "Cos" => SIN,
        "Log" => LOG,
        "Softplus" => EXP + 1 + LOG,
        "LogSoftmax" => EXP + DIV + 1 + LOG,
        "Tanh" => 2 * TANH,
        _ => 0,
    }
}
