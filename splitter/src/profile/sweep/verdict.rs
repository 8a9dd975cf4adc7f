//! What a table says is best.

use std::collections::BTreeMap;

use kerf_wire::profile::Sample;

use super::{Row, Sweep, Way};

/// What a table says is best, with a tail that stays up and with a job for each call.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepVerdict {
    /// The answer in one sentence.
    pub sentence: String,
    /// True where a split is the best.
    pub split: bool,
    /// The best split's value, also where it is not taken; empty where the table has none.
    pub best_value: String,
    /// Median of the best split.
    pub split_ms: Option<f64>,
    /// Median of the best way not to split.
    pub whole_ms: Option<f64>,
    /// The same answer where each call starts a job; none where the table has no jobs.
    pub with_job: Option<Box<SweepVerdict>>,
}

/// What a table says is best.
pub fn verdict(sweep: &Sweep) -> SweepVerdict {
    let mut resident = answer(&sweep.rows, Row::total_ms, "");
    if sweep.rows.iter().any(|row| row.job_ms > 0.0) {
        let job = answer(&sweep.rows, Row::total_with_job_ms, " with a job started for each call");
        resident.with_job = Some(Box::new(job));
    }
    resident
}

/// Totals by repetition.
type Runs = BTreeMap<u32, f64>;

fn answer(rows: &[Row], total: fn(&Row) -> f64, how: &str) -> SweepVerdict {
    let mut ways: Vec<(Way, &str, Runs)> = Vec::new();
    // A table of layers alone has rows, but none of them was a run.
    for row in rows.iter().filter(|row| total(row) > 0.0) {
        let found = ways
            .iter_mut()
            .find(|(way, value, _)| *way == row.way && *value == row.value);
        match found {
            Some((_, _, runs)) => drop(runs.insert(row.repetition, total(row))),
            None => ways.push((row.way, &row.value, Runs::from([(row.repetition, total(row))]))),
        }
    }
    let best = |split: bool| {
        let candidates = ways.iter().filter(|(way, _, _)| (*way == Way::Split) == split);
        candidates.min_by(|a, b| median(&a.2).total_cmp(&median(&b.2)))
    };
    let (split, whole) = (best(true), best(false));
    let gain = split.zip(whole).map(|(split, whole)| difference(&whole.2, &split.2));
    // A difference that its own interval does not hold apart from nothing is no reason to cut.
    let pays = gain.is_none_or(|gain| gain.median > 0.0 && (gain.runs < 2 || gain.low > 0.0));
    let taken = split.is_some() && pays;
    SweepVerdict {
        sentence: sentence(split, whole, gain, taken, how),
        split: taken,
        best_value: split.map_or_else(String::new, |s| s.1.to_owned()),
        split_ms: split.map(|s| median(&s.2)),
        whole_ms: whole.map(|w| median(&w.2)),
        with_job: None,
    }
}

fn sentence(
    split: Option<&(Way, &str, Runs)>,
    whole: Option<&(Way, &str, Runs)>,
    gain: Option<Sample>,
    taken: bool,
    how: &str,
) -> String {
    let place = |way: Way| if way == Way::Edge { "edge only" } else { "cloud only" };
    let interval = gain.filter(|gain| gain.runs > 1).map_or_else(String::new, |gain| {
        format!(" (95 %: {} … {})", amount(gain.low), amount(gain.high))
    });
    match (split, whole) {
        (Some(split), Some(whole)) if taken => format!(
            "Cut at `{}`{how}: {}, {} better than {}{interval}.",
            split.1,
            amount(median(&split.2)),
            amount(gain.map_or(0.0, |g| g.median)),
            place(whole.0),
        ),
        (Some(split), Some(whole)) => format!(
            "Do not split{how}: {} takes {}; the best split, at `{}`, takes {}{}.",
            place(whole.0),
            amount(median(&whole.2)),
            split.1,
            amount(median(&split.2)),
            if gain.is_some_and(|g| g.median > 0.0) {
                ", no better within what was measured"
            } else {
                ""
            },
        ),
        (Some(split), None) => format!(
            "Cut at `{}`{how}: {}; the table has no run of the whole model.",
            split.1,
            amount(median(&split.2))
        ),
        (None, Some(whole)) => format!(
            "Do not split{how}: {} takes {}; the table has no split.",
            place(whole.0),
            amount(median(&whole.2))
        ),
        (None, None) => "The table has no run of the model, only layers alone.".to_owned(),
    }
}

fn amount(ms: f64) -> String {
    crate::plan::verdict::amount(crate::plan::Goal::Latency, ms)
}

fn median(runs: &Runs) -> f64 {
    Sample::of(&runs.values().copied().collect::<Vec<_>>()).median
}

/// How much longer `a` takes than `b`, repetition for repetition. A repetition that one of them lacks does not count.
fn difference(a: &Runs, b: &Runs) -> Sample {
    let pairs = a.iter().filter_map(|(repetition, a)| Some(a - b.get(repetition)?));
    Sample::of(&pairs.collect::<Vec<_>>())
}
