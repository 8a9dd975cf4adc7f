//! One part, loaded and ready: tensors in, the values that leave it out.
//!
//! Owns: choosing the backend, finding each input by name, passing on what crosses the part untouched.
//! Must not know: frames, brokers, files other than the bundle's.
//! `kerf-stage run` and `once`, and `kerf run`, `verify` and `profile`, all go through [`Step::run`].

use std::time::{Duration, Instant};

use kerf_wire::manifest::Format;
use kerf_wire::{TensorRef, TensorSpec};

use crate::backend::{self, Artifact, Backend, BackendError, LoadOptions, RunError, Session, UnknownBackend, Verified};
use crate::bundle::{Bundle, BundleError};
use crate::self_test;
use crate::source::Input;
use crate::tensor::Tensor;

/// The backend of a stage that is told none.
pub const DEFAULT_BACKEND: &str = "tract";

/// One part of a bundle, or a whole bare model, with its engine.
pub struct Step {
    /// None for a part without an artifact, which passes its inputs on.
    session: Option<Box<dyn Session>>,
    backend: Option<&'static str>,
    warnings: Vec<String>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    leaving: Vec<String>,
    results: Vec<Tensor>,
}

/// What one run gave.
#[derive(Debug)]
pub struct Leaving<'a> {
    /// Each leaving value's name and tensor, in the order of the cut or of the model's outputs.
    pub values: Vec<(&'a str, TensorRef<'a>)>,
    /// Time in the engine, tensors copied in and out included.
    pub run: Duration,
}

impl Step {
    /// Loads part `index` of a bundle. `backends` are tried in order; where it is empty, those of the manifest, else
    /// [`DEFAULT_BACKEND`].
    ///
    /// # Errors
    /// When the bundle is refused, or no backend of the list loads the part.
    pub fn load(bundle: &Bundle, index: usize, backends: &[String], options: &LoadOptions) -> Result<Self, LoadError> {
        let part = bundle.part(index)?;
        let leaving = bundle.leaving(index)?.to_vec();
        let reaching = bundle.reaching(index)?;
        if part.artifacts.is_empty() {
            let specs = reaching
                .iter()
                .map(|name| bundle.spec(name))
                .collect::<Result<_, _>>()?;
            return Ok(Self::passing(specs, leaving));
        }
        let told = if backends.is_empty() { &part.backends } else { backends };
        let chosen = choose(told, options, |backend, options| {
            let artifact = bundle.artifact(index, backend.formats(), options.precision.as_deref())?;
            let artifact = artifact.ok_or_else(|| LoadError::NoArtifact {
                backend: backend.name(),
                what: format!("part {index}"),
                formats: backend.formats(),
            })?;
            let mut session = backend.load(&artifact, options)?;
            self_test::check(bundle, &artifact, backend.name(), session.as_mut())?;
            Ok(session)
        })?;
        Ok(Self::of(chosen, leaving))
    }

    /// Loads a bare model; all its outputs leave.
    ///
    /// # Errors
    /// When no backend of the list loads it.
    pub fn of_model(
        artifact: &Verified<Artifact>,
        backends: &[String],
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let chosen = choose(backends, options, |backend, options| {
            if backend.formats().contains(&artifact.format) {
                return Ok(backend.load(artifact, options)?);
            }
            Err(LoadError::NoArtifact {
                backend: backend.name(),
                what: artifact.path.display().to_string(),
                formats: backend.formats(),
            })
        })?;
        let leaving = chosen.session.outputs().iter().map(|o| o.name.to_string()).collect();
        Ok(Self::of(chosen, leaving))
    }

    fn of(chosen: Chosen, leaving: Vec<String>) -> Self {
        let outputs = chosen.session.outputs().to_vec();
        Self {
            inputs: chosen.session.inputs().to_vec(),
            results: vec![Tensor::default(); outputs.len()],
            outputs,
            session: Some(chosen.session),
            backend: Some(chosen.backend),
            warnings: chosen.warnings,
            leaving,
        }
    }

    fn passing(inputs: Vec<TensorSpec>, leaving: Vec<String>) -> Self {
        Self {
            session: None,
            backend: None,
            warnings: Vec::new(),
            inputs,
            outputs: Vec::new(),
            leaving,
            results: Vec::new(),
        }
    }

