//! `kerf`: cuts neural networks where the cut pays.

use std::process::ExitCode;

use clap::Parser as _;
use kerf_splitter::commands::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Warnings only: what a command has to say stands on stdout. `KERF_LOG=debug` shows more.
    kerf_runtime::logging::start(log::LevelFilter::Warn);
    kerf_runtime::exit::finish("kerf", commands::run(cli))
}
