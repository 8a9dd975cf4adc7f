//! A plan as text.

use std::fmt::Write as _;

use super::super::table::{bytes, ms, table};
use crate::plan::Plan;
use crate::plan::baseline::Baseline;
use crate::plan::document::{Alternative, Placement, PlannedCut, Range};
use crate::plan::goal::Goal;
use crate::plan::outcome::Outcome;
use crate::plan::verdict::{amount, cut_names};

/// The verdict, what it is compared with, and where it changes.
pub(super) fn text(plan: &Plan) -> String {
    let mut text = format!("{}\n\n", plan.verdict);
    text += &ways(plan);
    let ranges = [
        ("SPEED OF THE LINK", &plan.uplink_kbit_s_ranges, "kbit/s"),
        ("RTT", &plan.rtt_ms_ranges, "ms"),
    ];
    for (title, ranges, unit) in ranges {
        if !ranges.is_empty() {
            text += "\n";
            text += &range_table(plan.goal, title, ranges, unit);
        }
    }
    if let Some(front) = &plan.front {
        let _infallible = writeln!(text, "\nTrade-offs of {:?} and {:?}:", plan.goal, front.against);
        let rows: Vec<[String; 3]> = front
            .points
            .iter()
            .map(|point| {
                let of = |goal: Goal| amount(goal, point.outcome.of_goal(goal));
                [names(&point.cuts), of(plan.goal), of(front.against)]
            })
            .collect();
        text += &table(["CUT AT", "GOAL", "AGAINST"], &rows, 1);
    }
    for note in &plan.assumptions.notes {
        let _infallible = write!(text, "\nNote: {note}.");
    }
    text.trim_end().to_owned() + "\n"
}

fn ways(plan: &Plan) -> String {
    let planned = Alternative {
        baseline: None,
        cuts: plan.cuts.clone(),
        outcome: plan.predicted.clone(),
    };
    let mut rows = vec![way("planned", &planned)];
    for other in &plan.baselines {
        rows.push(way(other.baseline.map_or("", Baseline::describe), other));
    }
    if let Some(cut) = &plan.best_cut {
        rows.push(way("best cut, not taken", cut));
    }
    let unit = plan.goal.unit_name();
    let rows: Vec<[String; 8]> = rows
        .into_iter()
        .map(|(name, at, outcome)| {
            let stages: Vec<String> = outcome.stage_ms.iter().map(|t| ms(*t)).collect();
            let goal = match plan.goal {
                Goal::Latency => String::new(),
                goal => amount(goal, outcome.of_goal(goal)),
            };
            [
                name,
                at,
                ms(outcome.latency_ms),
                format!(
                    "± {}",
                    ms((outcome.latency_ms_interval[1] - outcome.latency_ms_interval[0]) / 2.0)
                ),
                stages.join(" + "),
                ms(outcome.link_ms.iter().sum()),
                bytes(outcome.payload_bytes),
                goal,
            ]
        })
        .collect();
    let last = if plan.goal == Goal::Latency { "" } else { unit };
    table(
        ["WAY", "AT", "MS", "", "ON EACH MACHINE", "LINK", "SENT", last],
        &rows,
        2,
    )
}

fn way(name: &str, alternative: &Alternative) -> (String, String, Outcome) {
    (name.to_owned(), names(&alternative.cuts), alternative.outcome.clone())
}

fn names(cuts: &[PlannedCut]) -> String {
    if cuts.is_empty() {
        return "–".to_owned();
    }
    let codecs: Vec<&str> = cuts
        .iter()
        .flat_map(|cut| cut.codecs.values().map(String::as_str))
        .collect();
    let codec = codecs.first().map_or_else(String::new, |codec| format!(" as {codec}"));
    format!("{}{codec}", cut_names(cuts).replace('`', ""))
}

fn range_table(goal: Goal, title: &str, ranges: &[Range], unit: &str) -> String {
    let rows: Vec<[String; 4]> = ranges
        .iter()
        .map(|range| {
            let best = match range.placement {
                Placement::EdgeOnly => "do not split: device only".to_owned(),
                Placement::CloudRaw => format!("do not split: send {}", names(&range.cuts)),
                Placement::CloudPhoto => "do not split: send the photo".to_owned(),
                Placement::Split => format!("cut at {}", names(&range.cuts)),
            };
            [
                format!("{} … {} {unit}", figure(range.from), figure(range.to)),
                best,
                amount(goal, range.at_from),
                amount(goal, range.at_to),
            ]
        })
        .collect();
    table([title, "BEST", "FROM", "TO"], &rows, 2)
}

/// A limit of a range with three significant digits.
fn figure(value: f64) -> String {
    if value <= 0.0 {
        return "0".to_owned();
    }
    let digits = 2.0 - value.log10().floor();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 … 6"
    )]
    let decimals = digits.clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}
