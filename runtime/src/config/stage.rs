//! `[stage]`: what a stage runs and what it takes in.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::overlay;
use crate::stage::tail::BatchConfig;

/// How long a frame waits for others to run with, unless configured, ms.
const BATCH_WAIT_MS: u64 = 5;

/// `[stage]`: the part and its inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Stage")]
pub struct StageConfig {
    /// The bundle's folder
    #[arg(id = "stage-bundle", long = "bundle", env = "KERF_BUNDLE", value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Which part of the bundle to run, counted from 0
    #[arg(id = "stage-part", long = "part", env = "KERF_PART", value_name = "N")]
    pub part: Option<usize>,
    /// This device's name: letters, digits, `-`, `_` and `.` [default: the host's name]
    #[arg(id = "stage-device", long = "device", env = "KERF_DEVICE", value_name = "NAME")]
    pub device: Option<String>,
    /// Where part 0 takes its inputs from: an image or tensor file, or a folder of them
    #[arg(id = "stage-source", long = "source", env = "KERF_SOURCE", value_name = "PATH")]
    pub source: Option<PathBuf>,
    /// Frames that a part behind the first may run together, where its first dimension is open [default: 1]
    #[arg(
        id = "stage-batch-frames",
        long = "batch-frames",
        env = "KERF_BATCH_FRAMES",
        value_name = "N"
    )]
    pub batch_frames: Option<usize>,
    /// Milliseconds that a frame waits for others to run with [default: 5]
    #[arg(
        id = "stage-batch-wait-ms",
        long = "batch-wait-ms",
        env = "KERF_BATCH_WAIT_MS",
        value_name = "MS"
    )]
    pub batch_wait_ms: Option<u64>,
}

impl StageConfig {
    /// What the settings mean to a stage behind the first.
    pub fn together(&self) -> BatchConfig {
        BatchConfig {
            frames: self.batch_frames.unwrap_or(1),
            wait: Duration::from_millis(self.batch_wait_ms.unwrap_or(BATCH_WAIT_MS)),
        }
    }

    pub(super) fn over(self, file: Self) -> Self {
        let top = self;
        overlay!(top, file, bundle, part, device, source, batch_frames, batch_wait_ms)
    }
}
