//! `[bucket]`: a bucket of the object store as the source and the sink of a stage.

use clap::Args;
use serde::Deserialize;

use super::overlay;
use crate::exit::Failure;

/// Seconds between two looks at the bucket, unless configured.
const EVERY_S: u32 = 10;

/// `[bucket]`: prefixes, and when they are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Bucket")]
pub struct BucketConfig {
    /// Answer each object under this prefix of the store's bucket: images, .npy, .npz, frames
    #[arg(
        id = "bucket-input",
        long = "bucket-input",
        env = "KERF_BUCKET_INPUT",
        value_name = "PREFIX"
    )]
    pub input: Option<String>,
    /// Put the answers under this prefix, as the object's name and .json
    #[arg(
        id = "bucket-output",
        long = "bucket-output",
        env = "KERF_BUCKET_OUTPUT",
        value_name = "PREFIX"
    )]
    pub output: Option<String>,
    /// Leave inputs in the bucket; one that has an answer is not taken again
    #[arg(id = "bucket-keep", long = "bucket-keep", env = "KERF_BUCKET_KEEP")]
    pub keep: bool,
    /// Look at the bucket when something comes on this topic of the broker, e.g. the store's notifications
    #[arg(
        id = "bucket-events",
        long = "bucket-events",
        env = "KERF_BUCKET_EVENTS",
        value_name = "TOPIC"
    )]
    pub events: Option<String>,
    /// Look at the bucket so often in any case [default: 10]
    #[arg(
        id = "bucket-every-s",
        long = "bucket-every-s",
        env = "KERF_BUCKET_EVERY_S",
        value_name = "SECONDS"
    )]
    pub every_s: Option<u32>,
}

impl BucketConfig {
    /// Seconds between two looks: at least 1.
    pub fn every_s(&self) -> u32 {
        self.every_s.unwrap_or(EVERY_S).max(1)
    }

    pub(super) fn over(self, file: Self) -> Self {
        let top = self;
        overlay!(top, file, input, output, events, every_s; keep)
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        let needs = |name: &str, of: &str| Err(Failure::usage(format!("bucket {name}: it needs {of}")));
        match (&self.input, &self.output) {
            (Some(_), None) => needs("input", "output"),
            (None, Some(_)) => needs("output", "input"),
            (None, None) if self.keep || self.events.is_some() => needs("keep and events", "input"),
            _ => Ok(()),
        }
    }
}
