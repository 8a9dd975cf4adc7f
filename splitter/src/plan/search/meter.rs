//! Adds up one kind of price while nodes are placed and taken back.

use super::Objective;
use crate::plan::network::{Network, Price, Prices};

/// Adds up one kind of price.
pub(super) struct Meter<'a> {
    pub(super) prices: &'a Prices,
    pub(super) objective: Objective,
    /// A branch that reads this or more is left.
    pub(super) ceiling: Price,
    tier: Vec<Price>,
    link: Vec<Price>,
    /// The least that the nodes from each index on cost in sum, `[node]`.
    rest: Vec<Price>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(network: &Network, prices: &'a Prices, objective: Objective, ceiling: Price) -> Self {
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

    pub(super) fn add_node(&mut self, node: usize, tier: usize, sign: i8) {
        change(&mut self.tier[tier], self.prices.node[node][tier], sign);
    }

    pub(super) fn add_crossing(&mut self, value: usize, link: usize, sign: i8) {
        let crossing = self.prices.crossing[value][link];
        change(&mut self.tier[link], crossing.encode, sign);
        change(&mut self.link[link], crossing.transfer, sign);
        change(&mut self.tier[link + 1], crossing.decode, sign);
    }

    pub(super) fn add_links(&mut self, answer: usize) {
        for link in 0..answer {
            self.link[link] += self.prices.link[link];
        }
    }

    pub(super) fn reading(&self) -> Price {
        let all = self.tier.iter().chain(&self.link).copied();
        match self.objective {
            Objective::Sum => all.sum(),
            Objective::Slowest => all.max().unwrap_or(0),
        }
    }

    /// The least that this branch can come to.
    pub(super) fn bound(&self, next: usize, answer: usize) -> Price {
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
