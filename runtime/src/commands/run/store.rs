//! A stage's object store: what is configured, or a grant that stands in its place.

use std::path::Path;

use kerf_runtime::config::StoreConfig;
use kerf_runtime::exit::Failure;
use kerf_runtime::object::{self, ObjectStore};
use kerf_runtime::wire::DeviceId;

/// Opens what is configured for this device: a grant, `file:///DIR`, or an S3-compatible store at `http(s)://…`.
pub(super) fn open(config: &StoreConfig, device: &DeviceId) -> Result<Option<Box<dyn ObjectStore>>, Failure> {
    let Some(file) = &config.grant else {
        return object::open(config);
    };
    if config.url.is_some() || config.keys_file.is_some() {
        return Err(Failure::usage(
            "a grant stands in the place of --store and keys: give one or the other",
        ));
    }
    Ok(Some(granted(file, config, device)?))
}

#[cfg(feature = "s3")]
fn granted(file: &Path, config: &StoreConfig, device: &DeviceId) -> Result<Box<dyn ObjectStore>, Failure> {
    use kerf_runtime::exit::{Exit, OrExit};
    use kerf_runtime::object::authority;
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
