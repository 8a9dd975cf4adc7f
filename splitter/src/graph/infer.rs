//! Shape analysis: what every value is, by tract's inference rules on a model without its weights.
//!
//! Owns: handing the graph to tract node by node, so that one operator that tract does not know or refuses costs only
//! what depends on it, and reading the facts back. Must not know: costs, cuts. Start at [`infer`].
//!
//! Long initialisers are given as sources of known shape: nothing is loaded, and nothing large is ever evaluated.

mod operators;
mod types;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use kerf_wire::manifest::Axis;
use prost::Message as _;
use tract_onnx::model::{Onnx, ParsingContext};
use tract_onnx::pb;
use tract_onnx::tract_hir::internal::*;

use operators::{attribute_tensor, constant_element, with_defaults};
use types::{datum_type, element_type, identifier, is_identifier};

use super::shapes::{Fact, Symbols};
use super::{Graph, Kind, Node, Origin, ValueId, bodies_out, quiet};
use crate::limits::{MAX_ANALYSED_BYTES, MAX_ANALYSIS, MAX_DIMENSION_BYTES, MIN_PAYLOAD_BYTES};
use crate::onnx::proto::{NodeProto, TensorProto};
use crate::onnx::{ElementType, Model};

/// What tract knows of each value, in the graph's order; none where it knows nothing new.
///
/// # Errors
/// One line, when tract gives up on the whole graph; what the file says itself is then all that is known.
pub(super) fn infer(graph: &Graph, model: &Model, symbols: &Symbols) -> Result<Vec<Option<Fact>>, String> {
    // tract has panicked on models that it does not expect; that is no reason to refuse them.
    let run = || quiet::quietly(|| Analysis::new(graph, model).and_then(|a| a.run(symbols)));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(why)) => Err(format!("{why:#}")),
        Err(_) => Err("tract panicked".to_owned()),
    }
}

struct Analysis<'a> {
    graph: &'a Graph,
    model: &'a Model,
    inference: InferenceModel,
    /// Where tract has each value.
    outlets: Vec<Option<OutletId>>,
    /// Bytes of constants given so far.
    given: u64,
    /// Transposed convolutions, by tract's node.
    transposed: HashMap<usize, &'a NodeProto>,
}

impl<'a> Analysis<'a> {
    fn new(graph: &'a Graph, model: &'a Model) -> TractResult<Self> {
        let mut analysis = Self {
            graph,
            model,
            inference: InferenceModel::default(),
            outlets: vec![None; graph.values().len()],
            given: 0,
            transposed: HashMap::new(),
        };
        for id in graph.value_ids() {
            match graph.value(id).origin {
                Origin::Node(_) => {}
                Origin::Initialiser(index) => analysis.initialiser(id, index)?,
                Origin::Input(_) | Origin::Sparse(_) => analysis.source(id)?,
            }
        }
        analysis.nodes()?;
        Ok(analysis)
    }

    fn source(&mut self, id: ValueId) -> TractResult<()> {
        let fact = self.stored_fact(id);
        self.outlets[id.index()] = Some(self.inference.add_source(format!("v{}", id.0), fact)?);
        Ok(())
    }

    /// What the file says, or the body's own declaration for control flow.
    fn stored_fact(&self, id: ValueId) -> InferenceFact {
        let value = self.graph.value(id);
        let mut fact = InferenceFact::default();
        if let Kind::Tensor(element) = value.kind
            && let Some(datum) = datum_type(element)
        {
            fact = fact.with_datum_type(datum);
        }
        if let Some(shape) = &value.shape {
            let dims = shape
                .iter()
                .enumerate()
                .map(|(axis, dim)| self.dim(&value.name, axis, dim));
            fact = fact.with_shape(ShapeFactoid::closed(dims.map(DimFact::from).collect()));
        }
        fact
    }

    fn dim(&self, value: &str, axis: usize, dim: &Axis) -> TDim {
        let scope = &self.inference.symbols;
        match dim {
            Axis::Fixed(n) => i64::from(*n).into(),
            Axis::Symbol(name) if name == "?" => scope.sym(&identifier(&format!("{value}_{axis}"))).into(),
            Axis::Symbol(name) if is_identifier(name) => scope.sym(name).into(),
            Axis::Symbol(text) => tract_onnx::dim_expr::parse_onnx_dim(scope, text)
                .unwrap_or_else(|_| scope.sym(&identifier(text)).into()),
        }
    }

    fn initialiser(&mut self, id: ValueId, index: usize) -> TractResult<()> {
        let known = self
            .model
            .initialisers
            .get(index)
            .filter(|i| !i.external && !i.is_left_out());
        if let Some(tensor) = known.and_then(|i| self.tensor(&i.proto)) {
            self.outlets[id.index()] = Some(self.inference.add_const(format!("v{}", id.0), tensor)?);
            return Ok(());
        }
        self.source(id)
    }

    /// A short tensor as tract has it; none where it is long, or of a type that tract has not.
    fn tensor(&mut self, proto: &TensorProto) -> Option<Tensor> {
        let bytes = proto.encoded_len() as u64;
        if bytes > 2 * MIN_PAYLOAD_BYTES || self.given + bytes > MAX_ANALYSED_BYTES {
            return None;
        }
        self.given += bytes;
        let decoded = pb::TensorProto::decode(proto.encode_to_vec().as_slice()).ok()?;
        tract_onnx::tensor::load_tensor(&tract_onnx::data_resolver::MmapDataResolver, &decoded, None).ok()
    }

