//! A linear transform across the channels of a crossing value: components that are not correlated, and in which errors of one
//! size do one harm to the answer.
//!
//! Owns: fitting that transform ([`fit`]), applying it to tensors ([`Decorrelation`]), putting it into a model as a 1 × 1
//! convolution on each side of the value ([`insert`]). Must not know: how a codec works, bundles.
//! Start at [`fit`].
//!
//! A codec's errors are as large in every channel, and harm is not: how the answer reacts to errors is a matrix M across
//! channels (`sensitivity`). With M = RᵀR, errors of equal power in R x do equal harm wherever they lie; the principal
//! components of R x, found from the value's covariance (`spread`), then gather its power in few of them. So the transform is
//! T = Vᵀ R, V the eigenvectors of R Σ Rᵀ: the Karhunen–Loève transform for the distortion xᵀ M x (V. K. Goyal,
//! "Theoretical Foundations of Transform Coding", IEEE Signal Processing Magazine 18 (5), 2001).

mod answer;
mod insert;
mod judge;
mod matrix;
mod sensitivity;
mod spread;

pub use insert::{InsertError, Inserted, insert};
pub use judge::judge;

use kerf_runtime::tensor::Tensor;
use kerf_wire::{DType, WireError};

use super::trial::{Trial, TrialError};
use crate::limits::MAX_DECORRELATED_CHANNELS;

/// A transform across channels: y = `forward` (x − `means`).
#[derive(Debug, Clone, PartialEq)]
pub struct Decorrelation {
    /// Mean of each channel.
    pub means: Vec<f32>,
    /// Channels × channels, row-major: a row a component.
    pub forward: Vec<f32>,
    /// Its inverse: a row a channel.
    pub inverse: Vec<f32>,
}

/// Why no transform was fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecorrelateError {
    /// A part did not run, or a tensor is not what it should be.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The value has no channels to transform.
    #[error(
        "value {name:?} is {got}; expected 32-bit floats [batch, channels, …] of 2 to 5 dimensions with 2 to {MAX_DECORRELATED_CHANNELS} channels"
    )]
    Value {
        /// Its name.
        name: String,
        /// What it is.
        got: String,
    },
    /// The answer is of integers or the like.
    #[error("the model's first output is no 32-bit floats: how far errors move it cannot be told")]
    Answer,
    /// Nothing that is done to the value changes the answer.
    #[error("the answer does not react to the value, or not with finite numbers")]
    NoReaction,
    /// The library refused.
    #[error("linear algebra: {0}")]
    Library(String),
}

impl From<WireError> for DecorrelateError {
    fn from(error: WireError) -> Self {
        Self::Trial(error.into())
    }
}

/// How a transform is fitted.
#[derive(Debug, Clone, Copy)]
pub struct Fitting {
    /// Calibration inputs on which the answer's reaction is measured; each takes one run a channel behind the cut.
    pub inputs: usize,
    /// Seed of the inputs and errors that are chosen.
    pub seed: u64,
}

/// Runs behind the cut that a fit takes.
pub fn runs(trial: &Trial, value: usize, fitting: Fitting) -> u64 {
    let channels = trial.calibration(value).first().and_then(|t| t.shape().get(1)).copied();
    let inputs = fitting.inputs.min(trial.calibration(value).len()) as u64;
    inputs * (u64::from(channels.unwrap_or(0)) + 1)
}

/// Fits a transform to the crossing value of this index, on the trial's calibration inputs; `progress` is called a run.
///
/// # Errors
/// When the value has no channels, a part does not run, or the answer does not react.
pub fn fit(
    trial: &mut Trial,
    value: usize,
    fitting: Fitting,
    progress: impl FnMut(),
) -> Result<Decorrelation, DecorrelateError> {
    check(trial, value)?;
    let sensitivity = sensitivity::gram(trial, value, fitting, progress)?;
    let (means, spread) = spread::covariance(&trial.calibration(value))?;
    let (forward, inverse) = matrix::transform(&sensitivity, &spread, means.len())?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "weights of a convolution are 32-bit floats"
    )]
    let narrow = |wide: &[f64]| wide.iter().map(|x| *x as f32).collect();
    Ok(Decorrelation {
        means,
        forward: narrow(&forward),
        inverse: narrow(&inverse),
    })
}

fn check(trial: &Trial, value: usize) -> Result<(), DecorrelateError> {
    let tensors = trial.calibration(value);
    let Some(first) = tensors.first() else {
        return Err(TrialError::NoSample.into());
    };
    let fits = |t: &Tensor| {
        t.dtype() == DType::F32
            && t.shape() == first.shape()
            && (2..=5).contains(&t.shape().len())
            && (2..=MAX_DECORRELATED_CHANNELS).contains(&channels(t))
            && !t.bytes().is_empty()
    };
    match tensors.iter().find(|t| !fits(t)) {
        None => Ok(()),
        Some(other) => Err(DecorrelateError::Value {
            name: trial.values().get(value).cloned().unwrap_or_default(),
            got: format!("{:?} {:?}", other.dtype(), other.shape()),
        }),
    }
}

fn channels(tensor: &Tensor) -> usize {
    tensor.shape().get(1).map_or(0, |channels| *channels as usize)
}

/// Elements of one channel of one image.
fn plane(tensor: &Tensor) -> usize {
    tensor.shape().iter().skip(2).map(|n| *n as usize).product()
}

impl Decorrelation {
    /// The components of a tensor.
    ///
    /// # Errors
    /// When it is too large for memory.
    pub fn forward(&self, tensor: &Tensor) -> Result<Tensor, WireError> {
        self.multiply(tensor, &self.forward, |x, mean| x - mean, |y, _| y)
    }

    /// The tensor of these components.
    ///
    /// # Errors
    /// When it is too large for memory.
    pub fn restore(&self, tensor: &Tensor) -> Result<Tensor, WireError> {
        self.multiply(tensor, &self.inverse, |x, _| x, |y, mean| y + mean)
    }

    fn multiply(
        &self,
        tensor: &Tensor,
        matrix: &[f32],
        before: impl Fn(f32, f32) -> f32,
        after: impl Fn(f32, f32) -> f32,
    ) -> Result<Tensor, WireError> {
        let mut out = Tensor::zeros(DType::F32, tensor.shape())?;
        let (channels, plane) = (self.means.len(), plane(tensor).max(1));
        let images = tensor.as_slice::<f32>().chunks_exact(channels * plane);
        for (from, to) in images.zip(out.as_slice_mut::<f32>().chunks_exact_mut(channels * plane)) {
            let rows = matrix.chunks_exact(channels).zip(&self.means);
            for (to, (row, own)) in to.chunks_exact_mut(plane).zip(rows) {
                for ((from, mean), weight) in from.chunks_exact(plane).zip(&self.means).zip(row) {
                    to.iter_mut()
                        .zip(from)
                        .for_each(|(y, x)| *y += weight * before(*x, *mean));
                }
                to.iter_mut().for_each(|y| *y = after(*y, *own));
            }
        }
        Ok(out)
    }
}
