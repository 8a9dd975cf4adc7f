//! Walks through all legal assignments.

use super::meter::Meter;
use super::price;
use crate::plan::network::{Assignment, Network, Price};

/// A walk through all legal assignments, with explicit state: no recursion, networks are deep.
pub(super) struct Walk<'a> {
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
    pub(super) best: Option<(Assignment, Price)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(network: &'a Network, meters: Vec<Meter<'a>>) -> Self {
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
    pub(super) fn run(&mut self, most_steps: u64) -> bool {
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

    pub(super) fn take_if_better(&mut self, tiers: &[usize]) {
        let network = self.network;
        let reading = |meter: &Meter<'_>| price(network, meter.prices, meter.objective, tiers);
        let within = self.meters.iter().all(|meter| reading(meter) < meter.ceiling);
        if let Some(goal) = self.meters.first_mut().filter(|_| within) {
            goal.ceiling = price(network, goal.prices, goal.objective, tiers);
            self.best = Some((tiers.to_vec(), goal.ceiling));
        }
    }
}
