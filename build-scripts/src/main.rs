//! `cargo xtask`: builds, checks, tests, packages and measures Kerf.
//!
//! Owns: every command that a developer or CI types. Spawns cargo and the built programs.
//! Must not know: any of Kerf's crates. Start at [`Task`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod binary;
mod build;
mod check;
mod demo;
mod dist;
mod emulate;
mod flash;
mod fuzz;
mod install;
mod matrix;
mod measure;
mod release;
mod repo;
mod setup;
mod soak;
mod target;
mod test;
mod toolchain;

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
    Emulate(emulate::Arguments),
    Dist(dist::Arguments),
    Release(release::Arguments),
    Flash(flash::Arguments),
    Fuzz(fuzz::Arguments),
    InstallCheck(install::Arguments),
    Matrix(matrix::Arguments),
    Build(build::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Check(arguments) => check::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
        Task::Release(arguments) => release::run(&arguments),
        Task::Flash(arguments) => flash::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::InstallCheck(arguments) => install::run(&arguments),
        Task::Emulate(arguments) => emulate::run(&arguments),
        Task::Matrix(arguments) => matrix::run(&arguments),
        Task::Build(arguments) => build::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why:#}");
            ExitCode::FAILURE
        }
    }
}
