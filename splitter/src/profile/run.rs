//! Profiles a whole model on this machine.

use std::path::Path;
use std::time::{Duration, Instant};

use kerf_runtime::backend::{self, Artifact, DeviceInfo, LoadOptions, RunError, Verified};
use kerf_runtime::bundle::{BundleError, open_model};
use kerf_runtime::measure::power::Meter;
use kerf_runtime::measure::{self, InputError, Measured, Moment};
use kerf_runtime::step::{LoadError, Step};
use kerf_wire::Profile;
use kerf_wire::TensorRef;
use kerf_wire::profile::{Energy, Machine, MeasuredModel};

/// What is profiled, and how.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The model's file.
    pub model: &'a Path,
    /// The backend's name.
    pub backend: &'a str,
    /// How it is loaded.
    pub options: LoadOptions,
    /// Repetitions.
    pub plan: measure::Plan,
    /// What a person calls this machine.
    pub machine: String,
    /// Watts while it computes and while it waits, given by hand.
    pub watts: Option<(f64, f64)>,
}

/// Why a model was not profiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileRunError {
    /// The model was refused.
    #[error(transparent)]
    Model(#[from] BundleError),
    /// The backend is not in this program, or does not load it.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No input could be made up.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A model loaded to be measured.
pub struct Loaded {
    artifact: Verified<Artifact>,
    step: Step,
    device: DeviceInfo,
    background_load: Option<f64>,
    load: Duration,
}

impl Loaded {
    /// Loads the job's model.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn new(job: &Job<'_>) -> Result<Self, ProfileRunError> {
        let artifact = open_model(job.model)?;
        let backend = backend::named(job.backend).map_err(LoadError::from)?;
        let device = backend.check(&job.options).map_err(LoadError::from)?;
        let background_load = measure::background_load();
        let start = Instant::now();
        let step = Step::of_model(&artifact, &[job.backend.to_owned()], &job.options)?;
        Ok(Self {
            artifact,
            step,
            device,
            background_load,
            load: start.elapsed(),
        })
    }

    /// Profiles it with made-up inputs (seed 1).
    ///
    /// # Errors
    /// When it does not run.
    pub fn profile(
        &mut self,
        job: &Job<'_>,
        moment: impl FnMut(Moment),
    ) -> Result<(Profile, Measured), ProfileRunError> {
        let inputs = measure::random_inputs(self.step.inputs(), 1)?;
        let views: Vec<TensorRef<'_>> = inputs.iter().map(kerf_runtime::tensor::Tensor::view).collect();
        let session = self
            .step
            .session()
            .ok_or(RunError::Unsupported("a part without a model"))?;
        let measured = measure::measure(session, &views, &job.plan, moment)?;
        let machine = Machine {
            name: job.machine.clone(),
            device: self.device.device.clone(),
            backend: job.backend.to_owned(),
            version: self.device.version.clone(),
            threads: job.options.threads,
            background_load: self.background_load,
        };
        let model = MeasuredModel {
            name: job.model.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: self.artifact.sha256,
            bytes: self.artifact.contents.len() as u64,
        };
        let tool = concat!("kerf ", env!("CARGO_PKG_VERSION"));
        let mut profile = measure::profile(tool, machine, model, self.load, &measured);
        profile.energy = energy(job, &measured);
        Ok((profile, measured))
    }

    /// The model itself, to run it on something else.
    pub fn step(&mut self) -> &mut Step {
        &mut self.step
    }
}

/// Loads and profiles a model.
///
/// # Errors
/// When it cannot be loaded or run.
pub fn profile_model(job: &Job<'_>, moment: impl FnMut(Moment)) -> Result<(Profile, Measured), ProfileRunError> {
    Loaded::new(job)?.profile(job, moment)
}

fn energy(job: &Job<'_>, measured: &Measured) -> Option<Energy> {
    if let Some((active, idle_watts)) = job.watts {
        return Some(Energy {
            run_joules: active * measured.run_ms.median * 1e-3,
            idle_watts,
            source: "given".into(),
        });
    }
    measured.run_joules.map(|(run_joules, source)| Energy {
        run_joules,
        idle_watts: idle_watts(&job.plan.sensors),
        source: source.into(),
    })
}

/// What is drawn while this process waits, over a quarter of a second.
fn idle_watts(sensors: &Path) -> f64 {
    let Some(meter) = Meter::find(sensors) else { return 0.0 };
    let (before, start) = (meter.joules(), Instant::now());
    std::thread::sleep(Duration::from_millis(250));
    let counted = before
        .zip(meter.joules())
        .map(|(a, b)| (b - a) / start.elapsed().as_secs_f64());
    counted
        .or_else(|| meter.watts())
        .filter(|watts| *watts >= 0.0)
        .unwrap_or(0.0)
}
