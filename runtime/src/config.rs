//! A stage's configuration: one struct a section, each read from flags, `KERF_*` variables and a TOML file.
//!
//! Owns: names, help and precedence of every setting: flag, then variable, then file, then the default.
//! Must not know: what a setting does. Each section is one struct, so that the three ways cannot drift apart.
//! Start at [`Config::resolve`].

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::backend::LoadOptions;
use crate::bundle::read_bounded;
use crate::exit::{Exit, Failure, OrExit};
use crate::limits::{MAX_BATCH, MAX_BATCH_WAIT_MS, MAX_CONFIG_BYTES, MAX_THREADS};

mod broker;
mod bucket;
mod input;
mod reference_names;
mod service;
mod spool;
mod stage;
mod store;
mod trust;

pub use broker::BrokerConfig;
pub use bucket::BucketConfig;
pub use input::InputConfig;
pub use service::{ConfirmBy, ServiceConfig};
pub use spool::{SpoolConfig, WhenFull};
pub use stage::StageConfig;
pub use store::StoreConfig;
pub use trust::TrustConfig;

/// Longest password or key file, bytes.
const MAX_SECRET_BYTES: u64 = 4096;

/// A password or key file's text, without the end of its last line.
///
/// # Errors
/// When it cannot be read, is too long, or is no UTF-8.
pub fn read_secret(file: &Path) -> Result<String, Failure> {
    let bytes = read_bounded(file, MAX_SECRET_BYTES).or_exit(Exit::Usage)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is no UTF-8", file.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// All settings of a stage.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to run.
    #[command(flatten)]
    pub stage: StageConfig,
    /// Where a first part takes its inputs from.
    #[command(flatten)]
    pub input: InputConfig,
    /// How it serves.
    #[command(flatten)]
    pub service: ServiceConfig,
    /// Whose bundles are taken.
    #[command(flatten)]
    pub trust: TrustConfig,
    /// What runs it.
    #[command(flatten)]
    pub backend: BackendConfig,
    /// Where frames and results travel.
    #[command(flatten)]
    pub broker: BrokerConfig,
    /// Where frames wait.
    #[command(flatten)]
    pub spool: SpoolConfig,
    /// Where frames too large for the broker lie.
    #[command(flatten)]
    pub store: StoreConfig,
    /// Inputs and answers in that store.
    #[command(flatten)]
    pub bucket: BucketConfig,
}

/// `[backend]`: the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Backend")]
pub struct BackendConfig {
    /// Backends in the order to try, e.g. `tensorrt,tract`; each step down is told [default: the manifest's, else tract]
    #[arg(
        id = "backend-names",
        long = "backend",
        env = "KERF_BACKEND",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub names: Vec<String>,
    /// Threads inside the engine [default: the engine's own]
    #[arg(
        id = "backend-threads",
        long = "threads",
        env = "KERF_BACKEND_THREADS",
        value_name = "N"
    )]
    pub threads: Option<usize>,
    /// Device within the backend, e.g. `GPU` or `HETERO:GPU,CPU`
    #[arg(
        id = "backend-device",
        long = "backend-device",
        env = "KERF_BACKEND_DEVICE",
        value_name = "NAME"
    )]
    pub device: Option<String>,
    /// `f32`, `f16` or `int8` [default: the artifact's own]
    #[arg(
        id = "backend-precision",
        long = "precision",
        env = "KERF_BACKEND_PRECISION",
        value_name = "TYPE"
    )]
    pub precision: Option<String>,
    /// Folder that keeps compiled engines between starts
    #[arg(
        id = "backend-cache-dir",
        long = "cache-dir",
        env = "KERF_BACKEND_CACHE_DIR",
        value_name = "DIR"
    )]
    pub cache_dir: Option<PathBuf>,
    /// The vendor's library, where it is not on the loader's path
    #[arg(
        id = "backend-library",
        long = "library",
        env = "KERF_BACKEND_LIBRARY",
        value_name = "FILE"
    )]
    pub library: Option<PathBuf>,
    /// DNN ONNX Profiler's name instead: `CPU`, `GPU`, `OpenVINO`, `TensorRT` or `ACL`
    #[arg(
        id = "backend-exec-type",
        long = "exec-type",
        value_name = "NAME",
        conflicts_with_all = ["backend-names", "backend-device", "backend-precision"]
    )]
    pub exec_type: Option<String>,
    /// DNN ONNX Profiler's device of OpenVINO: `CPU_FP32`, `GPU_FP16`, `MYRIAD_FP16`, `HETERO:MYRIAD,CPU`, …
    #[arg(
        id = "backend-device-type",
        long = "device-type",
        value_name = "NAME",
        conflicts_with_all = ["backend-names", "backend-device", "backend-precision"]
    )]
    pub device_type: Option<String>,
}

