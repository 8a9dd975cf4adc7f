//! `kerf-stage once`: inputs from files, answers to files or standard output.

use std::path::PathBuf;

use clap::Args;
use kerf_runtime::bundle::{Bundle, open_model};
use kerf_runtime::config::{BackendConfig, Config, StageConfig};
use kerf_runtime::exit::Failure;
use kerf_runtime::step::Step;

/// Run inputs from files through one part of a bundle, or through a whole model.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage once --model lenet5.onnx --input digits.npz --output answers.npz
  kerf-stage once --bundle bundle --part 0 --input photo.jpg --output head.npz")]
pub(crate) struct Once {
    /// A bare model instead of a bundle
    #[arg(long, value_name = "FILE", conflicts_with = "stage-bundle")]
    model: Option<PathBuf>,
    /// TOML file with any of these settings
    #[arg(long, env = "KERF_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    stage: StageConfig,
    #[command(flatten)]
    backend: BackendConfig,
}

impl Once {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let settings = Config {
            stage: self.stage,
            backend: self.backend,
            ..Config::default()
        };
        let config = settings.resolve(self.config.as_deref())?;
        let options = config.backend.options();
        let step = match (&self.model, &config.stage.bundle) {
            (Some(file), _) => {
                let artifact = open_model(file)?;
                log::info!("event=model-opened file={} sha256={}", file.display(), artifact.sha256);
                Step::of_model(&artifact, &config.backend.names, &options)?
            }
            (None, Some(dir)) => {
                let bundle = Bundle::open(dir)?;
                Step::load(&bundle, config.stage.part.unwrap_or(0), &config.backend.names, &options)?
            }
            (None, None) => return Err(Failure::usage("either --model FILE or --bundle DIR is needed")),
        };
        for spec in step.inputs().iter().chain(step.outputs()) {
            println!("{spec}");
        }
        Ok(())
    }
}
