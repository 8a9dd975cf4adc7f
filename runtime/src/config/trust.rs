//! `[trust]`: whose bundles a stage takes.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::overlay;
use crate::bundle::Trust;

/// `[trust]`: keys and the rollback floor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Trust")]
pub struct TrustConfig {
    /// Folder of public keys (`kerf keys new`): only bundles signed by one of them are taken
    #[arg(id = "trust-keys", long = "keys", env = "KERF_KEYS", value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// File with the lowest release that is taken; it rises when a newer one has passed its self-test
    #[arg(id = "trust-floor", long = "floor", env = "KERF_FLOOR", value_name = "FILE")]
    pub floor: Option<PathBuf>,
    /// Take any bundle, signed or not: for the desk; said at each start
    #[arg(
        id = "trust-allow-unsigned",
        long = "allow-unsigned",
        env = "KERF_ALLOW_UNSIGNED",
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub allow_unsigned: bool,
}

impl TrustConfig {
    pub(super) fn over(self, file: Self) -> Self {
        let top = self;
        overlay!(top, file, keys, floor; allow_unsigned)
    }

    /// What the settings mean to whoever opens a bundle.
    pub fn trust(&self) -> Trust {
        Trust {
            keys: self.keys.clone(),
            floor: self.floor.clone(),
            allow_unsigned: self.allow_unsigned,
        }
    }
}
