//! `[spool]`: where a first stage keeps its frames until their receipts come.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::overlay;

/// `[spool]`: the folder and its bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Spool")]
pub struct SpoolConfig {
    /// Folder that survives a power cut [default: none, frames wait in memory]
    #[arg(id = "spool-dir", long = "spool-dir", env = "KERF_SPOOL_DIR", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Most bytes that it takes [default: 268435456]
    #[arg(
        id = "spool-bytes",
        long = "spool-bytes",
        env = "KERF_SPOOL_BYTES",
        value_name = "BYTES"
    )]
    pub bytes: Option<u64>,
    /// What happens to a new frame when it is full [default: refuse-new]
    #[arg(
        id = "spool-when-full",
        long = "spool-when-full",
        env = "KERF_SPOOL_WHEN_FULL",
        value_name = "POLICY"
    )]
    pub when_full: Option<WhenFull>,
}

/// What a full spool does; never in silence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// New frames are refused.
    #[default]
    RefuseNew,
    /// The oldest frames are dropped.
    DropOldest,
}

impl SpoolConfig {
    pub(super) fn over(self, file: Self) -> Self {
        let top = self;
        overlay!(top, file, dir, bytes, when_full)
    }
}
