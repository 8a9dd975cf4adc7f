//! The best assignment where prices do not add: throughput (the slowest stage or link), limits on memory, a second goal held below a bound.
//!
//! Walks the nodes in order, tries every tier that is legal, and leaves a branch as soon as what is already paid, plus
//! the least that the rest must cost, is no better than the best found: exact, and finite. The number of legal cuts of
//! a chain is small, that of many parallel branches is not, so the steps are bounded; past the bound the best found is
//! given and marked as not proven.

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

/// Adds up one kind of price.
struct Meter<'a> {
    prices: &'a Prices,
    objective: Objective,
    /// A branch that reads this or more is left.
    ceiling: Price,
    tier: Vec<Price>,
    link: Vec<Price>,
    /// The least that the nodes from each index on cost in sum, `[node]`.
    rest: Vec<Price>,
}

impl<'a> Meter<'a> {
    fn new(network: &Network, prices: &'a Prices, objective: Objective, ceiling: Price) -> Self {
        let mut rest = vec![0; network.nodes.len() + 1];
        for (index, node) in network.nodes.iter().enumerate().rev() {
            let least = prices.node[index][node.lowest..=node.highest].iter().min();
            rest[index] = rest[index + 1] + least.copied().unwrap_or(0);
        }
        Self {
            prices,
            objective,
            ceiling,
            tier: vec![0; network.tiers],
            link: vec![0; network.tiers - 1],
            rest,
        }
    }

    fn add_node(&mut self, node: usize, tier: usize, sign: i8) {
        change(&mut self.tier[tier], self.prices.node[node][tier], sign);
    }

    fn add_crossing(&mut self, value: usize, link: usize, sign: i8) {
        let crossing = self.prices.crossing[value][link];
        change(&mut self.tier[link], crossing.encode, sign);
        change(&mut self.link[link], crossing.transfer, sign);
        change(&mut self.tier[link + 1], crossing.decode, sign);
    }

    fn add_links(&mut self, answer: usize) {
        for link in 0..answer {
            self.link[link] += self.prices.link[link];
        }
    }

    fn reading(&self) -> Price {
        let all = self.tier.iter().chain(&self.link).copied();
        match self.objective {
            Objective::Sum => all.sum(),
            Objective::Slowest => all.max().unwrap_or(0),
        }
    }

    /// The least that this branch can come to.
    fn bound(&self, next: usize, answer: usize) -> Price {
        let fixed = &self.prices.link[..answer];
        match self.objective {
            Objective::Sum => self.reading() + fixed.iter().sum::<Price>() + self.rest[next],
            Objective::Slowest => {
                let links = self.link.iter().zip(fixed).map(|(paid, fixed)| paid + fixed).max();
                // Stages share the rest at best evenly.
                let all: Price = self.tier.iter().sum::<Price>() + self.rest[next];
                let even = all.div_ceil(self.tier.len() as Price);
                self.reading().max(links.unwrap_or(0)).max(even)
            }
        }
    }
}

fn change(total: &mut Price, by: Price, sign: i8) {
    if sign > 0 {
        *total += by;
    } else {
        *total -= by;
    }
}

/// A walk through all legal assignments, with explicit state: no recursion, networks are deep.
struct Walk<'a> {
    network: &'a Network,
    meters: Vec<Meter<'a>>,
    /// Values that each node reads.
    reads: Vec<Vec<usize>>,
    /// Values that each node makes.
    makes: Vec<Vec<usize>>,
    /// Output values, by their producers.
    outputs: Vec<usize>,
    tiers: Assignment,
    /// The tier up to which each value travels so far; of values that are made.
    reach: Vec<usize>,
    /// The highest tier in use before each node.
    highest: Vec<usize>,
    /// For each placed node, the reaches to restore.
    undo: Vec<Vec<(usize, usize)>>,
    best: Option<(Assignment, Price)>,
}

