//! `kerf`: cuts neural networks where the cut pays.

use std::process::ExitCode;

use clap::Parser as _;
use kerf_splitter::commands::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    kerf_runtime::exit::finish("kerf", commands::run(cli))
}
