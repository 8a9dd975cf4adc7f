//! The loop that joins source, part and links.
//!
//! Owns: what a head, a middle part and a tail do with a frame, and when a frame may be forgotten.
//! Must not know: engines, MQTT packets, how a disk is written.
//! Start at [`head`] for the stage that accepts inputs, at [`tail`] for every stage behind it.
//!
//! A stage is a stage: a head takes inputs and a tail takes frames, and where a part is the last, its frame is an answer.
//! The last stage's receipt, not the broker's acknowledgement, frees a frame at the head.

pub mod bucket;
mod coding;
pub mod dedupe;
pub mod envelope;
mod flights;
pub mod front;
pub mod handoff;
pub mod head;
pub mod keep;
pub mod reader;
pub mod resident;
pub mod solo;
pub mod status;
pub mod tail;

use kerf_wire::codec::Codec;
use kerf_wire::manifest::{Manifest, ManifestError};
use kerf_wire::result::{Label, Output};
use kerf_wire::{CutId, DeviceId, Digest, TensorRef, WireError};

use crate::backend::RunError;
use crate::source::Input;
use crate::step::{Leaving, Step};

/// One part, loaded: takes what reaches it, gives what leaves it, in the manifest's order.
pub trait Part: Send {
    /// Runs once.
    ///
    /// # Errors
    /// When an input is missing or does not fit, or the engine fails.
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError>;
    /// The name of the backend that runs it, for the result; none where nothing runs.
    fn backend(&self) -> Option<&'static str>;
    /// True where inputs may be joined along their first axis and run as one.
    fn takes_batches(&self) -> bool {
        false
    }
}

impl Part for Step {
    fn run<'a>(&'a mut self, input: &'a Input) -> Result<Leaving<'a>, RunError> {
        Step::run(self, input)
    }

    fn backend(&self) -> Option<&'static str> {
        Step::backend(self)
    }

    fn takes_batches(&self) -> bool {
        Step::takes_batches(self)
    }
}

/// Turns the model's outputs into what a reader wants to see.
pub trait Answerer: Send {
    /// The best classes where the model is a classifier, and the outputs as far as they are small.
    fn answer(&self, outputs: &[(&str, TensorRef<'_>)]) -> (Vec<Label>, Vec<Output>);
}

/// A model and one cut of it: what a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crossing {
    /// SHA-256 of the whole model.
    pub model: Digest,
    /// The cut that is crossed.
    pub cut: CutId,
}

/// A cut as the stages on its two sides see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Border {
    /// What a frame across it says of itself.
    pub crossing: Crossing,
    /// The values that cross, in the frame's order.
    pub values: Vec<String>,
    /// How each is encoded, in the same order.
    pub codecs: Vec<Codec>,
    /// The same while a head's link is behind; empty where the manifest allows nothing else.
    pub coarser: Vec<Codec>,
}

impl Border {
    /// The cut behind part `part`; none behind the last.
    ///
    /// # Errors
    /// When the manifest names a codec that this program does not know, or its table does not hold together.
    pub fn behind(manifest: &Manifest, part: usize) -> Result<Option<Self>, BorderError> {
        let Some(cut) = manifest.cuts.get(part) else {
            return Ok(None);
        };
        let refused = |name: &String, why| BorderError::Codec {
            value: name.clone(),
            why,
        };
        let mut codecs = Vec::with_capacity(cut.values.len());
        let mut coarser = Vec::new();
        for (index, name) in cut.values.iter().enumerate() {
            let Some(entry) = cut.codecs.get(name) else {
                codecs.push(Codec::RAW);
                continue;
            };
            codecs.push(Codec::of_manifest(entry).map_err(|why| refused(name, why))?);
            if let Some(codec) = Codec::coarser_of_manifest(entry).map_err(|why| refused(name, why))? {
                coarser.push((index, codec));
            }
        }
        Ok(Some(Self {
            crossing: Crossing {
                model: manifest.model.sha256,
                cut: cut.cut_id()?,
            },
            values: cut.values.clone(),
            coarser: with(&codecs, coarser),
            codecs,
        }))
    }
}

/// The codecs with these in their places; none at all where there are none to change.
fn with(codecs: &[Codec], changed: Vec<(usize, Codec)>) -> Vec<Codec> {
    let mut all = if changed.is_empty() {
        Vec::new()
    } else {
        codecs.to_vec()
    };
    for (index, codec) in changed {
        if let Some(place) = all.get_mut(index) {
            *place = codec;
        }
    }
    all
}

/// Why a cut of a manifest cannot be crossed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BorderError {
    /// Its id is none.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A codec is not known.
    #[error("value {value}: {why}")]
    Codec {
        /// The value.
        value: String,
        /// The cause.
        why: WireError,
    },
}

impl std::fmt::Display for Crossing {
    /// Short: 48 bits of each, as in the topic.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "model {:.12} cut {:.12}",
            self.model.to_string(),
            self.cut.to_string()
        )
    }
}

/// The sequence of `device/boot/sequence` where device and boot are these.
pub(crate) fn sequence_of(frame: &str, device: &DeviceId, boot: u64) -> Option<u64> {
    let mut parts = frame.split('/');
    let (of_device, of_boot, sequence) = (parts.next()?, parts.next()?, parts.next()?);
    let ours = of_device == device.as_str() && u64::from_str_radix(of_boot, 16) == Ok(boot) && parts.next().is_none();
    sequence.parse().ok().filter(|_| ours)
}

/// µs of a duration, for a hop.
pub(crate) fn micros(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// µs since 1970 on this machine's wall clock, for reading logs only; 0 where the clock is before that.
pub(crate) fn unix_us() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|d| u64::try_from(d.as_micros()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