impl BackendConfig {
    /// Puts our names in the place of the reference tool's.
    ///
    /// # Errors
    /// When such a name is unknown, stands beside one of ours, or its hardware is gone.
    pub fn named(mut self) -> Result<Self, Failure> {
        if self.exec_type.is_none() && self.device_type.is_none() {
            return Ok(self);
        }
        if !self.names.is_empty() || self.device.is_some() || self.precision.is_some() {
            return Err(Failure::usage(
                "exec-type and device-type stand for names, device and precision: give one or the other",
            ));
        }
        let meant = reference_names::meant(self.exec_type.as_deref(), self.device_type.as_deref())?;
        self.names = vec![meant.backend.to_owned()];
        self.device = meant.device;
        self.precision = meant.precision.map(str::to_owned);
        Ok(self)
    }

    /// What the settings mean to a backend.
    pub fn options(&self) -> LoadOptions {
        LoadOptions {
            threads: self.threads,
            device: self.device.clone(),
            precision: self.precision.clone(),
            cache_dir: self.cache_dir.clone(),
            library: self.library.clone(),
            literal: false,
        }
    }
}

/// Fills what a section leaves open from another one: `overlay!(top, under, a, b)`, or with flags, which either may set,
/// `overlay!(top, under, a, b; flag)`.
macro_rules! overlay {
    ($top:ident, $under:ident, $($field:ident),+ $(; $flag:ident)?) => {
        Self { $($field: $top.$field.or($under.$field),)+ $($flag: $top.$flag || $under.$flag)? }
    };
}
pub(crate) use overlay;

impl Config {
    /// Settings from flags and variables (which clap has merged), over those of the file, where one is named.
    ///
    /// # Errors
    /// When the file is missing, over its bound, or has a section, key or value that is not known.
    pub fn resolve(self, file: Option<&Path>) -> Result<Self, Failure> {
        let mut merged = match file {
            None => self,
            Some(path) => self.over(read(path)?),
        };
        merged.backend = merged.backend.named()?;
        merged.check()?;
        Ok(merged)
    }

    fn over(self, mut file: Self) -> Self {
        // A flag that says where inputs come from stands for all that the file says of it.
        if self.input.is_named() {
            file.stage.source = None;
        }
        if self.stage.source.is_some() {
            file.input = InputConfig::default();
        }
        let (top, under) = (self.backend, file.backend);
        let names = if top.names.is_empty() { under.names } else { top.names };
        Self {
            stage: self.stage.over(file.stage),
            input: self.input.over(file.input),
            service: self.service.over(file.service),
            trust: self.trust.over(file.trust),
            backend: BackendConfig {
                names,
                threads: top.threads.or(under.threads),
                device: top.device.or(under.device),
                precision: top.precision.or(under.precision),
                cache_dir: top.cache_dir.or(under.cache_dir),
                library: top.library.or(under.library),
                exec_type: top.exec_type.or(under.exec_type),
                device_type: top.device_type.or(under.device_type),
            },
            broker: self.broker.over(file.broker),
            spool: self.spool.over(file.spool),
            store: self.store.over(file.store),
            bucket: self.bucket.over(file.bucket),
        }
    }