impl<'a> Walk<'a> {
    fn new(network: &'a Network, meters: Vec<Meter<'a>>) -> Self {
        let n = network.nodes.len();
        let mut reads = vec![Vec::new(); n];
        let mut makes = vec![Vec::new(); n];
        for (index, value) in network.values.iter().enumerate() {
            makes[value.producer].push(index);
            for &reader in &value.readers {
                reads[reader].push(index);
            }
        }
        let mut outputs: Vec<usize> = (0..network.values.len())
            .filter(|&v| network.values[v].output)
            .collect();
        outputs.sort_by_key(|&value| network.values[value].producer);
        Self {
            network,
            meters,
            reads,
            makes,
            outputs,
            tiers: Vec::with_capacity(n),
            reach: vec![0; network.values.len()],
            highest: vec![network.answer_from],
            undo: Vec::with_capacity(n),
            best: None,
        }
    }

    /// True when every branch was walked or left with reason.
    fn run(&mut self, most_steps: u64) -> bool {
        let mut try_next = vec![self.lowest(0)];
        let mut steps = 0;
        while let Some(tier) = try_next.last_mut() {
            let node = self.tiers.len();
            let candidate = *tier;
            *tier += 1;
            if node == self.network.nodes.len() || candidate > self.network.nodes[node].highest {
                if node == self.network.nodes.len() {
                    self.finish();
                }
                try_next.pop();
                if !self.tiers.is_empty() {
                    self.take_back();
                }
                continue;
            }
            steps += 1;
            if steps > most_steps {
                return false;
            }
            if self.place(node, candidate) {
                try_next.push(self.lowest(node + 1));
            } else {
                self.take_back();
            }
        }
        true
    }

    fn lowest(&self, node: usize) -> usize {
        let Some(limits) = self.network.nodes.get(node) else {
            return 0;
        };
        let inputs = self.reads[node]
            .iter()
            .map(|&value| self.network.values[value].producer);
        inputs
            .map(|producer| self.tiers[producer])
            .fold(limits.lowest, usize::max)
    }

    /// Puts the next node on a tier; false when this branch cannot lead to anything better. Always undone by `take_back`.
    fn place(&mut self, node: usize, tier: usize) -> bool {
        self.tiers.push(tier);
        self.undo.push(Vec::new());
        self.meters.iter_mut().for_each(|meter| meter.add_node(node, tier, 1));
        let answer = self.highest[node].max(tier);
        self.highest.push(answer);
        for &value in &self.makes[node] {
            self.reach[value] = tier;
        }
        let mut legal = true;
        for i in 0..self.reads[node].len() {
            legal &= self.extend(self.reads[node][i], tier);
        }
        for i in 0..self.outputs.len() {
            let value = self.outputs[i];
            if self.network.values[value].producer > node {
                break;
            }
            legal &= self.extend(value, answer);
        }
        legal
            && self
                .meters
                .iter()
                .all(|meter| meter.bound(node + 1, answer) < meter.ceiling)
    }

    /// A value must reach a tier; false when it may not.
    fn extend(&mut self, value: usize, tier: usize) -> bool {
        let from = self.reach[value];
        if tier <= from {
            return true;
        }
        if let Some(undo) = self.undo.last_mut() {
            undo.push((value, from));
        }
        for link in from..tier {
            self.meters
                .iter_mut()
                .for_each(|meter| meter.add_crossing(value, link, 1));
        }
        self.reach[value] = tier;
        self.network.values[value].may_cross
    }

    fn take_back(&mut self) {
        let (Some(tier), Some(undo)) = (self.tiers.pop(), self.undo.pop()) else {
            return;
        };
        self.highest.pop();
        for (value, before) in undo.into_iter().rev() {
            for link in before..self.reach[value] {
                self.meters
                    .iter_mut()
                    .for_each(|meter| meter.add_crossing(value, link, -1));
            }
            self.reach[value] = before;
        }
        let node = self.tiers.len();
        self.meters.iter_mut().for_each(|meter| meter.add_node(node, tier, -1));
    }

    fn finish(&mut self) {
        let tiers = self.tiers.clone();
        self.take_if_better(&tiers);
    }

    fn take_if_better(&mut self, tiers: &[usize]) {
        let network = self.network;
        let reading = |meter: &Meter<'_>| price(network, meter.prices, meter.objective, tiers);
        let within = self.meters.iter().all(|meter| reading(meter) < meter.ceiling);
        if let Some(goal) = self.meters.first_mut().filter(|_| within) {
            goal.ceiling = price(network, goal.prices, goal.objective, tiers);
            self.best = Some((tiers.to_vec(), goal.ceiling));
        }
    }
}
