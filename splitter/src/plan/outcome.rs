//! What an assignment comes to, under every goal at once, and how sure that is.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::goal::{EncodingChoice, Goal};
use super::network::{Assignment, Network};
use super::search;

/// One way to place the network, with its encodings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The tier of each node.
    pub tiers: Assignment,
    /// How each value is encoded where it crosses.
    pub encodings: EncodingChoice,
}

/// What a choice comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// From a frame taken to its answer.
    pub latency_ms: f64,
    /// 95 % interval of the latency.
    pub latency_ms_interval: [f64; 2],
    /// Between two answers of a full pipeline.
    pub period_ms: f64,
    /// On the device, joules a frame.
    pub energy_j: f64,
    /// Over all links.
    pub payload_bytes: u64,
    /// In the caller's currency.
    pub money: f64,
    /// Computing on each tier, with encoding and decoding.
    pub stage_ms: Vec<f64>,
    /// Transfer on each link, without RTT and fixed costs.
    pub link_ms: Vec<f64>,
}

impl Outcome {
    /// Of a choice that the network allows.
    pub fn of(case: &Case, network: &Network, choice: &Choice) -> Self {
        let times = Times::of(case, network, choice);
        let amount = |goal: Goal| {
            let prices = goal.prices(case, &choice.encodings);
            search::price(network, &prices, goal.objective(), &choice.tiers) as f64 * goal.unit()
        };
        let latency_ms = amount(Goal::Latency);
        let half = times.half_interval(case);
        Self {
            latency_ms,
            latency_ms_interval: [(latency_ms - half).max(0.0), latency_ms + half],
            period_ms: amount(Goal::Throughput),
            energy_j: amount(Goal::Energy),
            payload_bytes: Goal::Bytes.price(amount(Goal::Bytes)),
            money: amount(Goal::Money),
            stage_ms: times.stage_ms,
            link_ms: times.link_ms,
        }
    }

    /// The figure that a goal looks at; smaller is better for all of them.
    pub fn of_goal(&self, goal: Goal) -> f64 {
        match goal {
            Goal::Latency => self.latency_ms,
            Goal::Throughput => self.period_ms,
            Goal::Energy => self.energy_j,
            Goal::Bytes => self.payload_bytes as f64,
            Goal::Money => self.money,
        }
    }
}

/// Half of the 95 % interval of `a`'s latency less `b`'s.
///
/// A machine that is slower today is slower for both, so what both do in the same place cancels; what is left is
/// scaled by its machine's noise, and each node that moved adds its own. Independent parts add as squares.
pub fn half_interval_of_difference(case: &Case, network: &Network, a: &Choice, b: &Choice) -> f64 {
    let (mut left, right) = (Times::of(case, network, a), Times::of(case, network, b));
    let less = |a: &mut Vec<f64>, b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a -= b);
    less(&mut left.stage_ms, &right.stage_ms);
    less(&mut left.link_ms, &right.link_ms);
    left.noise_squared = case
        .nodes
        .iter()
        .zip(a.tiers.iter().zip(&b.tiers))
        .filter(|(_, (a, b))| a != b)
        .map(|(node, (&a, &b))| node.noise_ms[a].powi(2) + node.noise_ms[b].powi(2))
        .sum();
    left.half_interval(case)
}

struct Times {
    stage_ms: Vec<f64>,
    link_ms: Vec<f64>,
    noise_squared: f64,
}

impl Times {
    fn of(case: &Case, network: &Network, choice: &Choice) -> Self {
        let mut times = Self {
            stage_ms: vec![0.0; case.tiers.len()],
            link_ms: vec![0.0; case.links.len()],
            noise_squared: 0.0,
        };
        for (node, &tier) in case.nodes.iter().zip(&choice.tiers) {
            times.stage_ms[tier] += node.ms[tier];
            times.noise_squared += node.noise_ms[tier].powi(2);
        }
        for (link, values) in network.crossings(&choice.tiers).into_iter().enumerate() {
            for value in values {
                let encoding = &case.values[value].encodings[choice.encodings[value][link]];
                times.stage_ms[link] += encoding.encode_ms[link];
                times.link_ms[link] += case.links[link].transfer_ms(encoding.bytes);
                times.stage_ms[link + 1] += encoding.decode_ms[link + 1];
            }
        }
        times
    }

    fn half_interval(&self, case: &Case) -> f64 {
        let stages = self
            .stage_ms
            .iter()
            .zip(&case.tiers)
            .map(|(ms, tier)| (ms * tier.noise).powi(2));
        let links = self
            .link_ms
            .iter()
            .zip(&case.links)
            .map(|(ms, link)| (ms * link.noise).powi(2));
        (stages.chain(links).sum::<f64>() + self.noise_squared).sqrt()
    }
}
