//! The sub-commands of `kerf-stage`, one file each.

use clap::Subcommand;
use kerf_runtime::exit::Failure;

mod bench;
mod check;
#[cfg(feature = "s3")]
mod grant;
mod once;
mod results;
mod run;
#[cfg(feature = "http")]
mod serve;
mod target;
mod tensors;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run inputs from files through one part or a whole model, once
    Once(once::Once),
    /// Run one part as a service: a head, a middle part or a tail
    Run(Box<run::Run>),
    /// Deliver each result once
    Results(Box<results::Results>),
    /// Let a board put its frames into a bucket without keys, for some days
    #[cfg(feature = "s3")]
    Grant(grant::GrantCommand),
    /// Answer over HTTP with the last part of a bundle
    #[cfg(feature = "http")]
    Serve(serve::Serve),
    /// Measure how long one part or a whole model takes
    Bench(bench::Bench),
    /// List the backends of this program, and whether a bundle's files are intact
    Check(check::Check),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Once(command) => command.run(),
            Self::Run(command) => command.run(),
            Self::Results(command) => command.run(),
            #[cfg(feature = "s3")]
            Self::Grant(command) => command.run(),
            #[cfg(feature = "http")]
            Self::Serve(command) => command.run(),
            Self::Bench(command) => command.run(),
            Self::Check(command) => command.run(),
        }
    }
}
