//! `kerf-stage check`: which backends are here, and may this bundle run on them?

use std::path::PathBuf;

use clap::Args;
use kerf_runtime::backend::{self, Backend, BackendError, DeviceInfo, LoadOptions};
use kerf_runtime::config::{BackendConfig, Config, StageConfig, TrustConfig};
use kerf_runtime::exit::Failure;
use kerf_runtime::step::Step;

/// List the backends of this program with device, version and library, or what is missing and how to get it.
///
/// With a bundle: its signature, its release and every file, too. With a part of it: the part is loaded and passes the
/// bundle's self-test, as it would at the start of a stage.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage check
  kerf-stage check --backend onnxruntime --library /opt/onnxruntime/libonnxruntime.so.1
  kerf-stage check --backend openvino --backend-device GPU
  kerf-stage check --bundle bundle --keys /etc/kerf/keys
  kerf-stage check --config /etc/kerf/stage.toml --bundle new-bundle --part 0")]
pub(crate) struct Check {
    /// TOML file with any of a stage's settings
    #[arg(long, env = "KERF_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    stage: StageConfig,
    #[command(flatten)]
    backend: BackendConfig,
    #[command(flatten)]
    trust: TrustConfig,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let settings = Config {
            stage: self.stage,
            backend: self.backend,
            trust: self.trust,
            ..Config::default()
        };
        let config = settings.resolve(self.config.as_deref())?;
        let (names, options) = (&config.backend.names, config.backend.options());
        for backend in backend::all() {
            let is_first = names.first().is_some_and(|name| name == backend.name());
            let told = if is_first {
                options.clone()
            } else {
                LoadOptions::default()
            };
            line(*backend, backend.check(&told));
        }
        check_bundle(&config)?;
        for (place, name) in names.iter().enumerate() {
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

/// Everything that a stage would ask of a bundle before it runs it; the floor stays where it is.
fn check_bundle(config: &Config) -> Result<(), Failure> {
    let Some(dir) = &config.stage.bundle else {
        return Ok(());
    };
    let bundle = config.trust.trust().open(dir)?;
    bundle.verify_all()?;
    println!("bundle {} intact, {} parts", bundle.id(), bundle.manifest().parts.len());
    if let Some(part) = config.stage.part {
        let step = Step::load(&bundle, part, &config.backend.names, &config.backend.options())?;
        let tested = match bundle.manifest().self_test {
            Some(_) => "its self-test passed",
            None => "the bundle has no self-test",
        };
        println!("part {part} loaded by {}, {tested}", step.backend().unwrap_or("none"));
    }
    Ok(())
}
