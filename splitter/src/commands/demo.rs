//! `kerf demo`: see it work.

use std::path::PathBuf;

use crate::demo::{self, ExampleName, Options};
use crate::exit::Failure;

/// Cut a real network, run both halves in two processes, compare with the whole.
///
/// A broker for this desk, a head and a tail start on this machine; nothing needs a network or root, and nothing is left
/// behind. The columns: what the two halves answered, what the whole model answered, whether these are equal, the head's
/// time from file to frame, the frame's bytes, broker and wire both ways, the tail's time from frame to answer.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf demo\n  kerf demo --model lenet5\n  kerf demo --input my-photo.jpg\n  \
    kerf demo --at VALUE        any legal value of `kerf layers`"
)]
pub struct Args {
    /// Which network.
    #[arg(long, value_enum, default_value_t)]
    pub model: ExampleName,
    /// Your own pictures instead of the example's.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Cut here; chosen where it is not named.
    #[arg(long, value_name = "VALUE", num_args = 1..)]
    pub at: Vec<String>,
    /// The folder with models/ and images/ [default: tests/fixtures of this repository]
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
}

/// Runs the demo.
///
/// # Errors
/// When a file is missing, a process fails, or an answer differs from the whole model's.
pub fn run(args: Args) -> Result<(), Failure> {
    demo::run(&Options {
        model: args.model,
        pictures: args.input,
        at: args.at,
        fixtures: args.fixtures,
    })
}
