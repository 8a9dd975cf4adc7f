//! The transform from the two matrices that decide it.

use smartcore::linalg::basic::arrays::{Array, Array2, MutArray};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linalg::traits::cholesky::CholeskyDecomposable;
use smartcore::linalg::traits::evd::EVDDecomposable;
use smartcore::linalg::traits::lu::LUDecomposable;

use super::DecorrelateError;

type Matrix = DenseMatrix<f64>;

/// Share of a unit matrix that is mixed with the answer's reaction: 64 inputs know its directions only roughly, and what
/// they miss must not be quantised away. 0.15 to 0.5 did much alike on MobileNetV2.
const UNSURE: f64 = 0.3;
/// The same for the covariance: channels that never moved on the calibration data may move later.
const UNSEEN: f64 = 0.02;

/// The transform and its inverse, row-major, for a matrix of harm and a covariance, both n × n and symmetric.
pub(super) fn transform(harm: &[f64], covariance: &[f64], n: usize) -> Result<(Vec<f64>, Vec<f64>), DecorrelateError> {
    let library = |why: smartcore::error::Failed| DecorrelateError::Library(why.to_string());
    let root = mixed(harm, n, UNSURE)?.cholesky().map_err(library)?.U();
    let covariance = mixed(covariance, n, UNSEEN)?;
    let seen = root.matmul(&covariance).matmul(&root.transpose());
    let components = symmetric(&seen, n).evd(true).map_err(library)?.V;
    let forward = components.transpose().matmul(&root);
    let inverse = forward.lu().and_then(|lu| lu.inverse()).map_err(library)?;
    let flat = |matrix: &Matrix| matrix.iterator(0).copied().collect::<Vec<f64>>();
    let (forward, inverse) = (flat(&forward), flat(&inverse));
    match forward.iter().chain(&inverse).all(|x| x.is_finite()) {
        true => Ok((forward, inverse)),
        false => Err(DecorrelateError::NoReaction),
    }
}

/// A matrix brought to the mean diagonal 1, with a share of the unit matrix.
fn mixed(matrix: &[f64], n: usize, share: f64) -> Result<Matrix, DecorrelateError> {
    let mean = matrix.iter().step_by(n + 1).sum::<f64>() / n.max(1) as f64;
    if !mean.is_normal() || !matrix.iter().all(|x| x.is_finite()) {
        return Err(DecorrelateError::NoReaction);
    }
    let unit = |index: usize| if index.is_multiple_of(n + 1) { share } else { 0.0 };
    let mixed = matrix
        .iter()
        .enumerate()
        .map(|(index, x)| (1.0 - share) * x / mean + unit(index));
    DenseMatrix::new(n, n, mixed.collect(), false).map_err(|why| DecorrelateError::Library(why.to_string()))
}

/// Without what rounding made of the symmetry.
fn symmetric(matrix: &Matrix, n: usize) -> Matrix {
    let mut even = matrix.clone();
    for row in 0..n {
        for column in 0..row {
            let mean = f64::midpoint(*matrix.get((row, column)), *matrix.get((column, row)));
            even.set((row, column), mean);
            even.set((column, row), mean);
        }
    }
    even
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..n).map(|k| a[i * n + k] * b[k * n + j]).sum();
        (0..n * n).map(|index| at(index / n, index % n)).collect()
    }

    fn transposed(a: &[f64], n: usize) -> Vec<f64> {
        (0..n * n).map(|index| a[index % n * n + index / n]).collect()
    }

    /// By the definitions alone: TᵀT is the harm, T Σ Tᵀ is diagonal, the inverse undoes it.
    #[test]
    fn equal_errors_do_equal_harm_and_components_are_not_correlated() {
        let n = 3;
        let harm = [4.0, 1.0, 0.0, 1.0, 3.0, 0.5, 0.0, 0.5, 0.1];
        let covariance = [2.0, 0.7, 0.1, 0.7, 1.0, 0.3, 0.1, 0.3, 5.0];
        let (forward, inverse) = transform(&harm, &covariance, n).unwrap();
        let unit = |i: usize| f64::from(u8::from(i.is_multiple_of(n + 1)));
        let with_unit = |m: &[f64], share: f64| -> Vec<f64> {
            let mean = (m[0] + m[4] + m[8]) / 3.0;
            (0..9).map(|i| (1.0 - share) * m[i] / mean + share * unit(i)).collect()
        };
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close(
            &product(&transposed(&forward, n), &forward, n),
            &with_unit(&harm, UNSURE)
        ));
        let coded = product(
            &product(&forward, &with_unit(&covariance, UNSEEN), n),
            &transposed(&forward, n),
            n,
        );
        assert!((0..9).all(|i| i % 4 == 0 || coded[i].abs() < 1e-9), "{coded:?}");
        assert!(close(
            &product(&forward, &inverse, n),
            &(0..9).map(unit).collect::<Vec<_>>()
        ));
    }

    #[test]
    fn what_does_not_react_is_refused() {
        let unit = [1.0, 0.0, 0.0, 1.0];
        assert!(matches!(
            transform(&[0.0; 4], &unit, 2),
            Err(DecorrelateError::NoReaction)
        ));
        assert!(matches!(
            transform(&unit, &[f64::NAN; 4], 2),
            Err(DecorrelateError::NoReaction)
        ));
    }
}
