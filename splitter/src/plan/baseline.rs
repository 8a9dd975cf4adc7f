//! The simple choices that every plan is compared with.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::goal::{EncodingChoice, Goal};
use super::network::Network;
use super::outcome::{Choice, Outcome};

/// What a person would do without a planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// All on the device.
    EdgeOnly,
    /// All on the last machine, the model's input sent as a tensor.
    CloudRaw,
    /// All on the last machine, the photo sent as it came.
    CloudPhoto,
    /// Cut at the one value with the fewest bytes.
    SmallestValue,
    /// The best cut at one value, as Neurosurgeon scans for it (ASPLOS 2017).
    BestSingle,
}

impl Baseline {
    /// True where nothing is cut.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::EdgeOnly | Self::CloudRaw | Self::CloudPhoto)
    }

    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::EdgeOnly => "edge only",
            Self::CloudRaw => "cloud only, input as a tensor",
            Self::CloudPhoto => "cloud only, photo as it came",
            Self::SmallestValue => "cut at the smallest value",
            Self::BestSingle => "best cut at one value",
        }
    }
}

/// A baseline that is possible here.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Which.
    pub baseline: Baseline,
    /// Its choice.
    pub choice: Choice,
    /// What it comes to.
    pub outcome: Outcome,
}

/// Name of the value that is a photo as it came, where the case has one.
pub const PHOTO: &str = "photo";

/// Every baseline that the case allows, with the encodings that the goal likes best.
pub fn baselines(case: &Case, network: &Network, goal: Goal) -> Vec<Compared> {
    let encodings = goal.cheapest_encodings(case);
    let last = case.tiers.len() - 1;
    let mut found: Vec<(Baseline, Vec<usize>)> = vec![(Baseline::EdgeOnly, vec![0; case.nodes.len()])];
    if last > 0 {
        let whole = behind(case, 0, last);
        match photo_reader(case) {
            Some(reader) => {
                let mut raw = whole.clone();
                raw[reader] = 0;
                found.push((Baseline::CloudRaw, raw));
                found.push((Baseline::CloudPhoto, whole));
            }
            None => found.push((Baseline::CloudRaw, whole)),
        }
        let singles = single_cuts(case, network);
        let bytes = |value: usize| case.values[value].encodings.iter().map(|e| e.bytes).min();
        if let Some((_, tiers)) = singles.iter().min_by_key(|(value, _)| bytes(*value)) {
            found.push((Baseline::SmallestValue, tiers.clone()));
        }
        let prices = goal.prices(case, &encodings);
        let price = |tiers: &Vec<usize>| super::search::price(network, &prices, goal.objective(), tiers);
        if let Some((_, tiers)) = singles.iter().min_by_key(|(_, tiers)| price(tiers)) {
            found.push((Baseline::BestSingle, tiers.clone()));
        }
    }
    found
        .into_iter()
        .filter(|(_, tiers)| network.allows(tiers))
        .map(|(baseline, tiers)| compared(case, network, baseline, tiers, &encodings))
        .collect()
}

fn compared(
    case: &Case,
    network: &Network,
    baseline: Baseline,
    tiers: Vec<usize>,
    encodings: &EncodingChoice,
) -> Compared {
    let choice = Choice {
        tiers,
        encodings: encodings.clone(),
    };
    let outcome = Outcome::of(case, network, &choice);
    Compared {
        baseline,
        choice,
        outcome,
    }
}

/// Nodes up to `node` on the device, the rest on `tier`.
fn behind(case: &Case, node: usize, tier: usize) -> Vec<usize> {
    (0..case.nodes.len())
        .map(|index| if index <= node { 0 } else { tier })
        .collect()
}

fn photo_reader(case: &Case) -> Option<usize> {
    case.values
        .iter()
        .find(|value| value.name == PHOTO)?
        .readers
        .first()
        .copied()
}

/// Every legal cut that exactly one computed value crosses, between the device and the last tier.
pub fn single_cuts(case: &Case, network: &Network) -> Vec<(usize, Vec<usize>)> {
    let last = case.tiers.len() - 1;
    if last == 0 {
        return Vec::new();
    }
    let mut inputs = vec![Vec::new(); case.nodes.len()];
    for value in &case.values {
        for &reader in &value.readers {
            inputs[reader].push(value.producer);
        }
    }
    let source_like = |producer: usize| producer == 0 || Some(producer) == photo_reader(case);
    let mut cuts = Vec::new();
    for (index, value) in case.values.iter().enumerate() {
        if source_like(value.producer) || value.readers.is_empty() {
            continue;
        }
        let tiers = ancestors_here(&inputs, value.producer, last);
        let alone = network.crossings(&tiers).iter().all(|crossing| crossing == &[index]);
        if alone && network.allows(&tiers) {
            cuts.push((index, tiers));
        }
    }
    cuts
}

/// The node and all that it needs on the device, the sensor included; the rest on the last tier.
fn ancestors_here(inputs: &[Vec<usize>], node: usize, last: usize) -> Vec<usize> {
    let mut tiers = vec![last; inputs.len()];
    tiers[0] = 0;
    let mut pending = vec![node];
    while let Some(node) = pending.pop() {
        tiers[node] = 0;
        pending.extend(inputs[node].iter().copied().filter(|&input| tiers[input] != 0));
    }
    tiers
}
