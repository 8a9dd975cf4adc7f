//! `cargo xtask bench`: measures what the README promises, each beside a peer in the same run.
//!
//! Owns: the list of benchmarks. To add one: a file in `bench/`, a line in [`ALL`].

use anyhow::Result;

use crate::measure::{Choice, Measure};

mod backends;
mod cloud;
mod codec;
mod links;
mod plan;
mod split;
mod start;

/// Every benchmark, in the order in which they run.
const ALL: &[Measure] = &[
    Measure {
        name: "start",
        about: "process start to first answer, and memory, beside Python with onnxruntime",
        run: start::run,
    },
    Measure {
        name: "backends",
        about: "every engine here: start, memory and median, beside Python with the same library and beside its C API",
        run: backends::run,
    },
    Measure {
        name: "links",
        about: "what the links add to a frame and carry, beside the same parts in one process and the disk's fdatasync",
        run: links::run,
    },
    Measure {
        name: "codec",
        about: "bits, speed and accuracy of the codecs on real tensors, beside JPEG and Python's zstandard and blosc2",
        run: codec::run,
    },
    Measure {
        name: "plan",
        about: "the planned cut and the simple ones run for real over shaped links: regret, and how far predictions are off",
        run: plan::run,
    },
    Measure {
        name: "split",
        about: "every legal cut of a model, beside onnx.utils.extract_model in Python",
        run: split::run,
    },
    Measure {
        name: "cloud",
        about: "what a call adds to the model's own run: a tail that stays up against a job of OSCAR",
        run: cloud::run,
    },
];

/// Measures with release programs, each figure beside a peer's in the same run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    arguments.choice.run(ALL)
}
