//! When a stage with an early exit answers by itself.
//!
//! Owns: the policy, a pure function of the exit's output. Must not know: stages, engines.
//! The measures: entropy of the softmax (Teerapittayanon et al. 2016, BranchyNet), its largest probability, and the largest
//! less the second.

use kerf_wire::manifest::{Exit, ExitMeasure, ExitPolicy};
use kerf_wire::{DType, TensorRef};

use crate::result::probabilities;

/// How sure one row of an output is, in the measure's unit. A row that is a distribution already is taken as it is, any
/// other goes through a softmax. NaN for an empty row, or one that holds NaN.
pub fn sureness(measure: ExitMeasure, row: &[f32]) -> f64 {
    let probabilities: Vec<f64> = probabilities(row).into_iter().map(f64::from).collect();
    let most = probabilities.iter().copied().fold(f64::NAN, f64::max);
    if probabilities.iter().any(|p| p.is_nan()) {
        return f64::NAN;
    }
    match measure {
        ExitMeasure::MaxProb => most,
        ExitMeasure::Entropy if row.is_empty() => f64::NAN,
        ExitMeasure::Entropy => probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum(),
        ExitMeasure::Margin => {
            let first = probabilities.iter().position(|p| p.total_cmp(&most).is_eq());
            let others = probabilities.iter().enumerate().filter(|(at, _)| Some(*at) != first);
            most - others.map(|(_, p)| *p).fold(0.0, f64::max)
        }
    }
}

/// True when every row of an exit's output is sure enough: a batch goes on together, or not at all.
///
/// `classes` is the length of the output's last axis. An output with NaN in it never answers.
pub fn answers(policy: &ExitPolicy, output: &[f32], classes: usize) -> bool {
    let sure = |row: &[f32]| {
        let sureness = sureness(policy.measure, row);
        match policy.measure {
            ExitMeasure::Entropy => sureness <= policy.threshold,
            ExitMeasure::MaxProb | ExitMeasure::Margin => sureness >= policy.threshold,
        }
    };
    classes > 0 && !output.is_empty() && output.chunks(classes).all(sure)
}

/// The output of the first exit of this part that answers; `values` are what leaves the part.
pub fn taken<'v>(exits: &[Exit], part: usize, values: &[(&'v str, TensorRef<'v>)]) -> Option<&'v str> {
    let own = exits.iter().filter(|exit| usize::from(exit.part) == part);
    own.filter_map(|exit| Some((exit, exit.policy?)))
        .find_map(|(exit, policy)| {
            let (name, tensor) = values.iter().find(|(name, _)| *name == exit.output)?;
            let classes = tensor.shape.last().map_or(1, |n| *n as usize);
            let answers = tensor.dtype == DType::F32 && answers(&policy, &floats(tensor.bytes), classes);
            answers.then_some(*name)
        })
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.chunks_exact(4);
    words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn the_measures_of_an_even_and_of_a_certain_row() {
        let even = [3.0_f32; 4];
        assert!((sureness(ExitMeasure::Entropy, &even) - 4.0_f64.ln()).abs() < 1e-6);
        assert!((sureness(ExitMeasure::MaxProb, &even) - 0.25).abs() < 1e-12);
        assert!(sureness(ExitMeasure::Margin, &even).abs() < 1e-12);
        let certain = [0.0_f32, 1000.0, 0.0];
        assert!(sureness(ExitMeasure::Entropy, &certain).abs() < 1e-12);
        assert!((sureness(ExitMeasure::Margin, &certain) - 1.0).abs() < 1e-12);
        let probabilities = [0.7_f32, 0.2, 0.1];
        assert!((sureness(ExitMeasure::Margin, &probabilities) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn an_exit_is_taken_by_its_own_part_alone() {
        let exit = |part, threshold| Exit {
            output: "e".to_owned(),
            part,
            policy: Some(ExitPolicy {
                measure: ExitMeasure::MaxProb,
                threshold,
            }),
        };
        let bytes: Vec<u8> = [9.0_f32, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let values = [("e", TensorRef::new(DType::F32, &[1, 2], &bytes).unwrap())];
        assert_eq!(taken(&[exit(0, 0.9)], 0, &values), Some("e"));
        assert!(taken(&[exit(0, 0.9)], 1, &values).is_none());
        assert!(taken(&[exit(0, 1.1)], 0, &values).is_none());
        assert!(
            taken(
                &[Exit {
                    policy: None,
                    ..exit(0, 0.0)
                }],
                0,
                &values
            )
            .is_none()
        );
    }

    #[test]
    fn nan_never_answers_and_one_unsure_row_holds_the_batch() {
        let policy = |measure, threshold| ExitPolicy { measure, threshold };
        for measure in [ExitMeasure::MaxProb, ExitMeasure::Margin] {
            assert!(!answers(&policy(measure, 0.0), &[f32::NAN, 1.0], 2));
        }
        assert!(!answers(&policy(ExitMeasure::Entropy, 10.0), &[f32::NAN, 1.0], 2));
        assert!(!answers(&policy(ExitMeasure::Entropy, 10.0), &[], 2));
        let sure = policy(ExitMeasure::MaxProb, 0.9);
        assert!(answers(&sure, &[9.0, 0.0, 0.0, 9.0], 2));
        assert!(!answers(&sure, &[9.0, 0.0, 1.0, 1.0], 2));
    }
}
