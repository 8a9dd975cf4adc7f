//! `cargo xtask build --target NAME`: `kerf-stage` for a board, held against the board's budget.
//!
//! Owns: which of the ways to cross-compile is taken. The toolchains are in [`crate::toolchain`].
//! Must not know: what the features mean.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::binary::{self, Needs};
use crate::repo;
use crate::target::{self, Target};
use crate::toolchain::{self, Way};

/// Builds kerf-stage for a board: through `cross` where Docker runs, else with zig or this machine's own compilers.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The board, a folder of targets/.
    #[arg(long, value_name = "NAME")]
    target: String,
    /// Take this way instead of the first that works here.
    #[arg(long, value_enum)]
    with: Option<Way>,
    /// Only print the command.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let target = target::named(&arguments.target)?;
    let way = arguments.with.map_or_else(toolchain::way_here, Ok)?;
    if arguments.dry_run {
        let command = toolchain::command(&target, way)?;
        for (name, value) in command.get_envs() {
            print!("{}='{}' ", name.display(), value.unwrap_or_default().display());
        }
        println!("{}", repo::shown(&command));
        return Ok(());
    }
    let (program, needs) = build(&target, way)?;
    println!("{}", program.display());
    println!("{}", described(&target, &needs));
    Ok(())
}

/// Builds and checks; gives the program and what it needs.
///
/// # Errors
/// When the toolchain is missing, the build fails, or the program breaks its target's promises.
pub(crate) fn build(target: &Target, way: Way) -> Result<(PathBuf, Needs)> {
    toolchain::prepare(way, &target.file.build.triple)?;
    let mut command = toolchain::command(target, way)?;
    repo::run(&mut command)?;
    let program = toolchain::program(target)?;
    ensure!(program.is_file(), "{} was not built", program.display());
    let needs = binary::hold(&program, target).with_context(|| format!("target {}", target.name))?;
    Ok((program, needs))
}

/// One line on a finished program.
pub(crate) fn described(target: &Target, needs: &Needs) -> String {
    let linked = match needs.glibc {
        None => "static".to_owned(),
        Some(newest) => format!("needs glibc {newest}"),
    };
    let budget = target.file.budget.binary_bytes as f64 / 1e6;
    format!(
        "{}: {:.2} MB of {budget:.1}, {linked}",
        target.name,
        needs.bytes as f64 / 1e6
    )
}
