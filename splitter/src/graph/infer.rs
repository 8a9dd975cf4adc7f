//! Shape analysis: what every value is, by tract's inference rules on a model without its weights.
//!
//! Owns: handing the graph to tract node by node, so that one operator that tract does not know or refuses costs only
//! what depends on it, and reading the facts back. Must not know: costs, cuts. Start at [`infer`].
//!
//! Long initialisers are given as sources of known shape: nothing is loaded, and nothing large is ever evaluated.

mod give;
mod operators;
mod pass;
mod types;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kerf_wire::manifest::Axis;
use prost::Message as _;
use tract_onnx::pb;
#[allow(clippy::wildcard_imports, reason = "tract's own prelude")]
use tract_onnx::tract_hir::internal::*;

use types::{datum_type, identifier, is_identifier};

use super::shapes::{Fact, Symbols};
use super::{Graph, Kind, Origin, ValueId, quiet};
use crate::limits::{MAX_ANALYSED_BYTES, MIN_PAYLOAD_BYTES};
use crate::onnx::Model;
use crate::onnx::proto::{NodeProto, TensorProto};

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
}