    /// The backend that runs it; none where the part passes its inputs on.
    pub fn backend(&self) -> Option<&'static str> {
        self.backend
    }

    /// What a person should know of how it was loaded: each step down in the list of backends.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the engine needs.
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// What the engine gives.
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// The engine itself, for measuring.
    pub fn session(&mut self) -> Option<&mut dyn Session> {
        match &mut self.session {
            Some(session) => Some(session.as_mut()),
            None => None,
        }
    }

    /// Runs once. An input may hold more tensors than the engine needs: those that leave are passed on.
    ///
    /// # Errors
    /// When a tensor is missing or does not fit, or the engine fails.
    pub fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        let start = Instant::now();
        if let Some(session) = &mut self.session {
            let tensor = |spec: &TensorSpec| find(input, &spec.name).ok_or_else(|| missing(spec, input));
            let tensors = self.inputs.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
            session.run_into(&tensors, &mut self.results)?;
        }
        let run = start.elapsed();
        let value = |name: &'a String| {
            let made = self.outputs.iter().position(|spec| spec.name == name.as_str());
            let made = made.and_then(|at| self.results.get(at)).map(Tensor::view);
            let tensor = made.or_else(|| find(input, name));
            tensor.map(|t| (name.as_str(), t)).ok_or_else(|| RunError::Mismatch {
                name: name.clone(),
                expected: "a tensor that leaves this part".to_owned(),
                got: "none".to_owned(),
            })
        };
        let values = self.leaving.iter().map(value).collect::<Result<_, _>>()?;
        Ok(Leaving { values, run })
    }
}

fn find<'a>(input: &'a Input, name: &str) -> Option<TensorRef<'a>> {
    input.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t.view())
}

fn missing(spec: &TensorSpec, input: &Input) -> RunError {
    let names: Vec<&str> = input.tensors.iter().map(|(name, _)| name.as_str()).collect();
    RunError::Mismatch {
        name: spec.name.to_string(),
        expected: spec.to_string(),
        got: format!("an input of {names:?}"),
    }
}

struct Chosen {
    session: Box<dyn Session>,
    backend: &'static str,
    warnings: Vec<String>,
}

/// Tries backends in order, the first with these options. Each step down is logged and kept; the error is that of the
/// first.
fn choose(
    names: &[String],
    options: &LoadOptions,
    mut load: impl FnMut(&'static dyn Backend, &LoadOptions) -> Result<Box<dyn Session>, LoadError>,
) -> Result<Chosen, LoadError> {
    let default = [DEFAULT_BACKEND.to_owned()];
    let names = if names.is_empty() { &default } else { names };
    let mut first = None;
    let mut warnings = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let options = if place == 0 { options } else { &options.for_fallback() };
        let loaded = backend::named(name)
            .map_err(LoadError::from)
            .and_then(|backend| load(backend, options).map(|session| (backend.name(), session)));
        match loaded {
            Ok((backend, session)) => {
                return Ok(Chosen {
                    session,
                    backend,
                    warnings,
                });
            }
            // A damaged bundle is no reason to try another engine.
            Err(error @ LoadError::Bundle(_)) => return Err(error),
            Err(error) => {
                if names.len() > 1 {
                    log::warn!(
                        "event=backend-stepped-down backend={name} why={error:?}",
                        error = error.to_string()
                    );
                    warnings.push(format!("stepped down from backend {name}: {error}"));
                }
                first.get_or_insert(error);
            }
        }
    }
    Err(first.unwrap_or(LoadError::NoBackend))
}

/// Why a part was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The backend did not take it.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The program has no such backend.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// There is no artifact in the backend's formats.
    #[error("backend {backend} loads {formats:?}, and {what} has no artifact in these formats")]
    NoArtifact {
        /// The backend.
        backend: &'static str,
        /// The part or file.
        what: String,
        /// What it loads.
        formats: &'static [Format],
    },
    /// The list was empty.
    #[error("no backend is named")]
    NoBackend,
}

impl From<LoadError> for crate::exit::Failure {
    fn from(error: LoadError) -> Self {
        use crate::exit::{Exit, Failure};
        match error {
            LoadError::Bundle(error) => error.into(),
            LoadError::Backend(error) => error.into(),
            LoadError::Unknown(error) => error.into(),
            LoadError::NoArtifact { .. } => Failure::new(Exit::BackendMissing, error),
            LoadError::NoBackend => Failure::new(Exit::Usage, error),
        }
    }
}
