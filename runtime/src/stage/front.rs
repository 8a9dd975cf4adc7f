//! All parts before the last, in this process: an input in, a sealed frame out, and nothing in between but the caller.
//!
//! Owns: what a head does without links: for whoever carries the frame himself, e.g. into a cloud's bucket.
//! Must not know: brokers, buckets, spools.

use std::time::Instant;

use kerf_wire::codec::Coder;
use kerf_wire::{DeviceId, FrameBuilder, FrameId, Hop, WireError};

use super::coding::encode;
use super::{Border, BorderError, Crossing, micros, unix_us};
use crate::backend::{LoadOptions, RunError};
use crate::bundle::{Bundle, BundleError};
use crate::exit::{Exit, Failure};
use crate::source::Input;
use crate::step::{LoadError, Step};
use crate::tensor::Tensor;

/// The parts before the last, loaded.
pub struct Front {
    steps: Vec<Step>,
    onward: Border,
    device: DeviceId,
    boot: u64,
    next: u64,
    builder: FrameBuilder,
    coder: Coder,
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrontError {
    /// One part alone: nothing crosses.
    #[error("the bundle is one part: there is no cut, and nothing to send")]
    NoCut,
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A part was not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The cut cannot be crossed.
    #[error(transparent)]
    Border(#[from] BorderError),
    /// An input does not fit, or the engine failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The frame cannot be sealed.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl Front {
    /// Loads all parts but the last; frames are named after `device`.
    ///
    /// # Errors
    /// When the bundle has one part, is refused, or no backend of the list loads a part.
    pub fn load(bundle: &Bundle, device: &str, backends: &[String], options: &LoadOptions) -> Result<Self, FrontError> {
        let before = bundle.manifest().parts.len().saturating_sub(1);
        let onward = match before.checked_sub(1) {
            Some(part) => Border::behind(bundle.manifest(), part)?,
            None => None,
        };
        let load = |part| Step::load(bundle, part, backends, options);
        Ok(Self {
            onward: onward.ok_or(FrontError::NoCut)?,
            steps: (0..before).map(load).collect::<Result<_, _>>()?,
            device: DeviceId::new(device)?,
            boot: unix_us(),
            next: 0,
            builder: FrameBuilder::new(),
            coder: Coder::new(),
        })
    }

    /// Runs the parts on one input and seals what crosses the last cut; the hops say what each part took. The bytes are
    /// valid until the next call.
    ///
    /// # Errors
    /// When the input does not fit, an engine fails, or the frame is over its bound.
    pub fn frame(&mut self, input: &Input) -> Result<(&[u8], Vec<Hop>), FrontError> {
        let (last, before) = self.steps.split_last_mut().ok_or(FrontError::NoCut)?;
        let mut hops = Vec::with_capacity(before.len() + 1);
        let mut between: Option<Input> = None;
        for (part, step) in before.iter_mut().enumerate() {
            let begun = unix_us();
            let reaching = between.as_ref().unwrap_or(input);
            let leaving = step.run(reaching)?;
            let copy = |(name, tensor): &(&str, _)| Ok(((*name).to_owned(), Tensor::copy_of(*tensor)?));
            let tensors = leaving.values.iter().map(copy).collect::<Result<_, WireError>>()?;
            hops.push(hop(part, begun, micros(leaving.run), 0));
            between = Some(Input {
                label: input.label.clone(),
                tensors,
            });
        }
        let begun = unix_us();
        let leaving = last.run(between.as_ref().unwrap_or(input))?;
        let (run, ran) = (micros(leaving.run), Instant::now());
        self.builder.clear();
        encode(&mut self.builder, &mut self.coder, &self.onward.codecs, &leaving)?;
        hops.push(hop(before.len(), begun, run, micros(ran.elapsed())));
        let id = FrameId {
            device: self.device.clone(),
            boot: self.boot,
            sequence: self.next,
        };
        self.next = self.next.saturating_add(1);
        let Crossing { model, cut } = self.onward.crossing;
        Ok((self.builder.seal(id, model, cut, &hops)?, hops))
    }
}

fn hop(part: usize, unix_us: u64, run_us: u32, encode_us: u32) -> Hop {
    Hop {
        part: u8::try_from(part).unwrap_or(u8::MAX),
        unix_us,
        decode_us: 0,
        run_us,
        encode_us,
    }
}

impl From<FrontError> for Failure {
    fn from(error: FrontError) -> Self {
        match error {
            FrontError::Bundle(error) => error.into(),
            FrontError::Load(error) => error.into(),
            FrontError::Run(error) => error.into(),
            FrontError::Border(_) => Self::new(Exit::BundleRefused, error),
            _ => Self::new(Exit::Usage, error),
        }
    }
}
