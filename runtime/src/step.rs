//! One part, loaded and ready: tensors in, the values that leave it out.
//!
//! Owns: choosing the backend, finding each input by name, passing on what crosses the part untouched.
//! Must not know: frames, brokers, files other than the bundle's.
//! `kerf-stage run` and `once`, and `kerf run`, `verify` and `profile`, all go through [`Step::run`].

mod choose;
mod error;

use std::time::{Duration, Instant};

use kerf_wire::manifest::{Exit as EarlyExit, Format};
use kerf_wire::{Dim, TensorRef, TensorSpec};

use crate::backend::{Artifact, LoadOptions, RunError, Session, Verified};
use crate::bundle::Bundle;
use crate::exits;
use crate::self_test;
use crate::source::Input;
use crate::tensor::Tensor;

pub use error::LoadError;

use choose::{Chosen, choose};

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
    /// Exits of this part, with others behind it; none at the last part, whose answer is whole.
    exits: Vec<EarlyExit>,
    part: usize,
    results: Vec<Tensor>,
}

/// What is loaded of a part, where not the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice {
    /// The artifact of this format alone; each backend's best where none is named.
    pub format: Option<Format>,
    /// Passes over the bundle's self-test: for whoever judges backends, and must see what they answer.
    pub unproven: bool,
}

/// What one run gave.
#[derive(Debug)]
pub struct Leaving<'a> {
    /// Each leaving value's name and tensor, in the order of the cut or of the model's outputs.
    pub values: Vec<(&'a str, TensorRef<'a>)>,
    /// Time in the engine, tensors copied in and out included.
    pub run: Duration,
    /// The early exit that answers here: nothing has to go on to the next part.
    pub exit: Option<&'a str>,
}

impl Leaving<'_> {
    /// The answer, where an early exit gives it: its output alone.
    pub fn answered_early(&self) -> Option<Self> {
        let exit = self.exit?;
        let values = self.values.iter().filter(|(name, _)| *name == exit).copied();
        Some(Self {
            values: values.collect(),
            run: self.run,
            exit: Some(exit),
        })
    }
}

impl Step {
    /// Loads part `index` of a bundle. `backends` are tried in order; where it is empty, those of the manifest, else
    /// [`DEFAULT_BACKEND`].
    ///
    /// # Errors
    /// When the bundle is refused, or no backend of the list loads the part.
    pub fn load(bundle: &Bundle, index: usize, backends: &[String], options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_as(bundle, index, backends, options, Choice::default())
    }

    /// As [`Step::load`], as this choice says.
    ///
    /// # Errors
    /// As [`Step::load`].
    pub fn load_as(
        bundle: &Bundle,
        index: usize,
        backends: &[String],
        options: &LoadOptions,
        how: Choice,
    ) -> Result<Self, LoadError> {
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
            let formats = backend.formats().iter().copied();
            let formats: Vec<Format> = formats.filter(|f| how.format.is_none_or(|only| only == *f)).collect();
            let artifact = bundle.artifact(index, &formats, options.precision.as_deref())?;
            let artifact = artifact.ok_or_else(|| LoadError::NoArtifact {
                backend: backend.name(),
                what: format!("part {index}"),
                formats: backend.formats(),
            })?;
            let tolerance = artifact.tolerance();
            let mut session = backend.load(artifact, options)?;
            if !how.unproven {
                self_test::check(bundle, tolerance, backend.name(), session.as_mut())?;
            }
            Ok(session)
        })?;
        let mut step = Self::of(chosen, leaving);
        step.part = index;
        if index + 1 < bundle.manifest().parts.len() {
            step.exits.clone_from(&bundle.manifest().exits);
        }
        Ok(step)
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
                return Ok(backend.load(artifact.clone(), options)?);
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
            exits: Vec::new(),
            part: 0,
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
            exits: Vec::new(),
            part: 0,
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

    /// True where an early exit of this part may give the answer.
    pub fn may_answer_early(&self) -> bool {
        let own = |exit: &EarlyExit| usize::from(exit.part) == self.part && exit.policy.is_some();
        self.exits.iter().any(own)
    }

    /// True where the first dimension of all that the engine takes and gives is open, and no exit looks at one answer.
    pub fn takes_batches(&self) -> bool {
        let is_open = |spec: &TensorSpec| spec.shape.first() == Some(&Dim::Dynamic);
        let mut specs = self.inputs.iter().chain(&self.outputs);
        self.session.is_some() && self.exits.is_empty() && specs.all(is_open)
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
        let values = self.leaving.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let exit = exits::taken(&self.exits, self.part, &values);
        Ok(Leaving { values, run, exit })
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
