//! The last part, loaded and waiting: answers a frame, an input or a set of tensors at once, without links.
//!
//! Owns: what HTTP and a job ask of a part. Must not know: sockets, brokers, supervisors.
//! Whoever asks gets the answer back in the same call, so there is no receipt and nothing to forget.

use std::path::Path;
use std::time::{Duration, Instant};

use kerf_wire::codec::Coder;
use kerf_wire::result::HopTimes;
use kerf_wire::{Digest, Frame, Hop, InferenceResult, TensorSpec, WireError};

use super::coding::decode;
use super::tail::hop_times;
use super::{Answerer as _, Border, BorderError, Crossing, micros, unix_us};
use crate::backend::{LoadOptions, RunError};
use crate::bundle::{Bundle, BundleError};
use crate::exit::{Exit, Failure};
use crate::result::Answer;
use crate::source::{Input, Reader, SourceError};
use crate::step::{Leaving, LoadError, Step};

/// A loaded last part.
pub struct Resident {
    step: Step,
    part: u8,
    name: String,
    model: Digest,
    before: Option<Border>,
    reaching: Vec<TensorSpec>,
    leaving: Vec<TensorSpec>,
    reader: Reader,
    coder: Coder,
    answer: Answer,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResidentError {
    /// It is not the last part: there is nothing to answer with.
    #[error("part {part} of {parts} is not the last: only the last one answers")]
    NotLast {
        /// The part asked for.
        part: usize,
        /// How many there are.
        parts: usize,
    },
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The part was not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The cut before it cannot be crossed.
    #[error(transparent)]
    Border(#[from] BorderError),
    /// A frame of another model or cut.
    #[error("no part here for {theirs}: this stage takes {ours}")]
    Unknown {
        /// What this stage takes.
        ours: Crossing,
        /// What the frame says of itself.
        theirs: Crossing,
    },
    /// A frame with too many or too few tensors.
    #[error("expected {expected} tensors, got {got}")]
    Count {
        /// Values of the cut.
        expected: usize,
        /// Tensors of the frame.
        got: usize,
    },
    /// A frame, where the first part is the last.
    #[error("the whole model is one part: it takes inputs, not frames")]
    NoFrames,
    /// No intact frame.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// An input that cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An input that does not fit, or the engine failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Resident {
    /// Loads the last part of a bundle, or `part` where that is the last.
    ///
    /// # Errors
    /// When the part is not the last, the bundle is refused, or no backend of the list loads it.
    pub fn load(
        bundle: &Bundle,
        part: Option<usize>,
        backends: &[String],
        options: &LoadOptions,
    ) -> Result<Self, ResidentError> {
        let manifest = bundle.manifest();
        let parts = manifest.parts.len();
        let part = part.unwrap_or(parts.saturating_sub(1));
        if part + 1 != parts {
            return Err(ResidentError::NotLast { part, parts });
        }
        let before = match part.checked_sub(1) {
            Some(before) => Border::behind(manifest, before)?,
            None => None,
        };
        let specs = |names: &[String]| names.iter().map(|n| bundle.spec(n)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            step: Step::load(bundle, part, backends, options)?,
            part: u8::try_from(part).unwrap_or(u8::MAX),
            name: manifest.model.name.clone(),
            model: manifest.model.sha256,
            before,
            reaching: specs(bundle.reaching(part)?)?,
            leaving: specs(bundle.leaving(part)?)?,
            reader: Reader::of_bundle(bundle, part)?,
            coder: Coder::new(),
            answer: Answer::new(manifest.labels.clone()),
        })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the whole model.
    pub fn model(&self) -> Digest {
        self.model
    }

    /// What reaches it.
    pub fn reaching(&self) -> &[TensorSpec] {
        &self.reaching
    }

    /// What it answers with.
    pub fn leaving(&self) -> &[TensorSpec] {
        &self.leaving
    }

    /// The backend that runs it; none where nothing runs.
    pub fn backend(&self) -> Option<&'static str> {
        self.step.backend()
    }

    /// What a person should know of how it was loaded.
    pub fn warnings(&self) -> &[String] {
        self.step.warnings()
    }

    /// Runs tensors by name.
    ///
    /// # Errors
    /// When a tensor is missing or does not fit, or the engine fails.
    pub fn tensors<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        self.step.run(input)
    }

