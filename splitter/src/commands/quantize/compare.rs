//! How often a new model's best class is the old one's.

use std::path::Path;

use kerf_runtime::bundle::open_model;
use kerf_runtime::source::Input;
use kerf_runtime::step::Step;
use kerf_wire::{DType, TensorRef};
use serde::Serialize;

use crate::commands::data::Samples;
use crate::exit::Failure;

/// The new model beside the float model on the given data.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Agreement {
    pub(super) inputs: usize,
    pub(super) rows: usize,
    /// Share of rows of the first output whose largest element is at the same place.
    pub(super) top1: f64,
    /// Largest max|a−b| / max|a| over the inputs and outputs.
    pub(super) difference_relative_max: f64,
}

pub(super) fn load(model: &Path) -> Result<Step, Failure> {
    let artifact = open_model(model)?;
    Ok(Step::of_model(
        &artifact,
        &[],
        &kerf_runtime::backend::LoadOptions::default(),
    )?)
}

/// The elements of a float tensor; none of another type.
pub(in crate::commands) fn floats(tensor: TensorRef<'_>) -> Vec<f32> {
    match tensor.dtype {
        DType::F32 => tensor
            .bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        _ => Vec::new(),
    }
}

/// Runs both models on every sample.
pub(super) fn compare(float: &Path, small: &Path, samples: &Samples) -> Result<Agreement, Failure> {
    let (mut float, mut small) = (load(float)?, load(small)?);
    let mut sum = Agreement::default();
    let mut agree = 0_usize;
    let bar = samples.progress("comparing");
    samples.each(&mut |input: &Input| {
        let whole = float.run(input).map_err(Failure::from)?;
        let mut first = true;
        let other = small.run(input).map_err(Failure::from)?;
        sum.inputs += 1;
        for ((_, a), (_, b)) in whole.values.iter().zip(&other.values) {
            let classes = a.shape.last().map_or(1, |n| (*n as usize).max(1));
            let (a, b) = (floats(*a), floats(*b));
            if first {
                sum.rows += a.chunks(classes).len();
                agree += a
                    .chunks(classes)
                    .zip(b.chunks(classes))
                    .filter(|(a, b)| best(a) == best(b))
                    .count();
            }
            first = false;
            sum.difference_relative_max = sum.difference_relative_max.max(difference(&a, &b));
        }
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    sum.top1 = agree as f64 / sum.rows.max(1) as f64;
    Ok(sum)
}

pub(in crate::commands) fn best(row: &[f32]) -> Option<usize> {
    row.iter()
        .enumerate()
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(index, _)| index)
}

fn difference(a: &[f32], b: &[f32]) -> f64 {
    let scale = a.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    let most = a.iter().zip(b).fold(0.0_f32, |m, (x, y)| m.max((x - y).abs()));
    if scale > 0.0 {
        f64::from(most / scale)
    } else {
        f64::from(most)
    }
}
