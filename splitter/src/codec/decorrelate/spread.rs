//! How a value's channels go together: their covariance.

use kerf_runtime::tensor::Tensor;
use kerf_wire::codec::{Table, coefficients};

use super::{DecorrelateError, plane};
use crate::codec::table::{Blocks, table};

/// Multiplications that a covariance may take: seconds. More tensors than these allow are left out evenly.
const MOST_PRODUCTS: usize = 4_000_000_000;

/// Of all power; below it a frequency holds what rounding left there.
const RESIDUE: f64 = 1e-10;

/// The means of the channels, and their covariance, row-major: the mean over the frequencies of a block of each frequency's
/// own, divided by its trace. Every frequency is coded by itself, and what a transform saves there does not depend on its power.
pub(super) fn covariance(tensors: &[&Tensor]) -> Result<(Vec<f32>, Vec<f64>), DecorrelateError> {
    let table = table(tensors, Blocks::Longest, 1.0)?;
    let channels = table.means.len();
    let each = tensors.first().map_or(1, |t| t.bytes().len() / 4 * channels).max(1);
    let apart = tensors.len().div_ceil((MOST_PRODUCTS / each).max(2)).max(1);
    let mut spectra = Vec::new();
    for tensor in tensors.iter().step_by(apart) {
        let mut spectrum = Tensor::zeros(tensor.dtype(), tensor.shape())?;
        coefficients(&table, &tensor.view(), spectrum.bytes_mut())?;
        spectra.push(spectrum);
    }
    let squares = spectra
        .iter()
        .flat_map(|s| s.as_slice::<f32>())
        .map(|x| f64::from(*x).powi(2));
    let least = RESIDUE * squares.sum::<f64>();
    let mut sum = vec![0.0; channels * channels];
    for frequency in 0..table.steps.len() {
        let own = at_frequency(&table, &spectra, frequency);
        let trace: f64 = own.iter().step_by(channels + 1).sum();
        if trace > least {
            sum.iter_mut().zip(&own).for_each(|(sum, x)| *sum += x / trace);
        }
    }
    Ok((table.means, sum))
}

/// The sum of outer products of the channels' coefficients at one frequency, over all blocks of all tensors.
fn at_frequency(table: &Table, spectra: &[Tensor], frequency: usize) -> Vec<f64> {
    let [rows, columns] = table.block.map(usize::from);
    let channels = table.means.len();
    let mut products = vec![0.0; channels * channels];
    let mut one = vec![0.0_f64; channels];
    for spectrum in spectra {
        let (across, plane) = (columns_of(spectrum), plane(spectrum).max(1));
        let is_here =
            |at: &usize| at / across % rows == frequency / columns && at % across % columns == frequency % columns;
        let places: Vec<usize> = (0..plane).filter(is_here).collect();
        for image in spectrum.as_slice::<f32>().chunks_exact(channels * plane) {
            for place in &places {
                let of_channels = image.iter().skip(*place).step_by(plane);
                one.iter_mut().zip(of_channels).for_each(|(to, x)| *to = f64::from(*x));
                for (row, x) in products.chunks_exact_mut(channels).zip(&one) {
                    row.iter_mut().zip(&one).for_each(|(sum, y)| *sum += x * y);
                }
            }
        }
    }
    products
}

fn columns_of(tensor: &Tensor) -> usize {
    match tensor.shape() {
        [_, _, .., columns] => (*columns as usize).max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    #[test]
    fn channels_that_are_each_other_s_double_are_found_whatever_their_ground() {
        let wave = |i: usize| ((i * 7919 % 101) as f32 - 50.0) / 10.0;
        let data: Vec<f32> = (0..16).map(wave).chain((0..16).map(|i| 2.0 * wave(i) + 5.0)).collect();
        let tensor = Tensor::from_f32(&[1, 2, 4, 4], &data).unwrap();
        let (means, spread) = covariance(&[&tensor]).unwrap();
        let mean: f32 = (0..16).map(wave).sum::<f32>() / 16.0;
        assert!((means[0] - mean).abs() < 1e-5 && (means[1] - 2.0 * mean - 5.0).abs() < 1e-5);
        // Every frequency's share is [1 2; 2 4] / 5.
        let ratio = |i: usize| spread[i] / spread[0];
        assert!((ratio(1) - 2.0).abs() < 1e-4 && (ratio(2) - 2.0).abs() < 1e-4 && (ratio(3) - 4.0).abs() < 1e-4);
    }
}
