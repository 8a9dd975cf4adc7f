//! `kerf completions` and `kerf man`: made from the very definitions that parse the command line.

use std::path::PathBuf;

use clap::CommandFactory as _;

use super::{Cli, print};
use crate::exit::{Exit, Failure, OrExit as _};

/// Print shell completions.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf completions bash > ~/.local/share/bash-completion/completions/kerf\n  \
    kerf completions zsh > ~/.zfunc/_kerf\n  kerf completions fish > ~/.config/fish/completions/kerf.fish"
)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Write the manual pages, one a sub-command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kerf man -o ~/.local/share/man/man1 && man kerf-split")]
pub struct Man {
    /// The folder; made where it is missing.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

/// Prints the completions of one shell.
///
/// # Errors
/// When stdout cannot be written.
pub fn completions(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kerf", &mut script);
    print(&String::from_utf8(script).or_exit(Exit::Bug)?)
}

/// Writes `kerf.1` and `kerf-COMMAND.1`.
///
/// # Errors
/// When the folder cannot be written.
pub fn man(args: &Man) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.output)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.output))
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(format!("writing manual pages to {}", args.output.display())))
}
