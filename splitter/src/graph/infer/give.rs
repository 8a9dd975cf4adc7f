//! Handing a graph's nodes to tract, one by one.

use prost::Message as _;
use tract_onnx::model::{Onnx, ParsingContext};
use tract_onnx::pb;
#[allow(clippy::wildcard_imports, reason = "tract's own prelude")]
use tract_onnx::tract_hir::internal::*;

use super::Analysis;
use super::operators::{attribute_tensor, constant_element, with_defaults};
use super::types::datum_type;
use crate::graph::bodies;
use crate::graph::{Kind, Node, Origin, ValueId, bodies_out};
use crate::onnx::ElementType;

impl Analysis<'_> {
    pub(super) fn nodes(&mut self) -> TractResult<()> {
        let onnx = tract_onnx::onnx();
        let header = pb::ModelProto::default();
        let template = self.inference.clone();
        let context = |framework| ParsingContext {
            onnx_operator_set_version: self.model.opset(),
            framework,
            model: &header,
            parent_graphs: Vec::new(),
            model_dir: None,
            template: InferenceModel {
                symbols: template.symbols.clone(),
                ..InferenceModel::default()
            },
        };
        let context: ParsingContext<'_> = context(&onnx);
        for node in self.graph.nodes() {
            if !self.known_shape(node)? && !self.operator(&context, &onnx, node)? {
                for id in node.makes() {
                    self.unknown(node, id)?;
                }
            }
        }
        let outputs: Vec<OutletId> = self
            .graph
            .outputs()
            .iter()
            .filter_map(|v| self.outlets[v.index()])
            .collect();
        self.inference.select_output_outlets(&outputs)
    }

    /// Constants that would be long, given by their shape instead of being evaluated.
    fn known_shape(&mut self, node: &Node) -> TractResult<bool> {
        let proto = &self.model.nodes[node.index].proto;
        let (element, dims) = match node.op.as_str() {
            "ConstantOfShape" => {
                let Some(dims) = self.known_integers(node) else {
                    return Ok(false);
                };
                (constant_element(proto), dims)
            }
            "Constant" => {
                let Some(tensor) = attribute_tensor(proto) else {
                    return Ok(false);
                };
                let elements = tensor
                    .dims
                    .iter()
                    .try_fold(1_i64, |n, d| n.checked_mul(*d))
                    .unwrap_or(i64::MAX);
                if tensor.raw_data.is_some() || elements <= 16 {
                    return Ok(false);
                }
                (ElementType::from_onnx(tensor.data_type()), tensor.dims.clone())
            }
            _ => return Ok(false),
        };
        let (Some(datum), Some(id)) = (datum_type(element), node.makes().next()) else {
            return Ok(false);
        };
        let fact = InferenceFact::dt_shape(datum, dims.iter().map(|d| d.to_dim()));
        self.outlets[id.index()] = Some(self.inference.add_source(format!("v{}", id.0), fact)?);
        Ok(true)
    }

    /// The elements of a node's first input, where it is a short initialiser of i64.
    fn known_integers(&mut self, node: &Node) -> Option<Vec<i64>> {
        let id = node.inputs.first().copied().flatten()?;
        let Origin::Initialiser(index) = self.graph.value(id).origin else {
            return None;
        };
        let proto = &self.model.initialisers.get(index)?.proto;
        let raw = |bytes: &bytes::Bytes| {
            let words = bytes.chunks_exact(8);
            words
                .filter_map(|w| w.try_into().ok().map(i64::from_le_bytes))
                .collect::<Vec<i64>>()
        };
        let is_i64 = ElementType::from_onnx(proto.data_type()) == ElementType::Wire(kerf_wire::DType::I64);
        let integers = match &proto.raw_data {
            Some(bytes) => raw(bytes),
            None => proto.int64_data.clone(),
        };
        (is_i64 && !integers.is_empty() && integers.iter().all(|d| *d >= 0)).then_some(integers)
    }

    /// Gives tract a node; false where it does not take it.
    fn operator(&mut self, context: &ParsingContext<'_>, onnx: &Onnx, node: &Node) -> TractResult<bool> {
        let proto = &self.model.nodes[node.index].proto;
        let Some(builder) = onnx.op_register.0.get(&node.op) else {
            return Ok(false);
        };
        let has_body = proto.attribute.iter().any(|a| bodies(a).next().is_some());
        if !node.domain.is_empty() || has_body {
            return Ok(false);
        }
        let Ok(decoded) = pb::NodeProto::decode(with_defaults(proto).encode_to_vec().as_slice()) else {
            return Ok(false);
        };
        let Ok((op, _)) = builder(context, &decoded) else {
            return Ok(false);
        };
        let outputs: Vec<ValueId> = node.makes().collect();
        let inputs: Option<Vec<OutletId>> = node.inputs.iter().flatten().map(|v| self.outlets[v.index()]).collect();
        let Some(inputs) = inputs else { return Ok(false) };
        let label = outputs
            .first()
            .map_or_else(|| format!("n{}", node.index), |v| format!("v{}", v.0));
        let facts = outputs.iter().map(|_| InferenceFact::default()).collect();
        let id = self.inference.add_node(label, op, facts)?;
        if node.op == "ConvTranspose" {
            self.transposed.insert(id, proto);
        }
        for (index, input) in inputs.into_iter().enumerate() {
            self.inference.add_edge(input, InletId::new(id, index))?;
        }
        for (index, value) in outputs.iter().enumerate() {
            self.outlets[value.index()] = Some(OutletId::new(id, index));
        }
        Ok(true)
    }

    /// A value whose operator tract does not know: what the file says, or what the operator's body declares.
    fn unknown(&mut self, node: &Node, id: ValueId) -> TractResult<()> {
        let proto = &self.model.nodes[node.index].proto;
        let position = node.outputs.iter().position(|v| *v == Some(id)).unwrap_or(0);
        let value = self.graph.value(id);
        let mut fact = self.stored_fact(id);
        if value.kind == Kind::Unknown
            && let Some((kind, shape)) = bodies_out::declared(proto, position)
        {
            if let Kind::Tensor(element) = kind
                && let Some(datum) = datum_type(element)
            {
                fact = fact.with_datum_type(datum);
            }
            if let Some(shape) = shape {
                let dims = shape
                    .iter()
                    .enumerate()
                    .map(|(axis, dim)| self.dim(&value.name, axis, dim));
                fact = fact.with_shape(ShapeFactoid::closed(dims.map(DimFact::from).collect()));
            }
        }
        self.outlets[id.index()] = Some(self.inference.add_source(format!("v{}", id.0), fact)?);
        Ok(())
    }
}