    /// Answers a sealed frame.
    ///
    /// # Errors
    /// When it is no intact frame of this model and cut, or the engine fails.
    pub fn frame(&mut self, bytes: &[u8]) -> Result<InferenceResult, ResidentError> {
        let begun = Instant::now();
        let before = self.before.as_ref().ok_or(ResidentError::NoFrames)?;
        let frame = Frame::parse(bytes)?;
        check(&frame, before)?;
        let input = decode(&mut self.coder, before, &frame)?;
        let hops = frame.header.hops.iter().map(|hop| hop_times(hop, None)).collect();
        self.run(&input, hops, begun.elapsed())
    }

    /// Answers a file: a frame as it travels, an image, `.npy` or `.npz`.
    ///
    /// # Errors
    /// When the file cannot be read or does not fit, or the engine fails.
    pub fn file(&mut self, path: &Path) -> Result<InferenceResult, ResidentError> {
        let begun = Instant::now();
        if path.extension().is_some_and(|e| e == crate::source::frame::ENDING) {
            return self.frame(&crate::source::frame::read(path)?);
        }
        let input = self.reader.read(path)?;
        self.run(&input, Vec::new(), begun.elapsed())
    }

    /// Answers what came as bytes: a sealed frame, an image, `.npy` or `.npz`, told apart by how they begin.
    ///
    /// # Errors
    /// As [`Resident::file`].
    pub fn bytes(&mut self, label: &str, bytes: &[u8]) -> Result<InferenceResult, ResidentError> {
        let begun = Instant::now();
        if bytes.starts_with(b"KF") {
            return self.frame(bytes);
        }
        let input = self.reader.decode(bytes, label)?;
        self.run(&input, Vec::new(), begun.elapsed())
    }

    fn run(
        &mut self,
        input: &Input,
        mut hops: Vec<HopTimes>,
        decoding: Duration,
    ) -> Result<InferenceResult, ResidentError> {
        let (backend, warnings) = (self.step.backend(), self.step.warnings().to_vec());
        let leaving = self.step.run(input)?;
        let ran = Instant::now();
        let (top, outputs) = self.answer.answer(&leaving.values);
        let hop = Hop {
            part: self.part,
            unix_us: unix_us(),
            decode_us: micros(decoding),
            run_us: micros(leaving.run),
            encode_us: micros(ran.elapsed()),
        };
        hops.push(hop_times(&hop, backend));
        Ok(InferenceResult {
            frame: input.label.clone(),
            model: self.model,
            top,
            outputs,
            exit: None,
            hops,
            warnings,
            error: None,
        })
    }
}

fn check(frame: &Frame<'_>, before: &Border) -> Result<(), ResidentError> {
    let header = &frame.header;
    let theirs = Crossing {
        model: header.model,
        cut: header.cut,
    };
    let ours = before.crossing;
    if theirs != ours {
        return Err(ResidentError::Unknown { ours, theirs });
    }
    let (expected, got) = (before.values.len(), header.tensors.len());
    if got != expected {
        return Err(ResidentError::Count { expected, got });
    }
    Ok(())
}

impl From<ResidentError> for Failure {
    fn from(error: ResidentError) -> Self {
        match error {
            ResidentError::Bundle(error) => error.into(),
            ResidentError::Load(error) => error.into(),
            ResidentError::Source(error) => error.into(),
            ResidentError::Run(error) => error.into(),
            ResidentError::Border(_) => Self::new(Exit::BundleRefused, error),
            _ => Self::new(Exit::Usage, error),
        }
    }
}
