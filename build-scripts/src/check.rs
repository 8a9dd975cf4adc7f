//! `cargo xtask check`: what each commit passes before its tests; with `--all`, what each release passes.

use anyhow::Result;

use crate::repo;

mod boards;

/// Formatting, clippy with warnings denied, and the layout that docs/ARCHITECTURE.md promises.
///
/// Examples:
///
///   cargo xtask check
///   cargo xtask check --all      boards' programs too: built, weighed, and run by qemu (about an hour on two cores)
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Boards too: every kind of program that is flashed, its size and links, and its answers under emulation.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    repo::run(repo::cargo().args(["fmt", "--all", "--", "--check"]))?;
    repo::run(repo::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    repo::run(repo::cargo().args(["test", "--package", "kerf-tests", "--test", "layout"]))?;
    if arguments.all { boards::run() } else { Ok(()) }
}
