//! How the answer reacts to errors: a matrix across channels.
//!
//! Entry (i, j) is the mean inner product of what an error in channel i and the same error in channel j do to the answer:
//! the Gauss–Newton matrix of the harm, by finite differences. The error is one that the codec makes, so that it has its
//! spectrum; for what lies between two errors' signs, the mean over many errors stands.

use kerf_runtime::tensor::Tensor;
use kerf_wire::codec::{Codec, Coder};

use super::answer::Answer;
use super::{DecorrelateError, Fitting, channels, plane};
use crate::codec::baseline::deviation;
use crate::codec::table::{Blocks, table};
use crate::codec::trial::Trial;

/// The step whose errors are used, in standard deviations: in the middle of what is of use.
const STEP: f32 = 0.35;
/// Power of an error that is tried, in standard deviations of the value: above the rounding of 32-bit floats, below what
/// moves the answer past other classes.
const SIZE: f32 = 0.35;

/// The matrix, row-major, channels × channels.
pub(super) fn gram(
    trial: &mut Trial,
    value: usize,
    fitting: Fitting,
    mut progress: impl FnMut(),
) -> Result<Vec<f64>, DecorrelateError> {
    let calibration = trial.calibration(value);
    let channels = calibration.first().map_or(0, |t| channels(t));
    let table = table(&calibration, Blocks::Longest, STEP)?;
    #[allow(clippy::cast_possible_truncation, reason = "a deviation of 32-bit floats")]
    let size = SIZE * deviation(&calibration) as f32;
    let codec = Codec::dct(table)?;
    let mut random = fastrand::Rng::with_seed(fitting.seed);
    let chosen = random.choose_multiple(0..calibration.len(), fitting.inputs);
    let mut gram = vec![0.0; channels * channels];
    for input in chosen {
        let Some(crossing) = trial.calibration_input(input).map(<[Tensor]>::to_vec) else {
            continue;
        };
        let Some(tensor) = crossing.get(value) else { continue };
        let error = error(&codec, tensor, size, &mut random)?;
        let answer = Answer::of(&trial.output("raw", crossing.clone())?)?;
        progress();
        let mut changes = Vec::with_capacity(channels);
        for channel in 0..channels {
            let mut moved = crossing.clone();
            if let Some(tensor) = moved.get_mut(value) {
                add(tensor, channel, &error);
            }
            changes.push(answer.change(&trial.output("moved", moved)?)?);
            progress();
        }
        add_products(&mut gram, &changes);
    }
    Ok(gram)
}

/// What the codec does to one channel of each image of a tensor, chosen by chance, brought to the power `size`².
fn error(codec: &Codec, tensor: &Tensor, size: f32, random: &mut fastrand::Rng) -> Result<Vec<f32>, DecorrelateError> {
    let mut payload = Vec::new();
    let mut coder = Coder::new();
    let header = coder.encode(codec, &tensor.view(), &mut payload)?;
    let mut back = Tensor::zeros(tensor.dtype(), tensor.shape())?;
    coder.decode(codec, &header, &payload, back.bytes_mut())?;
    let (channels, plane) = (channels(tensor), plane(tensor).max(1));
    let images = tensor.as_slice::<f32>().chunks_exact(channels * plane);
    let mut errors = Vec::new();
    for (raw, back) in images.zip(back.as_slice::<f32>().chunks_exact(channels * plane)) {
        let from = random.usize(0..channels) * plane;
        let pair = raw.iter().zip(back).skip(from).take(plane);
        let error: Vec<f32> = pair.map(|(raw, back)| back - raw).collect();
        let power = error.iter().map(|e| e * e).sum::<f32>() / plane as f32;
        let sign = |_| if random.bool() { size } else { -size };
        match power.is_normal() {
            true => errors.extend(error.iter().map(|e| e * size / power.sqrt())),
            // A channel that the codec met exactly.
            false => errors.extend((0..plane).map(sign)),
        }
    }
    Ok(errors)
}

/// Adds an error a plane to one channel of each image.
fn add(tensor: &mut Tensor, channel: usize, errors: &[f32]) {
    let (channels, plane) = (channels(tensor), plane(tensor).max(1));
    let images = tensor.as_slice_mut::<f32>().chunks_exact_mut(channels * plane);
    for (image, error) in images.zip(errors.chunks_exact(plane)) {
        let of_channel = image.iter_mut().skip(channel * plane).take(plane);
        of_channel.zip(error).for_each(|(x, e)| *x += e);
    }
}

fn add_products(gram: &mut [f64], changes: &[Vec<f64>]) {
    for (row, one) in gram.chunks_exact_mut(changes.len().max(1)).zip(changes) {
        for (sum, other) in row.iter_mut().zip(changes) {
            *sum += one.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
        }
    }
}
