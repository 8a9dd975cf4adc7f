//! What `once` and `bench` run: one part of a bundle, or a whole bare model.

use std::path::{Path, PathBuf};

use clap::Args;
use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::{Bundle, open_model, set};
use kerf_runtime::config::{BackendConfig, Config, StageConfig, TrustConfig};
use kerf_runtime::exit::Failure;
use kerf_runtime::source::{Reader, frame};
use kerf_runtime::stage::resident::Resident;
use kerf_runtime::step::Step;
use kerf_runtime::wire::{CutId, Digest};

/// The options that name a part.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// A bare model instead of a bundle
    #[arg(long, value_name = "FILE", conflicts_with = "stage-bundle")]
    model: Option<PathBuf>,
    /// TOML file with any of these settings
    #[arg(long, env = "KERF_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    stage: StageConfig,
    #[command(flatten)]
    trust: TrustConfig,
    #[command(flatten)]
    backend: BackendConfig,
}

/// A part that is loaded, and how files become its inputs.
pub(super) struct Ready {
    pub(super) step: Step,
    pub(super) reader: Reader,
    /// None for a bare model.
    pub(super) bundle: Option<(Bundle, usize)>,
    /// SHA-256 of the whole model.
    pub(super) model: Digest,
    /// Where inputs come from, if the configuration says so.
    pub(super) source: Option<PathBuf>,
    /// How it was loaded.
    pub(super) options: LoadOptions,
}

impl Ready {
    /// The part's number; 0 for a bare model.
    pub(super) fn part(&self) -> usize {
        self.bundle.as_ref().map_or(0, |(_, part)| *part)
    }

    /// True where what leaves is the model's answer.
    pub(super) fn is_last(&self) -> bool {
        let last = |(bundle, part): &(Bundle, usize)| part + 1 == bundle.manifest().parts.len();
        self.bundle.as_ref().is_none_or(last)
    }

    /// The model's class names.
    pub(super) fn labels(&self) -> Vec<String> {
        let labels = self.bundle.as_ref().map(|(bundle, _)| bundle.manifest().labels.clone());
        labels.unwrap_or_default()
    }
}

impl Target {
    /// The bare model, where it is one.
    pub(super) fn model(&self) -> Option<&Path> {
        self.model.as_deref()
    }

    #[cfg(feature = "http")]
    /// Loads the last part of the bundle, to answer by itself; of a set, the whole model.
    pub(super) fn resident(&self) -> Result<Resident, Failure> {
        self.resident_behind(None)
    }

    /// Loads the last part for one input: of a set, the part behind the cut that a frame names.
    pub(super) fn resident_for(&self, input: &Path) -> Result<Resident, Failure> {
        self.resident_behind(frame::cut_of(input)?)
    }

    fn resident_behind(&self, cut: Option<CutId>) -> Result<Resident, Failure> {
        let settings = Config {
            stage: self.stage.clone(),
            trust: self.trust.clone(),
            backend: self.backend.clone(),
            ..Config::default()
        };
        let config = settings.resolve(self.config.as_deref())?;
        let place = config.stage.bundle.as_deref();
        let place = place.ok_or_else(|| Failure::usage("--bundle DIR is needed: only a bundle answers"))?;
        let trust = config.trust.trust();
        let bundle = trust.open(&set::manifest_for(place, cut)?)?;
        let (names, options) = (&config.backend.names, config.backend.options());
        let resident = Resident::load(&bundle, config.stage.part, names, &options)?;
        // Loading has passed the bundle's self-test: from now on nothing older runs here.
        trust.raise(&bundle)?;
        Ok(resident)
    }

    /// Opens, verifies and loads it.
    pub(super) fn load(self) -> Result<Ready, Failure> {
        let settings = Config {
            stage: self.stage,
            trust: self.trust,
            backend: self.backend,
            ..Config::default()
        };
        let config = settings.resolve(self.config.as_deref())?;
        let (names, options) = (&config.backend.names, config.backend.options());
        let source = config.stage.source.clone();
        if let Some(file) = &self.model {
            let artifact = open_model(file)?;
            let step = Step::of_model(&artifact, names, &options)?;
            log::info!("event=loaded file={} sha256={}", file.display(), artifact.sha256);
            return Ok(Ready {
                reader: Reader::of_specs(step.inputs()),
                step,
                bundle: None,
                model: artifact.sha256,
                source,
                options,
            });
        }
        let Some(dir) = &config.stage.bundle else {
            return Err(Failure::usage(
                "--bundle DIR or --model FILE is needed: what shall run?",
            ));
        };
        let bundle = config.trust.trust().open(dir)?;
        let part = match config.stage.part {
            Some(part) => part,
            None if bundle.manifest().parts.len() == 1 => 0,
            None => {
                return Err(Failure::usage(format!(
                    "--part N is needed: the bundle has {} parts, counted from 0",
                    bundle.manifest().parts.len()
                )));
            }
        };
        let step = Step::load(&bundle, part, names, &options)?;
        let backend = step.backend().unwrap_or("none");
        log::info!("event=loaded bundle={} part={part} backend={backend}", bundle.id());
        Ok(Ready {
            reader: Reader::of_bundle(&bundle, part)?,
            step,
            model: bundle.manifest().model.sha256,
            bundle: Some((bundle, part)),
            source,
            options,
        })
    }
}
