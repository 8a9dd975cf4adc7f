//! `cargo xtask demo`: builds both programs and runs `kerf demo` on the fixtures.

use anyhow::Result;

use crate::repo::{self, Profile};

/// Builds both programs and runs `kerf demo` on the fixtures; arguments are `kerf demo`'s own.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Passed on, e.g. `--model lenet5` or `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    demo: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let programs = repo::build_programs(Profile::Dev)?;
    repo::run(repo::command(programs.kerf).arg("demo").args(&arguments.demo))
}
