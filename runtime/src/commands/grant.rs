//! `kerf-stage grant`: signed addresses for one device, made where the keys are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kerf_runtime::config::StoreConfig;
use kerf_runtime::exit::{Exit, Failure, OrExit};
use kerf_runtime::object;
use kerf_runtime::object::s3::{Grant, MAX_GRANT_HOURS, MAX_PLACES};
use kerf_runtime::wire::DeviceId;

/// Let a board put its frames into a bucket without keys, for some days.
///
/// Run this where the keys are. The file holds signed addresses for places under frames/DEVICE/ of the bucket, and no key: who
/// has it can write and read these places until it is over, and nothing else. Carry it to the board and start the head with
/// --store-grant FILE. A new file in its place is taken up while the head runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage grant --store https://minio:9000 --store-keys-file store.keys --store-ca ca.pem --device cam-1 -o cam-1.grant
  kerf-stage run --bundle bundle --part 0 --device cam-1 --broker mqtts://broker --store-grant cam-1.grant --store-ca ca.pem")]
pub(crate) struct GrantCommand {
    /// The device that may write
    #[arg(long, value_name = "NAME")]
    device: String,
    /// Hours until it is over: at most a week, which is S3's own bound
    #[arg(long, value_name = "HOURS", default_value_t = MAX_GRANT_HOURS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_GRANT_HOURS)))]
    hours: u32,
    /// Frames that may wait for receipts at once
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_PLACES)))]
    places: u16,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    store: StoreConfig,
}

impl GrantCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let url = self.store.url.as_deref().filter(|url| url.starts_with("http"));
        let url = url.ok_or_else(|| Failure::usage("--store http(s)://HOST:PORT is needed"))?;
        let device =
            DeviceId::new(&self.device).map_err(|why| Failure::usage(format!("device {:?}: {why}", self.device)))?;
        let grant =
            object::open_s3(url, &self.store)?.grant(&device, self.places, Duration::from_hours(self.hours.into()));
        let grant = grant.ok_or_else(|| {
            Failure::usage("keys are needed: --store-keys-file, or KERF_STORE_ACCESS_KEY and KERF_STORE_SECRET_KEY")
        })?;
        write(&self.output, &grant)?;
        let (hours, places) = (self.hours, self.places);
        log::info!(
            "event=granted device={device} file={} hours={hours} places={places}",
            self.output.display()
        );
        Ok(())
    }
}

/// Whole or not at all, and for its owner alone: a temporary file has mode 0600.
fn write(path: &Path, grant: &Grant) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).or_exit(Exit::Usage)?;
    serde_json::to_writer_pretty(&mut file, grant).or_exit(Exit::Bug)?;
    file.write_all(b"\n").or_exit(Exit::Usage)?;
    file.as_file().sync_all().or_exit(Exit::Usage)?;
    file.persist(path).or_exit(Exit::Usage)?;
    Ok(())
}
