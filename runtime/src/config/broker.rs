//! `[broker]`: where frames, results and receipts travel.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::overlay;

/// `[broker]`: the connection and its limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Broker")]
pub struct BrokerConfig {
    /// `mqtt://HOST:PORT`, or `mqtts://HOST:PORT` with TLS
    #[arg(id = "broker-url", long = "broker", env = "KERF_BROKER", value_name = "URL")]
    pub url: Option<String>,
    /// User name
    #[arg(
        id = "broker-user",
        long = "broker-user",
        env = "KERF_BROKER_USER",
        value_name = "NAME"
    )]
    pub user: Option<String>,
    /// File with the password; a password is never taken from the command line
    #[arg(
        id = "broker-password-file",
        long = "broker-password-file",
        env = "KERF_BROKER_PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub password_file: Option<PathBuf>,
    /// Certificate authority, PEM [default: the system's]
    #[arg(id = "broker-ca", long = "broker-ca", env = "KERF_BROKER_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Our certificate, PEM
    #[arg(
        id = "broker-cert",
        long = "broker-cert",
        env = "KERF_BROKER_CERT",
        value_name = "FILE"
    )]
    pub cert: Option<PathBuf>,
    /// Our certificate's key, PEM
    #[arg(id = "broker-key", long = "broker-key", env = "KERF_BROKER_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// First levels of every topic [default: kerf]
    #[arg(
        id = "broker-topic-prefix",
        long = "topic-prefix",
        env = "KERF_TOPIC_PREFIX",
        value_name = "TOPIC"
    )]
    pub topic_prefix: Option<String>,
    /// Frames up to this many bytes travel on the broker, larger ones through the object store [default: 98304]
    #[arg(
        id = "broker-inline-bytes",
        long = "inline-bytes",
        env = "KERF_INLINE_BYTES",
        value_name = "BYTES"
    )]
    pub inline_bytes: Option<usize>,
    /// Seconds between signs of life [default: 30]
    #[arg(
        id = "broker-keep-alive-s",
        long = "keep-alive-s",
        env = "KERF_KEEP_ALIVE_S",
        value_name = "SECONDS"
    )]
    pub keep_alive_s: Option<u16>,
}

impl BrokerConfig {
    pub(super) fn over(self, file: Self) -> Self {
        let top = self;
        overlay!(
            top,
            file,
            url,
            user,
            password_file,
            ca,
            cert,
            key,
            topic_prefix,
            inline_bytes,
            keep_alive_s
        )
    }
}
