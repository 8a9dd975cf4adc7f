//! Running tract's rules over the graph that it was given, and reading the facts back.

use std::time::Instant;

use kerf_wire::manifest::Axis;
#[allow(clippy::wildcard_imports, reason = "tract's own prelude")]
use tract_onnx::tract_hir::internal::*;

use super::types::element_type;
use super::{Analysis, operators};
use crate::graph::shapes::{Fact, Symbols};
use crate::graph::{Kind, ValueId};
use crate::limits::{MAX_ANALYSIS, MAX_DIMENSION_BYTES};

impl Analysis<'_> {
    pub(super) fn run(mut self, symbols: &Symbols) -> TractResult<Vec<Option<Fact>>> {
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
