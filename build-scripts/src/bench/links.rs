//! What the links cost: time added to a frame, frames and bytes a second, a thousand boards, two tails.
//!
//! The figures are made by `tests/tests/link_speed.rs` and `two_tails.rs`, which have the stages in one process and so sees each hand-over; the
//! peers in the same run are the same parts without links, and this disk's own `fdatasync`.

use anyhow::Result;

use crate::repo::{self, Programs};

/// Prints the figures.
pub(super) fn run(programs: &Programs) -> Result<()> {
    let mut command = repo::cargo();
    // Engines and codecs are optimised in the dev profile as it is; so is the runtime here.
    command.args(["test", "--config", "profile.dev.package.kerf-runtime.opt-level=3"]);
    command.args([
        "--package",
        "kerf-tests",
        "--test",
        "link_speed",
        "--test",
        "two_tails",
        "--",
    ]);
    command.args(["--ignored", "--nocapture", "--test-threads", "1"]);
    command
        .env("KERF_BIN", &programs.kerf)
        .env("KERF_STAGE_BIN", &programs.kerf_stage);
    repo::run(&mut command)
}
