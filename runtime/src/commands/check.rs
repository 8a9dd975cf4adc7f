//! `kerf-stage check`: which backends are here, and is this bundle intact?

use clap::Args;
use kerf_runtime::backend::{self, Backend, BackendError, DeviceInfo, LoadOptions};
use kerf_runtime::config::{BackendConfig, Config, TrustConfig};
use kerf_runtime::exit::Failure;

/// List the backends of this program with device, version and library, or what is missing and how to get it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage check
  kerf-stage check --backend onnxruntime --library /opt/onnxruntime/libonnxruntime.so.1
  kerf-stage check --backend openvino --backend-device GPU
  kerf-stage check --bundle bundle")]
pub(crate) struct Check {
    #[command(flatten)]
    backend: BackendConfig,
    /// Also verify every file of this bundle
    #[arg(long, value_name = "DIR")]
    bundle: Option<std::path::PathBuf>,
    #[command(flatten)]
    trust: TrustConfig,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let settings = Config {
            backend: self.backend,
            ..Config::default()
        };
        let config = settings.resolve(None)?.backend;
        let options = config.options();
        let first = config.names.first();
        for backend in backend::all() {
            let is_first = first.is_some_and(|name| name == backend.name());
            let told = if is_first {
                options.clone()
            } else {
                LoadOptions::default()
            };
            line(*backend, backend.check(&told));
        }
        if let Some(dir) = &self.bundle {
            let bundle = self.trust.trust().open(dir)?;
            bundle.verify_all()?;
            println!("bundle {} intact, {} parts", bundle.id(), bundle.manifest().parts.len());
        }
        for (place, name) in config.names.iter().enumerate() {
            let options = if place == 0 { &options } else { &options.for_fallback() };
            backend::named(name)?.check(options)?;
        }
        Ok(())
    }
}

fn line(backend: &dyn Backend, checked: Result<DeviceInfo, BackendError>) {
    let name = backend.name();
    match checked {
        Ok(DeviceInfo {
            device,
            version,
            library,
        }) => {
            let library = library.map(|file| format!("  {}", file.display()));
            println!("{name:<16} ready    {device}  {version}{}", library.unwrap_or_default());
        }
        Err(error) => {
            let text = error.to_string();
            let reason = text.strip_prefix(&format!("backend {name}: ")).unwrap_or(&text);
            println!("{name:<16} missing  {reason}");
        }
    }
}
