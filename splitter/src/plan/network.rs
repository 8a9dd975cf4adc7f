//! What is searched: nodes that run on one of several ordered tiers, and values between them that cost something to move on.
//!
//! Tier 0 is the device; data only ever moves to higher tiers, never back. A node may run where every value that it
//! reads has already been. A value pays once for each link that it passes, however many nodes read it behind. What
//! the network answers is gathered on the highest tier that runs anything: outputs made before travel there.
//!
//! Prices are integers in a unit of the caller's (nanoseconds, nanojoules, bytes …), so that two searches that are
//! both exact give the same number, not nearly the same.

use super::limits::{MAX_NODES, MAX_TIERS, MAX_TOTAL};

/// A price in the caller's unit.
pub type Price = u64;

/// Nodes, values and where they may be; no prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// How many tiers there are, at least one.
    pub tiers: usize,
    /// Nodes in an order in which each stands behind all that it reads from.
    pub nodes: Vec<Node>,
    /// Values between nodes.
    pub values: Vec<Value>,
    /// The lowest tier on which the answer is of use; 0 where any will do.
    pub answer_from: usize,
}

/// Where one node may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Lowest tier.
    pub lowest: usize,
    /// Highest tier.
    pub highest: usize,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The node that makes it.
    pub producer: usize,
    /// The nodes that read it, each once.
    pub readers: Vec<usize>,
    /// True for what the network answers.
    pub output: bool,
    /// False where it may not leave the tier that made it.
    pub may_cross: bool,
}

/// What everything costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    /// A node on each tier: `[node][tier]`.
    pub node: Vec<Vec<Price>>,
    /// A value over each link, link k between tiers k and k + 1: `[value][link]`.
    pub crossing: Vec<Vec<Crossing>>,
    /// Paid once for each link that is used at all: `[link]`.
    pub link: Vec<Price>,
}

/// What it costs to move one value over one link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crossing {
    /// On the tier before the link.
    pub encode: Price,
    /// On the link.
    pub transfer: Price,
    /// On the tier behind the link.
    pub decode: Price,
}

impl Crossing {
    /// All three.
    pub fn total(self) -> Price {
        self.encode + self.transfer + self.decode
    }
}

/// The tier of each node.
pub type Assignment = Vec<usize>;

/// Why a network cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The network or its prices do not fit together: a bug of the caller.
    #[error("the network is not well formed: {0}")]
    Malformed(String),
    /// A bound of [`super::limits`].
    #[error("{what}: expected at most {most}, got {got}")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: u64,
        /// What came.
        got: u64,
    },
    /// No assignment obeys all pins and constraints.
    #[error("no cut fits: {0}")]
    NoneFits(String),
}

impl Network {
    /// Refuses what is not a network in topological order, or is over a bound.
    ///
    /// # Errors
    /// Names the node or value.
    pub fn check(&self, prices: &Prices) -> Result<(), PlanError> {
        let malformed = |text: String| Err(PlanError::Malformed(text));
        over("tiers", self.tiers, MAX_TIERS)?;
        over("nodes", self.nodes.len(), MAX_NODES)?;
        if self.tiers == 0 || self.answer_from >= self.tiers {
            return malformed(format!("{} tiers, answer from tier {}", self.tiers, self.answer_from));
        }
        if prices.node.len() != self.nodes.len()
            || prices.crossing.len() != self.values.len()
            || prices.link.len() + 1 != self.tiers
        {
            return malformed("prices of another network".into());
        }
        for (index, (node, cost)) in self.nodes.iter().zip(&prices.node).enumerate() {
            if node.lowest > node.highest || node.highest >= self.tiers || cost.len() != self.tiers {
                return malformed(format!("node {index} has no tier"));
            }
        }
        for (index, (value, cost)) in self.values.iter().zip(&prices.crossing).enumerate() {
            let ordered = value
                .readers
                .iter()
                .all(|&reader| reader > value.producer && reader < self.nodes.len());
            if !ordered || value.producer >= self.nodes.len() || cost.len() + 1 != self.tiers {
                return malformed(format!("value {index} is out of order"));
            }
        }
        prices.total().map(|_| ())
    }

    /// The highest tier that this assignment uses, where its answer is.
    pub fn answer_tier(&self, tiers: &[usize]) -> usize {
        tiers.iter().copied().max().unwrap_or(0).max(self.answer_from)
    }

    /// The tier up to which a value travels under this assignment.
    pub fn reach(&self, value: &Value, tiers: &[usize]) -> usize {
        let readers = value.readers.iter().map(|&reader| tiers[reader]);
        let answer = value.output.then(|| self.answer_tier(tiers));
        readers.chain(answer).max().unwrap_or(tiers[value.producer])
    }

    /// True when the assignment obeys pins, order and what may not cross.
    pub fn allows(&self, tiers: &[usize]) -> bool {
        let pinned = self
            .nodes
            .iter()
            .zip(tiers)
            .all(|(node, tier)| (node.lowest..=node.highest).contains(tier));
        pinned
            && self.values.iter().all(|value| {
                let from = tiers[value.producer];
                value.readers.iter().all(|&reader| tiers[reader] >= from)
                    && (value.may_cross || self.reach(value, tiers) == from)
            })
    }

    /// Values that pass each link under this assignment, `[link][…]`, in the network's order.
    pub fn crossings(&self, tiers: &[usize]) -> Vec<Vec<usize>> {
        let mut crossings = vec![Vec::new(); self.tiers - 1];
        for (index, value) in self.values.iter().enumerate() {
            let from = tiers[value.producer];
            for link in &mut crossings[from..self.reach(value, tiers).max(from)] {
                link.push(index);
            }
        }
        crossings
    }

    /// The price of an assignment that [`Network::allows`].
    pub fn price(&self, prices: &Prices, tiers: &[usize]) -> Price {
        let nodes: Price = prices.node.iter().zip(tiers).map(|(cost, &tier)| cost[tier]).sum();
        let crossings: Price = self
            .crossings(tiers)
            .iter()
            .enumerate()
            .flat_map(|(link, values)| values.iter().map(move |&value| (link, value)))
            .map(|(link, value)| prices.crossing[value][link].total())
            .sum();
        let links: Price = prices.link[..self.answer_tier(tiers)].iter().sum();
        nodes + crossings + links
    }
}

impl Prices {
    /// Nothing costs anything.
    pub fn zero(network: &Network) -> Self {
        Self {
            node: vec![vec![0; network.tiers]; network.nodes.len()],
            crossing: vec![vec![Crossing::default(); network.tiers - 1]; network.values.len()],
            link: vec![0; network.tiers - 1],
        }
    }

    /// The sum of all prices: no cut costs more.
    ///
    /// # Errors
    /// When it is over [`MAX_TOTAL`].
    pub fn total(&self) -> Result<Price, PlanError> {
        let nodes = self.node.iter().flatten().copied();
        let crossings = self
            .crossing
            .iter()
            .flatten()
            .flat_map(|c| [c.encode, c.transfer, c.decode]);
        nodes
            .chain(crossings)
            .chain(self.link.iter().copied())
            .try_fold(0_u64, u64::checked_add)
            .filter(|&total| total < MAX_TOTAL)
            .ok_or(PlanError::OverLimit {
                what: "sum of all prices",
                most: MAX_TOTAL,
                got: u64::MAX,
            })
    }
}

fn over(what: &'static str, got: usize, most: usize) -> Result<(), PlanError> {
    if got <= most {
        return Ok(());
    }
    Err(PlanError::OverLimit {
        what,
        most: most as u64,
        got: got as u64,
    })
}
