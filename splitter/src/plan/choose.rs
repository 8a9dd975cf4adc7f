//! The best choice for a goal under constraints, and the simple ones that it must be compared with.

use super::case::Case;
use super::goal::{EncodingChoice, Goal};
use super::mincut;
use super::network::{Network, PlanError, Prices};
use super::outcome::Choice;
use super::search::{self, Limit, Objective};

/// What the choice must keep to, beside the pins of the case.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Constraints {
    /// The latency that must not be exceeded, milliseconds.
    pub latency_ms: Option<f64>,
    /// The bytes that must not be exceeded.
    pub payload_bytes: Option<u64>,
    /// The device's energy that must not be exceeded, joules a frame.
    pub energy_j: Option<f64>,
}

/// The best choice, and whether it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Best {
    /// The choice.
    pub choice: Choice,
    /// False where a search was stopped by its bound.
    pub proven: bool,
}

/// The best choice over all legal cuts and all encodings.
///
/// Where prices add and nothing else binds it is one minimum cut, encodings included. Else every codec for all values
/// is searched in turn, and the mix that is cheapest under additive prices.
///
/// # Errors
/// When nothing fits the pins and constraints.
pub fn best(case: &Case, network: &Network, goal: Goal, constraints: &Constraints) -> Result<Best, PlanError> {
    let mixed = goal.cheapest_encodings(case);
    let prices = goal.prices(case, &mixed);
    let additive = mincut::cheapest(network, &prices)?.0;
    let start = Choice {
        tiers: additive,
        encodings: mixed,
    };
    let unlimited = *constraints == Constraints::default() && case.tiers.iter().all(|t| t.memory_bytes.is_none());
    if goal.objective() == Objective::Sum && unlimited {
        return Ok(Best {
            choice: start,
            proven: true,
        });
    }
    let mut policies = vec![start.encodings.clone()];
    policies.push(Goal::Latency.cheapest_encodings(case));
    policies.extend(case.codecs().into_iter().map(|codec| Goal::one_codec(case, codec)));
    policies.dedup();
    let searched = policies
        .into_iter()
        .map(|encodings| search_with(case, network, goal, constraints, encodings, &start.tiers));
    pick(searched)
}

fn pick(found: impl Iterator<Item = Result<(Best, u64), PlanError>>) -> Result<Best, PlanError> {
    let mut best: Option<(Best, u64)> = None;
    let mut refused = None;
    let mut proven = true;
    for result in found {
        match result {
            Ok(found) => {
                proven &= found.0.proven;
                if best.as_ref().is_none_or(|b| found.1 < b.1) {
                    best = Some(found);
                }
            }
            Err(why) => refused = Some(why),
        }
    }
    match (best, refused) {
        (Some((best, _)), _) => Ok(Best { proven, ..best }),
        (None, Some(why)) => Err(why),
        (None, None) => Err(PlanError::NoneFits("nothing was searched".into())),
    }
}

fn search_with(
    case: &Case,
    network: &Network,
    goal: Goal,
    constraints: &Constraints,
    encodings: EncodingChoice,
    start: &[usize],
) -> Result<(Best, u64), PlanError> {
    let prices = goal.prices(case, &encodings);
    let bounds = bounds(case, network, constraints, &encodings);
    let limits: Vec<Limit<'_>> = bounds.iter().map(Bound::limit).collect();
    let found = search::best(network, &prices, goal.objective(), &limits, Some(start))?;
    let choice = Choice {
        tiers: found.tiers,
        encodings,
    };
    let best = Best {
        choice,
        proven: found.proven,
    };
    Ok((best, found.price))
}

struct Bound {
    what: String,
    prices: Prices,
    most: u64,
}

impl Bound {
    fn limit(&self) -> Limit<'_> {
        Limit {
            what: &self.what,
            prices: &self.prices,
            objective: Objective::Sum,
            most: self.most,
        }
    }
}

/// True when a choice keeps to all constraints and memories.
pub fn fits(case: &Case, network: &Network, constraints: &Constraints, choice: &Choice) -> bool {
    bounds(case, network, constraints, &choice.encodings)
        .iter()
        .all(|bound| search::price(network, &bound.prices, Objective::Sum, &choice.tiers) <= bound.most)
}

fn bounds(case: &Case, network: &Network, constraints: &Constraints, encodings: &EncodingChoice) -> Vec<Bound> {
    let goals = [
        (Goal::Latency, constraints.latency_ms, "latency in ns"),
        (Goal::Bytes, constraints.payload_bytes.map(|b| b as f64), "bytes"),
        (Goal::Energy, constraints.energy_j, "energy in nJ"),
    ];
    let mut bounds: Vec<Bound> = goals
        .into_iter()
        .filter_map(|(goal, most, what)| {
            Some(Bound {
                what: what.into(),
                prices: goal.prices(case, encodings),
                most: goal.price(most?),
            })
        })
        .collect();
    for (tier, machine) in case.tiers.iter().enumerate() {
        let Some(most) = machine.memory_bytes else { continue };
        let mut prices = Prices::zero(network);
        for (price, node) in prices.node.iter_mut().zip(&case.nodes) {
            price[tier] = node.weight_bytes;
        }
        bounds.push(Bound {
            what: format!("bytes of weights on {}", machine.name),
            prices,
            most,
        });
    }
    bounds
}

/// One point of a front: no other choice is better under both goals.
pub type FrontPoint = (Choice, f64, f64);

/// All trade-offs between two goals, by the ε-constraint method (Haimes 1971): the best for the second goal within a bound on
/// the first, the bound tightened below each point found. Ordered by the first goal, best first.
///
/// # Errors
/// When nothing fits the case's pins.
pub fn front(case: &Case, network: &Network, first: Goal, second: Goal) -> Result<Vec<FrontPoint>, PlanError> {
    let encodings = first.cheapest_encodings(case);
    let (cost, other) = (first.prices(case, &encodings), second.prices(case, &encodings));
    let mut points = Vec::new();
    let mut most = u64::MAX - 1;
    while points.len() < super::limits::MAX_FRONT {
        let bound = |prices, objective, most| Limit {
            what: "the other goal",
            prices,
            objective,
            most,
        };
        let limits = [bound(&cost, first.objective(), most)];
        let Ok(least) = search::best(network, &other, second.objective(), &limits, None) else {
            break;
        };
        // Of all that are as good under the second goal, the best under the first.
        let limits = [bound(&other, second.objective(), least.price)];
        let found = search::best(network, &cost, first.objective(), &limits, Some(&least.tiers))?;
        let amounts = (found.price as f64 * first.unit(), least.price as f64 * second.unit());
        let choice = Choice {
            tiers: found.tiers,
            encodings: encodings.clone(),
        };
        points.push((choice, amounts.0, amounts.1));
        let Some(tighter) = found.price.checked_sub(1) else {
            break;
        };
        most = tighter;
    }
    points.reverse();
    Ok(points)
}
