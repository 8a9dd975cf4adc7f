//! A part compiled for concrete input shapes.

use std::sync::Arc;
use std::time::Instant;

use kerf_wire::{Shape, TensorRef};
#[allow(
    clippy::wildcard_imports,
    reason = "tract's own prelude: its macros expand to these names"
)]
use tract_core::internal::*;

use tract_linalg::multithread::Executor;

use super::convert;
use super::model::Loaded;
use crate::backend::KernelTime;

/// A compiled part with its running state.
pub(super) struct Plan {
    state: TypedSimpleState,
    /// What nodes keep from run to run (a Scan its hidden state), as it is before the first run; empty where none does.
    fresh: Vec<Option<Box<dyn OpState>>>,
    /// tract's own types of the inputs.
    datums: Vec<DatumType>,
}

impl Plan {
    /// Compiles for these shapes; runs on these threads, or on the caller's.
    pub(super) fn compile(loaded: Loaded, shapes: &[Shape], executor: Option<&Executor>) -> TractResult<Self> {
        let mut model = loaded.into_concrete(shapes)?;
        // Already decluttered: `into_optimized` would do that a second time.
        model.optimize()?;
        let datums = (0..model.inputs.len())
            .map(|index| Ok(model.input_fact(index)?.datum_type))
            .collect::<TractResult<_>>()?;
        let plan: Arc<TypedSimplePlan> = TypedSimplePlan::new_with_options(
            model,
            &RunOptions {
                executor: executor.cloned(),
                ..RunOptions::default()
            },
        )?;
        let state = plan.spawn()?;
        let any = state.op_states.iter().any(Option::is_some);
        let fresh = if any { state.op_states.clone() } else { Vec::new() };
        Ok(Self { state, fresh, datums })
    }

    /// One answer does not depend on the one before: tract means a Scan to go on where it stopped, for streams.
    fn forget(&mut self) {
        if !self.fresh.is_empty() {
            self.state.op_states.clone_from(&self.fresh);
        }
    }

    fn values(&self, inputs: &[TensorRef<'_>]) -> TractResult<TVec<TValue>> {
        let pairs = inputs.iter().zip(&self.datums);
        pairs.map(|(tensor, datum)| convert::write(tensor, *datum)).collect()
    }

    /// Runs once.
    pub(super) fn run(&mut self, inputs: &[TensorRef<'_>]) -> TractResult<TVec<TValue>> {
        let inputs = self.values(inputs)?;
        self.forget();
        self.state.run(inputs)
    }

    /// Runs once and times each node, with what tract does between the node before and it: freeing tensors is no small
    /// part of a run.
    pub(super) fn run_timed(&mut self, inputs: &[TensorRef<'_>]) -> TractResult<Vec<KernelTime>> {
        let inputs = self.values(inputs)?;
        self.forget();
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
