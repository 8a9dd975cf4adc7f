//! What becomes of a model's answers when a converted part stands in for one of its own.

use kerf_runtime::tensor::Tensor;
use kerf_wire::manifest::Answers;

use super::samples::Values;
use crate::verify::{Difference, argmax, numbers};

/// The lead in probability from which on the model is sure of its class: what noise moves below it, other noise would too.
const SURE: f64 = 0.1;

/// Compares what the chain answers to each sample with what it should.
pub(super) fn compare(got: &[Values], wanted: &[Values]) -> Answers {
    let mut all = Difference::default();
    let (mut of, mut agree, mut sure_of, mut sure_agree) = (0, 0, 0, 0);
    for (got, wanted) in got.iter().zip(wanted) {
        for (name, wanted) in wanted {
            let found = got.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor);
            all.add(name, found, wanted, 0.0);
            for (want, got) in rows(wanted).iter().zip(found.map(rows).unwrap_or_default()) {
                let same = u32::from(argmax(want) == argmax(&got));
                let is_sure = u32::from(lead(want) >= SURE);
                of += 1;
                agree += same;
                sure_of += is_sure;
                sure_agree += is_sure * same;
            }
        }
    }
    Answers {
        difference_rms: all.rms(),
        of,
        agree,
        sure_of,
        sure_agree,
    }
}

/// The rows of classes of an output; none of a map or an image, whose rows are no classes.
fn rows(output: &Tensor) -> Vec<Vec<f64>> {
    let classes = output
        .shape()
        .last()
        .and_then(|n| usize::try_from(*n).ok())
        .unwrap_or(0);
    if output.shape().len() > 2 || classes < 2 || !output.dtype().is_float() {
        return Vec::new();
    }
    numbers(output).chunks_exact(classes).map(<[f64]>::to_vec).collect()
}

/// By how much the first class leads the second, as probabilities: what is none yet goes through a softmax.
fn lead(row: &[f64]) -> f64 {
    let sum: f64 = row.iter().sum();
    let are_probabilities = (sum - 1.0).abs() < 1e-3 && row.iter().all(|x| (0.0..=1.0).contains(x));
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |x: &f64| if are_probabilities { *x } else { (x - largest).exp() };
    let mut weights: Vec<f64> = row.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights.sort_by(|a, b| b.total_cmp(a));
    match weights.as_slice() {
        [first, second, ..] => (first - second) / total,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn values(shape: &[u32], data: &[f32]) -> Vec<Values> {
        vec![vec![("y".to_owned(), Tensor::from_f32(shape, data).unwrap())]]
    }

    #[test]
    fn a_class_that_hardly_leads_is_not_counted_among_the_sure() {
        // Logits: the first row leads by e⁰·⁰⁵, the second by e⁵.
        let wanted = values(&[2, 2], &[0.05, 0.0, 5.0, 0.0]);
        let flipped = compare(&values(&[2, 2], &[0.0, 0.05, 5.0, 0.0]), &wanted);
        assert_eq!(
            (flipped.of, flipped.agree, flipped.sure_of, flipped.sure_agree),
            (2, 1, 1, 1)
        );
        let wrong = compare(&values(&[2, 2], &[0.05, 0.0, 0.0, 5.0]), &wanted);
        assert_eq!((wrong.agree, wrong.sure_agree), (1, 0));
    }

    #[test]
    fn probabilities_are_taken_as_they_are() {
        assert!((lead(&[0.2, 0.55, 0.25]) - 0.3).abs() < 1e-12);
        assert!(lead(&[0.2, 0.9, 0.25]) < 0.3);
        assert!(lead(&[f64::NAN, 0.0]).is_nan());
    }

    #[test]
    fn an_image_has_no_classes_and_a_missing_output_is_all_wrong() {
        let image = values(&[1, 1, 2], &[1.0, 2.0]);
        let answers = compare(&image, &image);
        assert_eq!((answers.of, answers.sure_of), (0, 0));
        assert!(compare(&[Values::new()], &image).difference_rms > 1e9);
    }
}
