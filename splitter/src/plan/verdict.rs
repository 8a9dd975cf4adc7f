//! The answer in one sentence.

use super::baseline::Baseline;
use super::document::{Alternative, Gain, Placement, Plan, PlannedCut};
use super::goal::Goal;

/// Most value names that a sentence lists.
const MOST_NAMES: usize = 3;

/// The answer in one sentence, "do not split" included.
pub fn sentence(plan: &Plan) -> String {
    let goal = plan.goal;
    let figure = amount(goal, plan.predicted.of_goal(goal));
    let proven = if plan.proven {
        ""
    } else {
        " (the best found; the search was stopped before it was proven)"
    };
    if plan.placement == Placement::Split {
        let at = cut_names(&plan.cuts);
        let gain = plan.gain.as_ref().map_or_else(
            || "; not cutting is ruled out by the constraints".to_owned(),
            |gain| {
                format!(
                    ", {} better than {} ({})",
                    amount(goal, gain.amount),
                    gain.over.describe(),
                    interval(goal, gain)
                )
            },
        );
        return format!("Cut at {at}: {figure}{gain}{proven}.");
    }
    let how = match plan.placement {
        Placement::EdgeOnly => "run all of it on the device",
        Placement::CloudPhoto => "send the photo as it came, run all of it in the cloud",
        Placement::CloudRaw | Placement::Split => "send the input as a tensor, run all of it in the cloud",
    };
    format!("Do not split: {how}, {figure}{}{proven}.", not_taken(plan))
}

fn not_taken(plan: &Plan) -> String {
    let goal = plan.goal;
    match (&plan.best_cut, &plan.gain) {
        (Some(cut), Some(gain)) => format!(
            "; the best cut, at {}, is no better within what was measured ({})",
            cut_names(&cut.cuts),
            interval(goal, gain)
        ),
        (Some(cut), None) => format!(
            "; the best cut, at {}, would take {}",
            cut_names(&cut.cuts),
            amount(goal, cut.outcome.of_goal(goal))
        ),
        (None, _) => String::new(),
    }
}

fn interval(goal: Goal, gain: &Gain) -> String {
    let [low, high] = gain.interval;
    format!("95 %: {} … {}", number(goal, low), amount(goal, high))
}

/// The values of a plan's cuts, as a sentence names them.
pub fn cut_names(cuts: &[PlannedCut]) -> String {
    let each = |cut: &PlannedCut| {
        let mut names: Vec<String> = cut
            .values
            .iter()
            .take(MOST_NAMES)
            .map(|name| format!("`{name}`"))
            .collect();
        if cut.values.len() > MOST_NAMES {
            names.push(format!("{} more values", cut.values.len() - MOST_NAMES));
        }
        names.join(" + ")
    };
    cuts.iter().map(each).collect::<Vec<_>>().join(", then at ")
}

/// A figure of a goal with its unit.
pub fn amount(goal: Goal, figure: f64) -> String {
    let text = number(goal, figure);
    match goal {
        Goal::Latency => format!("{text} ms"),
        Goal::Throughput => format!("{text} ms a frame"),
        Goal::Energy => format!("{text} J a frame"),
        Goal::Bytes => format!("{text} bytes a frame"),
        Goal::Money => format!("{text} a million frames"),
    }
}

fn number(goal: Goal, figure: f64) -> String {
    match goal {
        Goal::Bytes => format!("{figure:.0}"),
        Goal::Money => format!("{:.2}", figure * 1e6),
        _ if figure.abs() >= 1_000.0 => format!("{figure:.0}"),
        _ if figure.abs() >= 10.0 => format!("{figure:.1}"),
        _ if figure.abs() >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// What a person calls an alternative.
pub fn describe(alternative: &Alternative) -> &'static str {
    alternative.baseline.map_or("cut", Baseline::describe)
}
