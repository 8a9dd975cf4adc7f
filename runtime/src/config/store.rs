//! `[store]`: where frames too large for the broker lie.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::overlay;

/// `[store]`: an S3-compatible store, or a folder that both stages see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Object store")]
pub struct StoreConfig {
    /// `https://HOST:PORT` of an S3-compatible store, or `file:///DIR`
    #[arg(id = "store-url", long = "store", env = "KERF_STORE", value_name = "URL")]
    pub url: Option<String>,
    /// Bucket [default: kerf]
    #[arg(
        id = "store-bucket",
        long = "store-bucket",
        env = "KERF_STORE_BUCKET",
        value_name = "NAME"
    )]
    pub bucket: Option<String>,
    /// Region [default: us-east-1]
    #[arg(
        id = "store-region",
        long = "store-region",
        env = "KERF_STORE_REGION",
        value_name = "NAME"
    )]
    pub region: Option<String>,
    /// File with two lines: access key, secret key
    #[arg(
        id = "store-keys-file",
        long = "store-keys-file",
        env = "KERF_STORE_KEYS_FILE",
        value_name = "FILE"
    )]
    pub keys_file: Option<PathBuf>,
    /// Certificate authority of the store, PEM; needed for https
    #[arg(id = "store-ca", long = "store-ca", env = "KERF_STORE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The bucket in the host's name instead of the path [default: false]
    #[arg(
        id = "store-virtual-host",
        long = "store-virtual-host",
        env = "KERF_STORE_VIRTUAL_HOST",
        value_name = "BOOL"
    )]
    pub virtual_host: Option<bool>,
    /// Send presigned URLs along, so that the next stage needs no keys [default: false]
    #[arg(
        id = "store-presign",
        long = "store-presign",
        env = "KERF_STORE_PRESIGN",
        value_name = "BOOL"
    )]
    pub presign: Option<bool>,
    /// Grant by `kerf-stage grant`, in the place of --store and keys, for a head that only writes
    #[arg(
        id = "store-grant",
        long = "store-grant",
        env = "KERF_STORE_GRANT",
        value_name = "FILE",
        conflicts_with_all = ["store-url", "store-keys-file", "store-presign"]
    )]
    pub grant: Option<PathBuf>,
}

impl StoreConfig {
    pub(super) fn over(self, file: Self) -> Self {
        let top = self;
        overlay!(
            top,
            file,
            url,
            bucket,
            region,
            keys_file,
            ca,
            virtual_host,
            presign,
            grant
        )
    }
}
