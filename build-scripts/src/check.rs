//! `cargo xtask check`: what each commit passes before its tests.

use anyhow::Result;

use crate::repo;

/// Formatting, clippy with warnings denied, and the layout that docs/ARCHITECTURE.md promises.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<()> {
    repo::run(repo::cargo().args(["fmt", "--all", "--", "--check"]))?;
    repo::run(repo::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    repo::run(repo::cargo().args(["test", "--package", "kerf-tests", "--test", "layout"]))
}
