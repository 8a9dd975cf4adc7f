//! From settings to an object store.

use std::path::Path;

use super::ObjectStore;
use super::directory::DirectoryStore;
#[cfg(feature = "s3")]
use crate::bundle::read_bounded;
use crate::config::StoreConfig;
use crate::exit::Failure;
#[cfg(feature = "s3")]
use crate::exit::{Exit, OrExit};

/// Longest password or key file, bytes.
#[cfg(feature = "s3")]
const MAX_SECRET_BYTES: u64 = 4096;

/// Longest certificate authority, bytes.
#[cfg(feature = "s3")]
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// A file's text, without the end of its last line.
#[cfg(feature = "s3")]
fn read_secret(file: &Path) -> Result<String, Failure> {
    let bytes = read_bounded(file, MAX_SECRET_BYTES).or_exit(Exit::Usage)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is no UTF-8", file.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

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
        return Ok(Some(Box::new(s3(url, config)?)));
    }
    Err(Failure::usage(format!(
        "store {url:?}: expected http(s)://HOST:PORT or file:///DIR"
    )))
}

#[cfg(feature = "s3")]
fn s3(url: &str, config: &StoreConfig) -> Result<super::s3::S3Store, Failure> {
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
    let ca = config
        .ca
        .as_ref()
        .map(|file| read_bounded(file, MAX_CA_BYTES).or_exit(Exit::Usage))
        .transpose()?;
    let mut store = S3Store::new(S3Config {
        endpoint: url.to_owned(),
        bucket: config.bucket.clone().unwrap_or_else(|| "kerf".to_owned()),
        region: config.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
        virtual_host: config.virtual_host.unwrap_or(false),
        presign: config.presign.unwrap_or(false).then_some(PRESIGNED_FOR),
        patience: PATIENCE,
        keys,
        ca,
    })
    .or_exit(Exit::Usage)?;
    store.check_keys()?;
    Ok(store)
}

#[cfg(not(feature = "s3"))]
fn s3(url: &str, _config: &StoreConfig) -> Result<DirectoryStore, Failure> {
    Err(Failure::usage(format!(
        "store {url:?} needs a program built with the feature s3; file:///DIR works without"
    )))
}
