//! `[service]`: how a stage serves and what it tells of itself.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::overlay;

/// Seconds between two reports on the status topic, unless configured.
const STATUS_EVERY_S: u32 = 60;

/// `[service]`: receipts, results, metrics and status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Service")]
pub struct ServiceConfig {
    /// Tails that share their frames with others of this group
    #[arg(id = "service-share", long = "share", env = "KERF_SHARE", value_name = "GROUP")]
    pub share: Option<String>,
    /// Who gives the receipt that frees a frame: the last stage, or the reader (`kerf-stage results`) once it has it on disk
    /// [default: stage]
    #[arg(id = "service-confirm", long = "confirm", env = "KERF_CONFIRM", value_name = "WHO")]
    pub confirm: Option<ConfirmBy>,
    /// Take the next input only while fewer than this many wait for their answers; 1 shows what one input takes by itself
    #[arg(
        id = "service-in-flight",
        long = "in-flight",
        env = "KERF_IN_FLIGHT",
        value_name = "NUMBER"
    )]
    pub in_flight: Option<NonZeroUsize>,
    /// Do not wait for results, only for receipts; nothing is printed
    #[arg(id = "service-no-results", long = "no-results", env = "KERF_NO_RESULTS")]
    pub no_results: bool,
    /// Serve /metrics (Prometheus), /healthz and /readyz on this address, e.g. 127.0.0.1:9464
    #[arg(
        id = "service-metrics",
        long = "metrics",
        env = "KERF_METRICS",
        value_name = "ADDRESS"
    )]
    pub metrics: Option<SocketAddr>,
    /// Seconds between two reports of the counters on the status topic; 0 for none [default: 60]
    #[arg(
        id = "service-status-every-s",
        long = "status-every-s",
        env = "KERF_STATUS_EVERY_S",
        value_name = "SECONDS"
    )]
    pub status_every_s: Option<u32>,
}

/// Who gives receipts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ConfirmBy {
    /// The last stage.
    #[default]
    Stage,
    /// Who reads the results.
    Reader,
}

impl ServiceConfig {
    /// Seconds between two reports on the status topic; 0 for none.
    pub fn status_every_s(&self) -> u32 {
        self.status_every_s.unwrap_or(STATUS_EVERY_S)
    }

    pub(super) fn over(self, file: Self) -> Self {
        let top = self;
        overlay!(top, file, share, confirm, in_flight, metrics, status_every_s; no_results)
    }
}
