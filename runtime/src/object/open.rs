//! From settings to an object store.

use std::path::Path;

use super::directory::DirectoryStore;
use super::{Folder, ObjectStore};
#[cfg(feature = "s3")]
use crate::bundle::read_bounded;
use crate::config::StoreConfig;
#[cfg(feature = "s3")]
use crate::config::read_secret;
use crate::exit::Failure;
#[cfg(feature = "s3")]
use crate::exit::{Exit, OrExit};

/// Longest certificate authority, bytes.
#[cfg(feature = "s3")]
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// Opens what is configured: `file:///DIR`, or an S3-compatible store at `http(s)://…`.
///
/// # Errors
/// When the URL is none, its keys are not there, or the store is not reachable.
pub fn open(config: &StoreConfig) -> Result<Option<Box<dyn ObjectStore>>, Failure> {
    if config.grant.is_some() {
        return Err(Failure::usage(
            "a grant is for one stage: name the store with --store and its keys",
        ));
    }
    let Some(url) = config.url.as_deref() else {
        return Ok(None);
    };
    if let Some(dir) = url.strip_prefix("file://") {
        return Ok(Some(Box::new(DirectoryStore::open(Path::new(dir))?)));
    }
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(Some(Box::new(open_s3(url, config)?)));
    }
    Err(Failure::usage(format!(
        "store {url:?}: expected http(s)://HOST:PORT or file:///DIR"
    )))
}

/// The same place, for objects by their keys.
///
/// # Errors
/// As [`open`].
pub fn open_folder(config: &StoreConfig) -> Result<Option<Box<dyn Folder>>, Failure> {
    let Some(url) = config.url.as_deref() else {
        return Ok(None);
    };
    if let Some(dir) = url.strip_prefix("file://") {
        return Ok(Some(Box::new(DirectoryStore::open(Path::new(dir))?)));
    }
    Ok(Some(Box::new(open_s3(url, config)?)))
}

/// The store's certificate authority, PEM.
///
/// # Errors
/// When its file cannot be read.
#[cfg(feature = "s3")]
pub fn authority(config: &StoreConfig) -> Result<Option<Vec<u8>>, Failure> {
    let read = |file| read_bounded(file, MAX_CA_BYTES).or_exit(Exit::Usage);
    config.ca.as_deref().map(read).transpose()
}

/// The bucket, where its keys are good.
///
/// # Errors
/// As [`open`].
#[cfg(feature = "s3")]
pub fn open_s3(url: &str, config: &StoreConfig) -> Result<super::s3::S3Store, Failure> {
    use super::s3::{PATIENCE, PRESIGNED_FOR, S3Config, S3Store};

    let keys = match &config.keys_file {
        Some(file) => {
            let text = read_secret(file)?;
            let mut lines = text.lines().map(str::trim);
            match (lines.next(), lines.next()) {
                (Some(key), Some(secret)) if !key.is_empty() && !secret.is_empty() => {
                    Some((key.to_owned(), secret.to_owned()))
                }
                _ => {
                    return Err(Failure::usage(format!(
                        "{}: expected two lines, access key and secret key",
                        file.display()
                    )));
                }
            }
        }
        None => match (
            std::env::var("KERF_STORE_ACCESS_KEY"),
            std::env::var("KERF_STORE_SECRET_KEY"),
        ) {
            (Ok(key), Ok(secret)) => Some((key, secret)),
            _ => None,
        },
    };
    let mut store = S3Store::new(S3Config {
        endpoint: url.to_owned(),
        bucket: config.bucket.clone().unwrap_or_else(|| "kerf".to_owned()),
        region: config.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
        virtual_host: config.virtual_host.unwrap_or(false),
        presign: config.presign.unwrap_or(false).then_some(PRESIGNED_FOR),
        patience: PATIENCE,
        keys,
        ca: authority(config)?,
    })
    .or_exit(Exit::Usage)?;
    store.check_keys()?;
    Ok(store)
}

#[cfg(not(feature = "s3"))]
fn open_s3(url: &str, _config: &StoreConfig) -> Result<DirectoryStore, Failure> {
    Err(Failure::usage(format!(
        "store {url:?} needs a program built with the feature s3; file:///DIR works without"
    )))
}
