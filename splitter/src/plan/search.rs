//! The best assignment where prices do not add: throughput (the slowest stage or link), limits on memory, a second goal held below a bound.
//!
//! Walks the nodes in order, tries every tier that is legal, and leaves a branch as soon as what is already paid, plus
//! the least that the rest must cost, is no better than the best found: exact, and finite. The number of legal cuts of
//! a chain is small, that of many parallel branches is not, so the steps are bounded; past the bound the best found is
//! given and marked as not proven.

mod meter;
mod walk;

use meter::Meter;
use walk::Walk;

use super::limits::MAX_SEARCH_STEPS;
use super::network::{Assignment, Network, PlanError, Price, Prices};

/// How prices become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// All of them together: latency, energy, bytes, money.
    Sum,
    /// The largest of the tiers and links, each by itself: the time between two frames of a full pipeline.
    Slowest,
}

/// A second price that must not exceed a bound.
#[derive(Debug, Clone, Copy)]
pub struct Limit<'a> {
    /// What is bounded, for the error.
    pub what: &'a str,
    /// Its prices.
    pub prices: &'a Prices,
    /// How they are put together.
    pub objective: Objective,
    /// The most that is allowed.
    pub most: Price,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The tier of each node.
    pub tiers: Assignment,
    /// Its price under the objective.
    pub price: Price,
    /// False where the search was stopped by its bound.
    pub proven: bool,
}

/// The best assignment within all limits. `start`, where given and within the limits, is the one to beat.
///
/// # Errors
/// When network and prices do not fit together, or no assignment is within the limits (or none was found within the
/// bound on steps: the text says which).
pub fn best(
    network: &Network,
    prices: &Prices,
    objective: Objective,
    limits: &[Limit<'_>],
    start: Option<&[usize]>,
) -> Result<Found, PlanError> {
    best_within(network, prices, objective, limits, start, MAX_SEARCH_STEPS)
}

/// As [`best`], with a bound on steps of the caller's.
///
/// # Errors
/// As [`best`].
pub fn best_within(
    network: &Network,
    prices: &Prices,
    objective: Objective,
    limits: &[Limit<'_>],
    start: Option<&[usize]>,
    most_steps: u64,
) -> Result<Found, PlanError> {
    network.check(prices)?;
    let mut meters = vec![Meter::new(network, prices, objective, Price::MAX)];
    for limit in limits {
        network.check(limit.prices)?;
        let above = limit.most.saturating_add(1);
        meters.push(Meter::new(network, limit.prices, limit.objective, above));
    }
    let mut walk = Walk::new(network, meters);
    if let Some(start) = start.filter(|start| network.allows(start)) {
        walk.take_if_better(start);
    }
    let proven = walk.run(most_steps);
    match walk.best {
        Some((tiers, price)) => Ok(Found { tiers, price, proven }),
        None if proven => Err(PlanError::NoneFits(limits_text(limits))),
        None => Err(PlanError::NoneFits(format!(
            "none was found within {most_steps} steps of search, {}",
            limits_text(limits)
        ))),
    }
}

fn limits_text(limits: &[Limit<'_>]) -> String {
    let each: Vec<String> = limits
        .iter()
        .map(|l| format!("{} at most {}", l.what, l.most))
        .collect();
    if each.is_empty() {
        "the pins contradict each other".into()
    } else {
        each.join(", ")
    }
}

/// The price of an assignment under an objective.
pub fn price(network: &Network, prices: &Prices, objective: Objective, tiers: &[usize]) -> Price {
    let mut meter = Meter::new(network, prices, objective, Price::MAX);
    for (node, &tier) in tiers.iter().enumerate() {
        meter.add_node(node, tier, 1);
    }
    for (link, values) in network.crossings(tiers).iter().enumerate() {
        for &value in values {
            meter.add_crossing(value, link, 1);
        }
    }
    meter.add_links(network.answer_tier(tiers));
    meter.reading()
}
