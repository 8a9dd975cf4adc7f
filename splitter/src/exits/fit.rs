//! Exit rate against accuracy, and the threshold that meets a target.

use kerf_wire::manifest::ExitMeasure;

/// What one labelled input gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answered {
    /// The exit's sureness, in the measure's unit.
    pub sureness: f64,
    /// True when the exit's best class is the label.
    pub exit_right: bool,
    /// True when the last output's best class is the label.
    pub last_right: bool,
}

/// What a threshold gives.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Point {
    /// The threshold.
    pub threshold: f64,
    /// Share of inputs that the exit answers.
    pub exit_rate: f64,
    /// Share of right answers over all inputs, the exit's and the last output's together.
    pub accuracy: f64,
    /// Share of right answers among those that the exit gave; none where it gave none.
    pub exit_accuracy: Option<f64>,
}

/// The point of one threshold.
fn point(answers: &[Answered], measure: ExitMeasure, threshold: f64) -> Point {
    let exits = |a: &Answered| match measure {
        ExitMeasure::Entropy => a.sureness <= threshold,
        ExitMeasure::MaxProb | ExitMeasure::Margin => a.sureness >= threshold,
    };
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let exited = answers.iter().filter(|a| exits(a)).count();
    let exit_right = answers.iter().filter(|a| exits(a) && a.exit_right).count();
    let last_right = answers.iter().filter(|a| !exits(a) && a.last_right).count();
    Point {
        threshold,
        exit_rate: share(exited, answers.len()),
        accuracy: share(exit_right + last_right, answers.len()),
        exit_accuracy: (exited > 0).then(|| share(exit_right, exited)),
    }
}

/// The points of these thresholds.
pub fn curve(answers: &[Answered], measure: ExitMeasure, thresholds: &[f64]) -> Vec<Point> {
    thresholds
        .iter()
        .map(|threshold| point(answers, measure, *threshold))
        .collect()
}

/// The threshold with the most exits among those whose accuracy is at least `accuracy`; none where none is.
///
/// Every sureness that was seen is a candidate, so that the fit is exact on these inputs.
pub fn fit(answers: &[Answered], measure: ExitMeasure, accuracy: f64) -> Option<Point> {
    let mut order: Vec<&Answered> = answers.iter().filter(|a| a.sureness.is_finite()).collect();
    // The surest first: each step lets one more input exit.
    order.sort_by(|a, b| match measure {
        ExitMeasure::Entropy => a.sureness.total_cmp(&b.sureness),
        ExitMeasure::MaxProb | ExitMeasure::Margin => b.sureness.total_cmp(&a.sureness),
    });
    let mut right = answers.iter().filter(|a| a.last_right).count();
    let mut best = None;
    for (index, answer) in order.iter().enumerate() {
        right = right + usize::from(answer.exit_right) - usize::from(answer.last_right);
        let ties_go_on = order
            .get(index + 1)
            .is_some_and(|next| next.sureness.total_cmp(&answer.sureness).is_eq());
        if !ties_go_on && right as f64 / answers.len() as f64 >= accuracy {
            best = Some(answer.sureness);
        }
    }
    best.map(|threshold| point(answers, measure, threshold))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    fn answers() -> Vec<Answered> {
        // Entropies 0.1 … 0.9; the exit errs from 0.7 on, the last output once at 0.2.
        (1..10_u8)
            .map(|i| Answered {
                sureness: f64::from(i) / 10.0,
                exit_right: i < 7,
                last_right: i != 2,
            })
            .collect()
    }

    #[test]
    fn the_fit_exits_as_often_as_the_target_allows() {
        let answers = answers();
        let all_right = fit(&answers, ExitMeasure::Entropy, 1.0).unwrap();
        assert!((all_right.threshold - 0.6).abs() < 1e-12, "{all_right:?}");
        assert!((all_right.exit_rate - 6.0 / 9.0).abs() < 1e-12);
        let one_wrong = fit(&answers, ExitMeasure::Entropy, 8.0 / 9.0).unwrap();
        assert!((one_wrong.threshold - 0.7).abs() < 1e-12);
        assert!(fit(&answers, ExitMeasure::Entropy, 1.1).is_none());
    }

    #[test]
    fn a_threshold_that_no_input_meets_gives_the_last_output() {
        let none = curve(&answers(), ExitMeasure::Entropy, &[0.0])[0];
        assert!(none.exit_rate == 0.0 && none.exit_accuracy.is_none());
        assert!((none.accuracy - 8.0 / 9.0).abs() < 1e-12);
    }
}