    fn check(&self) -> Result<(), Failure> {
        self.input.check(self.stage.source.is_some())?;
        self.bucket.check()?;
        let threads = self.backend.threads.unwrap_or(1);
        if threads == 0 || threads > MAX_THREADS {
            return Err(Failure::usage(format!(
                "backend threads: expected 1 to {MAX_THREADS}, got {threads}"
            )));
        }
        let batch = self.stage.batch_frames.unwrap_or(1);
        if batch == 0 || batch > MAX_BATCH {
            return Err(Failure::usage(format!(
                "stage batch_frames: expected 1 to {MAX_BATCH} frames, got {batch}"
            )));
        }
        let wait_ms = self.stage.batch_wait_ms.unwrap_or(0);
        if wait_ms > MAX_BATCH_WAIT_MS {
            return Err(Failure::usage(format!(
                "stage batch_wait_ms: expected at most {MAX_BATCH_WAIT_MS}, got {wait_ms}"
            )));
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Config, Failure> {
    let context = || format!("configuration {}", path.display());
    let bytes = read_bounded(path, MAX_CONFIG_BYTES).or_exit(Exit::Usage)?;
    let text = String::from_utf8(bytes).or_exit(Exit::Usage);
    let text = text.map_err(|failure| failure.context(context()))?;
    toml::from_str(&text)
        .or_exit(Exit::Usage)
        .map_err(|failure| failure.context(context()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kerf.toml");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let (_dir, path) = file("[stage]\npart = 1\ndevice = \"cam-1\"\n[backend]\nnames = [\"tract\"]\nthreads = 2\n");
        let cli = Cli::try_parse_from(["x", "--part", "3"]).unwrap();
        let config = cli.config.resolve(Some(&path)).unwrap();
        assert_eq!(config.stage.part, Some(3));
        assert_eq!(config.stage.device.as_deref(), Some("cam-1"));
        assert_eq!(config.backend.names, ["tract"]);
        assert_eq!(config.backend.threads, Some(2));
    }

    #[test]
    fn a_flag_that_names_inputs_stands_for_all_that_the_file_says_of_them() {
        let (_dir, path) =
            file("[input]\ncamera = \"/dev/video0\"\ncamera_fps = 5.0\n[service]\nmetrics = \"127.0.0.1:9464\"\n");
        let config = |arguments: &[&str]| {
            let cli = Cli::try_parse_from(["x"].iter().chain(arguments)).unwrap();
            cli.config.resolve(Some(&path))
        };
        let own = config(&["--camera-every"]).unwrap();
        assert_eq!(own.input.camera.as_deref(), Some("/dev/video0"));
        assert_eq!((own.input.camera_fps, own.input.camera_every), (Some(5.0), true));
        assert_eq!(own.service.metrics, Some("127.0.0.1:9464".parse().unwrap()));
        let watched = config(&["--watch", "in"]).unwrap();
        assert_eq!((watched.input.camera, watched.input.camera_fps), (None, None));
        let files = config(&["--source", "photos"]).unwrap();
        assert_eq!(files.input, InputConfig::default());
    }

    #[test]
    fn inputs_from_two_places_are_refused() {
        for text in [
            "[input]\nmessages = true\nwatch = \"in\"\n",
            "[stage]\nsource = \"photos\"\n[input]\nmessages = true\n",
            "[input]\nwatch_remove = true\n",
            "[input]\ncamera = \"/dev/video0\"\ncamera_fps = 0.0\n",
            "[bucket]\ninput = \"in/\"\n",
        ] {
            let (_dir, path) = file(text);
            let failure = Config::default().resolve(Some(&path)).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let (_dir, path) = file("[stage]\nprat = 1\n");
        let failure = Config::default().resolve(Some(&path)).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.to_string().contains("prat"), "{failure}");
    }

    #[test]
    fn a_wrong_value_is_refused() {
        let (_dir, path) = file("[backend]\nthreads = 0\n");
        let failure = Config::default().resolve(Some(&path)).unwrap_err();
        assert!(failure.to_string().contains("threads"), "{failure}");
    }
}
