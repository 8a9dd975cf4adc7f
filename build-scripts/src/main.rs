//! `cargo xtask`: builds, checks, tests, packages and measures Kerf.
//!
//! Owns: every command that a developer or CI types. Spawns cargo and the built programs.
//! Must not know: any of Kerf's crates. Start at [`Task`].

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod check;
mod demo;
mod measure;
mod repo;
mod setup;
mod soak;
mod test;

/// Builds, checks, tests, packages and measures Kerf.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Setup(setup::Arguments),
    Check(check::Arguments),
    Test(test::Arguments),
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    Soak(soak::Arguments),
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Check(arguments) => check::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
    }
}
