//! A part compiled for concrete input shapes.

use std::sync::Arc;
use std::time::Instant;

use kerf_wire::{Shape, TensorRef};
#[allow(
    clippy::wildcard_imports,
    reason = "tract's own prelude: its macros expand to these names"
)]
use tract_core::internal::*;

use super::convert;
use super::model::Loaded;
use crate::backend::KernelTime;

/// A compiled part with its running state.
pub(super) struct Plan {
    state: TypedSimpleState,
    /// tract's own types of the inputs.
    datums: Vec<DatumType>,
}

impl Plan {
    /// Compiles for these shapes.
    pub(super) fn compile(loaded: Loaded, shapes: &[Shape]) -> TractResult<Self> {
        let mut model = loaded.into_concrete(shapes)?;
        // Already decluttered: `into_optimized` would do that a second time.
        model.optimize()?;
        let datums = (0..model.inputs.len())
            .map(|index| Ok(model.input_fact(index)?.datum_type))
            .collect::<TractResult<_>>()?;
        let plan: Arc<TypedSimplePlan> = TypedSimplePlan::new(model)?;
        Ok(Self {
            state: plan.spawn()?,
            datums,
        })
    }

    fn values(&self, inputs: &[TensorRef<'_>]) -> TractResult<TVec<TValue>> {
        let pairs = inputs.iter().zip(&self.datums);
        pairs.map(|(tensor, datum)| convert::write(tensor, *datum)).collect()
    }

    /// Runs once.
    pub(super) fn run(&mut self, inputs: &[TensorRef<'_>]) -> TractResult<TVec<TValue>> {
        let inputs = self.values(inputs)?;
        self.state.run(inputs)
    }

    /// Runs once and times each node, with what tract does between the node before and it: freeing tensors is no small
    /// part of a run.
    pub(super) fn run_timed(&mut self, inputs: &[TensorRef<'_>]) -> TractResult<Vec<KernelTime>> {
        let inputs = self.values(inputs)?;
        let mut times = Vec::new();
        let mut before = Instant::now();
        self.state.run_plan_with_eval(inputs, |context, state, node, inputs| {
            let result = tract_core::plan::eval(context, state, node, inputs);
            let end = Instant::now();
            times.push(KernelTime {
                time: end - std::mem::replace(&mut before, end),
                kernel: node.name.clone(),
                op: node.op.name().into_owned(),
                covers: vec![node.name.clone()],
            });
            result
        })?;
        Ok(times)
    }
}
