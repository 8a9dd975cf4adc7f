//! From settings to an object store.

use std::path::Path;

use kerf_runtime::config::StoreConfig;
use kerf_runtime::exit::Failure;
use kerf_runtime::object::directory::DirectoryStore;
use kerf_runtime::object::{Folder, ObjectStore};
use kerf_runtime::wire::DeviceId;

/// Opens what is configured for this device: a grant, `file:///DIR`, or an S3-compatible store at `http(s)://…`.
pub(super) fn open(config: &StoreConfig, device: &DeviceId) -> Result<Option<Box<dyn ObjectStore>>, Failure> {
    if let Some(file) = &config.grant {
        if config.url.is_some() || config.keys_file.is_some() {
            return Err(Failure::usage(
                "a grant stands in the place of --store and keys: give one or the other",
            ));
        }
        return Ok(Some(granted(file, config, device)?));
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

/// The same place, for objects by their keys.
pub(super) fn open_folder(config: &StoreConfig) -> Result<Option<Box<dyn Folder>>, Failure> {
    let Some(url) = config.url.as_deref() else {
        return Ok(None);
    };
    if let Some(dir) = url.strip_prefix("file://") {
        return Ok(Some(Box::new(DirectoryStore::open(Path::new(dir))?)));
    }
    Ok(Some(Box::new(s3(url, config)?)))
}

#[cfg(feature = "s3")]
fn granted(file: &Path, config: &StoreConfig, device: &DeviceId) -> Result<Box<dyn ObjectStore>, Failure> {
    use kerf_runtime::exit::{Exit, OrExit};
    use kerf_runtime::object::s3::{GrantedStore, PATIENCE};

    let mut store = GrantedStore::open(file, device, authority(config)?, PATIENCE).or_exit(Exit::Usage)?;
    store.check()?;
    Ok(Box::new(store))
}

#[cfg(not(feature = "s3"))]
fn granted(_file: &Path, _config: &StoreConfig, _device: &DeviceId) -> Result<Box<dyn ObjectStore>, Failure> {
    Err(Failure::usage(
        "--store-grant needs a program built with the feature s3",
    ))
}

/// The store's certificate authority, PEM.
#[cfg(feature = "s3")]
fn authority(config: &StoreConfig) -> Result<Option<Vec<u8>>, Failure> {
    use kerf_runtime::bundle::read_bounded;
    use kerf_runtime::exit::{Exit, OrExit};

    use super::links::MAX_PEM_BYTES;

    let read = |file| read_bounded(file, MAX_PEM_BYTES).or_exit(Exit::Usage);
    config.ca.as_deref().map(read).transpose()
}

/// The bucket, where its keys are good.
#[cfg(feature = "s3")]
pub(crate) fn s3(url: &str, config: &StoreConfig) -> Result<kerf_runtime::object::s3::S3Store, Failure> {
    use kerf_runtime::exit::{Exit, OrExit};
    use kerf_runtime::object::s3::{PATIENCE, PRESIGNED_FOR, S3Config, S3Store};

    use super::links::read_secret;

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
fn s3(url: &str, _config: &StoreConfig) -> Result<DirectoryStore, Failure> {
    Err(Failure::usage(format!(
        "store {url:?} needs a program built with the feature s3; file:///DIR works without"
    )))
}
