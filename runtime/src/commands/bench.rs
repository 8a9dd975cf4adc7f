//! `kerf-stage bench`: how long one part takes on this machine.

use clap::Args;
use kerf_runtime::exit::Failure;

/// Measure start, memory and latency of one part or a whole model.
#[derive(Debug, Args)]
pub(crate) struct Bench {}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        Ok(())
    }
}
