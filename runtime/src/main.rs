//! `kerf-stage`: runs one part of a cut network.

use std::process::ExitCode;

use clap::Parser;
use kerf_runtime::{exit, logging, panic};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: kerf_runtime::memory::Allocator = kerf_runtime::memory::Allocator;

mod commands;

use commands::Command;

/// Runs one part of a cut network, on a board or in the cloud.
///
/// A head, a middle part and a tail are the same program: `--part` says which one this is.
#[derive(Debug, Parser)]
#[command(name = "kerf-stage", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log more: -v each frame, -vv everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Log warnings and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  kerf-stage check
  kerf-stage once --model lenet5.onnx --input digits.npz --output answers.npz
  kerf-stage once --bundle bundle --part 0 --input photo.jpg --output head.npz
  kerf-stage once --bundle bundle --part 1 --input head.npz
  kerf-stage run --bundle bundle --part 1 --broker mqtt://localhost:1883

A bundle must be signed by one of --keys. At the desk --allow-unsigned takes any.
Settings are also KERF_* variables; those under a heading from Stage to Object
store are keys of the file given with --config too. A flag wins over a variable, a
variable over the file. stdout is data, stderr is the log.";

fn main() -> ExitCode {
    panic::end_program("kerf-stage");
    let cli = Cli::parse();
    logging::start(logging::level(cli.verbose, cli.quiet));
    exit::finish("kerf-stage", cli.command.run())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_two_options_of_a_command_have_one_name() {
        Cli::command().debug_assert();
    }
}
