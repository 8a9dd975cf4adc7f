//! In which range of the first link's speed, or of its RTT, each cut is the best.

use super::case::Case;
use super::document::Range;
use super::envelope::{Line, Piece, envelope};
use super::goal::Goal;
use super::mincut;
use super::network::{Assignment, PlanError};
use super::outcome::{Choice, Outcome};
use super::planner::{cuts, placement};
use super::search::Objective;

/// The slowest and the fastest link that a table of ranges covers, kbit/s.
pub const UPLINK_KBIT_S: [f64; 2] = [10.0, 10_000_000.0];
/// The shortest and the longest RTT that a table of ranges covers, milliseconds.
pub const RTT_MS: [f64; 2] = [0.0, 10_000.0];

/// Which cut is the best at which speed; empty for goals whose prices do not add, and without a link.
///
/// # Errors
/// When nothing fits the case's pins.
pub fn over_uplink(case: &Case, goal: Goal) -> Result<Vec<Range>, PlanError> {
    // Prices are straight lines over milliseconds a bit, not over bits a millisecond.
    let slowness = UPLINK_KBIT_S.map(|kbit_s| 1.0 / kbit_s);
    let at = |case: &mut Case, ms_bit: f64| case.links[0].uplink_kbit_s = 1.0 / ms_bit;
    let mut ranges = over(case, goal, [slowness[1], slowness[0]], at)?;
    for range in &mut ranges {
        (range.from, range.to) = (1.0 / range.to, 1.0 / range.from);
        (range.at_from, range.at_to) = (range.at_to, range.at_from);
    }
    ranges.reverse();
    Ok(ranges)
}

/// Which cut is the best at which RTT; as [`over_uplink`].
///
/// # Errors
/// As [`over_uplink`].
pub fn over_rtt(case: &Case, goal: Goal) -> Result<Vec<Range>, PlanError> {
    over(case, goal, RTT_MS, |case, rtt_ms| case.links[0].rtt_ms = rtt_ms)
}

/// Every assignment that has the smallest latency at some speed of the link.
pub(super) fn choices(case: &Case) -> Vec<Assignment> {
    let slowness = UPLINK_KBIT_S.map(|kbit_s| 1.0 / kbit_s);
    let at = |case: &mut Case, ms_bit: f64| case.links[0].uplink_kbit_s = 1.0 / ms_bit;
    let found = pieces(case, Goal::Latency, [slowness[1], slowness[0]], at);
    found.map_or_else(
        |_| Vec::new(),
        |pieces| pieces.into_iter().map(|piece| piece.cut.tiers).collect(),
    )
}

fn over(case: &Case, goal: Goal, ends: [f64; 2], set: impl Fn(&mut Case, f64)) -> Result<Vec<Range>, PlanError> {
    if goal.objective() != Objective::Sum || case.links.is_empty() {
        return Ok(Vec::new());
    }
    let network = case.network();
    let range = |piece: &Piece<Choice>| Range {
        from: piece.from,
        to: piece.to,
        placement: placement(case, &network, &piece.cut),
        cuts: cuts(case, &network, &piece.cut),
        at_from: piece.line.at(piece.from),
        at_to: piece.line.at(piece.to),
    };
    Ok(pieces(case, goal, ends, set)?.iter().map(range).collect())
}

fn pieces(
    case: &Case,
    goal: Goal,
    ends: [f64; 2],
    set: impl Fn(&mut Case, f64),
) -> Result<Vec<Piece<Choice>>, PlanError> {
    let network = case.network();
    let mut case = case.clone();
    envelope(ends[0], ends[1], |x| {
        set(&mut case, x);
        let encodings = goal.cheapest_encodings(&case);
        let tiers = mincut::cheapest(&network, &goal.prices(&case, &encodings))?.0;
        let choice = Choice { tiers, encodings };
        let mut amount = |at: f64| {
            set(&mut case, at);
            Outcome::of(&case, &network, &choice).of_goal(goal)
        };
        let (left, right) = (amount(ends[0]), amount(ends[1]));
        let slope = (right - left) / (ends[1] - ends[0]);
        let base = left - slope * ends[0];
        Ok((choice, Line { base, slope }))
    })
}
