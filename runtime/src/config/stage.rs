//! `[stage]`: what a stage runs and what it takes in.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::overlay;

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
}

impl StageConfig {
    pub(super) fn over(self, file: Self) -> Self {
        let top = self;
        overlay!(top, file, bundle, part, device, source)
    }
}
