//! `cargo xtask soak`: the fault tests at full length; every CI run has a small version of each.
//!
//! Owns: the list of soaks. To add one: a file in `soak/`, a line in [`ALL`].

use anyhow::Result;

use crate::measure::{Choice, Measure};

mod faults;

/// Every soak, in the order in which they run.
const ALL: &[Measure] = &[
    faults::BROKER_KILL,
    faults::STAGE_KILL,
    faults::POWER_CUT,
    faults::DUPLICATES,
    faults::FLAPS,
    faults::SLOW_CONSUMER,
];

/// Runs the fault tests at full length with release programs; takes minutes to hours.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    arguments.choice.run(ALL)
}