    fn nodes(&mut self) -> TractResult<()> {
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
        let has_body = proto.attribute.iter().any(|a| super::names::bodies(a).next().is_some());
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

    fn run(mut self, symbols: &Symbols) -> TractResult<Vec<Option<Fact>>> {
        self.pass()?;
        if self.tell_stored()? {
            self.pass()?;
        }
        let facts = self.graph.value_ids().map(|id| self.fact(id, symbols)).collect();
        Ok(facts)
    }

    /// Every node once, each behind what it needs. An error stops at its node; what does not depend on it is still found.
    /// tract's own analyser goes round until nothing changes, which on a contradictory model takes for ever.
    fn pass(&mut self) -> TractResult<()> {
        let start = Instant::now();
        for node in 0..self.inference.nodes().len() {
            if start.elapsed() > MAX_ANALYSIS {
                bail!("shape analysis took more than {} s", MAX_ANALYSIS.as_secs());
            }
            if let Err(why) = self.node(node) {
                log::debug!("shape analysis: {why:#}");
            }
        }
        Ok(())
    }

    /// What one node makes of what is known of its inputs.
    fn node(&mut self, id: usize) -> TractResult<()> {
        let node = self.inference.node(id);
        let observed = node.op.observe_outlets(&self.inference, node)?;
        let facts = |outlets: &[OutletId]| -> TractResult<TVec<InferenceFact>> {
            outlets
                .iter()
                .map(|o| self.inference.outlet_fact(*o).cloned())
                .collect()
        };
        let (inputs, observed) = (facts(&node.inputs)?, facts(&observed)?);
        let outputs: TVec<InferenceFact> = node.outputs.iter().map(|o| o.fact.clone()).collect();
        ensure!(
            node.op.nboutputs()? == outputs.len(),
            "{node} should have {} outputs",
            node.op.nboutputs()?
        );
        let op = &mut self.inference.node_mut(id).op;
        let (_, mut made, _) = op.infer(
            inputs.iter().collect(),
            outputs.iter().collect(),
            observed.iter().collect(),
        )?;
        if let Some(proto) = self.transposed.get(&id)
            && let ([input, kernel, ..], [out]) = (inputs.as_slice(), made.as_mut_slice())
            && let Some(shape) = operators::transposed_convolution(proto, &input.shape, &kernel.shape)
        {
            *out = out.clone().with_shape(shape);
        }
        for (slot, (made, before)) in made.into_iter().zip(&outputs).enumerate() {
            let fact = made.unify(before)?;
            let outlet = OutletId::new(id, slot);
            self.inference.set_outlet_fact(outlet, fact.clone())?;
            self.simplify(outlet, fact)?;
        }
        Ok(())
    }

    /// Expressions that grow from node to node (broadcasts of open dimensions) are forgotten before they take for ever.
    fn simplify(&mut self, outlet: OutletId, fact: InferenceFact) -> TractResult<()> {
        let too_long = |dim: &DimFact| {
            dim.concretize()
                .is_some_and(|d| d.to_string().len() > MAX_DIMENSION_BYTES)
        };
        if !fact.shape.dims().any(too_long) {
            return Ok(());
        }
        let forget = |dim: &DimFact| if too_long(dim) { DimFact::default() } else { dim.clone() };
        let dims = fact.shape.dims().map(forget).collect();
        let shape = if fact.shape.is_open() {
            ShapeFactoid::open(dims)
        } else {
            ShapeFactoid::closed(dims)
        };
        self.inference
            .set_outlet_fact(outlet, fact.without_value().with_shape(shape))
    }

    /// Where tract knows less than the file says, takes the file's word. True if that was so anywhere.
    fn tell_stored(&mut self) -> TractResult<bool> {
        let mut told = false;
        for id in self.graph.value_ids() {
            let value = self.graph.value(id);
            let Some(outlet) = self.outlets[id.index()] else {
                continue;
            };
            if value.producer().is_none() || value.shape.is_none() {
                continue;
            }
            let known = self.inference.outlet_fact(outlet)?;
            if known.datum_type.concretize().is_none() || known.shape.rank().concretize().is_none() {
                let stored = self.stored_fact(id);
                self.inference.set_outlet_fact(outlet, stored)?;
                told = true;
            }
        }
        Ok(told)
    }

    fn fact(&self, id: ValueId, symbols: &Symbols) -> Option<Fact> {
        let fact = self.inference.outlet_fact(self.outlets[id.index()]?).ok()?;
        let element = element_type(fact.datum_type.concretize()?)?;
        if fact.shape.is_open() {
            return Some(Fact {
                kind: Kind::Tensor(element),
                shape: None,
                assumed: None,
            });
        }
        let dims: Vec<Option<TDim>> = fact.shape.dims().map(|d| d.concretize()).collect();
        let mut values = SymbolValues::default();
        for symbol in dims.iter().flatten().flat_map(TDim::symbols) {
            let number = symbols.get(&symbol.to_string()).copied().unwrap_or(1);
            values.set(&symbol, i64::try_from(number).unwrap_or(i64::MAX));
        }
        let axis = |dim: &Option<TDim>| match dim {
            None => Axis::Symbol("?".to_owned()),
            Some(dim) => match dim.to_i64().ok().and_then(|n| u32::try_from(n).ok()) {
                Some(n) => Axis::Fixed(n),
                None => Axis::Symbol(dim.to_string()),
            },
        };
        let assume = |dim: &Option<TDim>| match dim {
            None => Some(1),
            Some(dim) => dim.eval_to_i64(&values).ok().and_then(|n| u64::try_from(n).ok()),
        };
        Some(Fact {
            kind: Kind::Tensor(element),
            shape: Some(dims.iter().map(axis).collect()),
            assumed: dims.iter().map(assume).collect(),
        })
    }
}
