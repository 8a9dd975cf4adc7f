//! The cheapest table whose loss is allowed.

use kerf_runtime::tensor::Tensor;
use kerf_wire::DType;
use kerf_wire::codec::Codec;

use super::table::{Blocks, table};
use super::tally::Score;
use super::trial::{Trial, TrialError};

/// The finest and the coarsest step that is tried, in quarter octaves about [`BASE_STEP`].
const FINEST: i8 = -24;
const COARSEST: i8 = 20;
/// Step at coarseness 0, in standard deviations of the value.
pub const BASE_STEP: f32 = 0.5;

/// What a fit gave.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// One codec a crossing value, as they go into the manifest.
    pub codecs: Vec<Codec>,
    /// What they do to the samples that judge.
    pub score: Score,
}

/// Fits each crossing float value on the trial's calibration inputs, then takes the coarsest steps whose loss on those
/// that judge is at most `max_loss`; values of other types, and those that no table fits, stay raw.
///
/// # Errors
/// When a part does not run.
pub fn fit(trial: &mut Trial, max_loss: f64) -> Result<Fitted, TrialError> {
    let mut best: Option<Fitted> = None;
    for blocks in [Blocks::Longest, Blocks::One] {
        if let Some(fitted) = coarsest(trial, blocks, max_loss)?
            && best
                .as_ref()
                .is_none_or(|b| fitted.score.payload_bytes < b.score.payload_bytes)
        {
            best = Some(fitted);
        }
    }
    match best {
        Some(fitted) => Ok(fitted),
        // Not even the finest steps are good enough.
        None => raw(trial),
    }
}

fn raw(trial: &mut Trial) -> Result<Fitted, TrialError> {
    let codecs = vec![Codec::RAW; trial.values().len()];
    Ok(Fitted {
        score: trial.score(&codecs)?,
        codecs,
    })
}

/// Loss grows with the step but for noise: the coarsest step is found by halving, and the finest is tried first.
fn coarsest(trial: &mut Trial, blocks: Blocks, max_loss: f64) -> Result<Option<Fitted>, TrialError> {
    let mut attempt = |coarseness: i8| -> Result<Option<Fitted>, TrialError> {
        let codecs = codecs(trial, blocks, coarseness);
        let score = trial.score(&codecs)?;
        Ok((score.loss() <= max_loss).then_some(Fitted { codecs, score }))
    };
    let Some(mut best) = attempt(FINEST)? else {
        return Ok(None);
    };
    let (mut good, mut bad) = (FINEST, COARSEST + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        match attempt(middle)? {
            Some(fitted) => (best, good) = (fitted, middle),
            None => bad = middle,
        }
    }
    Ok(Some(best))
}

/// The most coarseness that a fitted codec may have in a frame, in quarter octaves: 1,024 times its steps.
const MOST_COARSER: i8 = 40;

/// How much coarser the fitted codecs may be while a link is behind, for a loss of at most `max_loss`, and what that does;
/// none where not even a quarter octave is allowed, or no value has steps.
///
/// # Errors
/// When a part does not run.
pub fn coarser(trial: &mut Trial, fitted: &Fitted, max_loss: f64) -> Result<Option<(i8, Score)>, TrialError> {
    if fitted.codecs.iter().all(|codec| codec.table.is_none()) {
        return Ok(None);
    }
    let mut best = None;
    let (mut good, mut bad) = (0, MOST_COARSER + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        let with = |codec: &Codec| Codec {
            coarseness: if codec.table.is_some() { middle } else { 0 },
            ..codec.clone()
        };
        let codecs: Vec<Codec> = fitted.codecs.iter().map(with).collect();
        let score = trial.score(&codecs)?;
        if score.loss() <= max_loss {
            (best, good) = (Some((middle, score)), middle);
        } else {
            bad = middle;
        }
    }
    Ok(best)
}

/// A codec a crossing value: `dct` where a table fits, else raw.
pub fn codecs(trial: &Trial, blocks: Blocks, coarseness: i8) -> Vec<Codec> {
    let values = 0..trial.values().len();
    values
        .map(|value| codec(&trial.calibration(value), blocks, coarseness))
        .collect()
}

/// The `dct` codec for such tensors, its step `coarseness` quarter octaves above [`BASE_STEP`]; raw where no table fits them.
pub fn codec(tensors: &[&Tensor], blocks: Blocks, coarseness: i8) -> Codec {
    let step = BASE_STEP * 2.0_f32.powf(f32::from(coarseness) / 4.0);
    let fits = tensors.first().is_some_and(|t| t.dtype() == DType::F32);
    let table = fits.then(|| table(tensors, blocks, step).ok()).flatten();
    table.and_then(|table| Codec::dct(table).ok()).unwrap_or(Codec::RAW)
}
