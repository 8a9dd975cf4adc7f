//! The planned cut is the best of all legal cuts: against brute force on random networks, and fast on large ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test says what failed by panicking; random numbers are cut to size"
)]

use kerf_splitter::plan::mincut::cheapest;
use kerf_splitter::plan::network::{Crossing, Network, Node, Prices, Value};
use kerf_splitter::plan::search::{Limit, Objective, best};

/// SplitMix64 (Steele, Lea, Flood 2014): any seed replays.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn price(&mut self, most: u64) -> u64 {
        self.next() % (most + 1)
    }
}

/// Node 0 is the input, pinned to the device. Small prices make ties, and so the hard cases, common.
fn random_network(random: &mut Random, most_nodes: usize, tiers: usize) -> (Network, Prices) {
    let n = 2 + random.below(most_nodes - 1);
    let density = 5 + random.below(60);
    let mut values: Vec<Value> = Vec::new();
    for producer in 0..n {
        for _ in 0..=usize::from(random.chance(20)) {
            let readers: Vec<usize> = (producer + 1..n).filter(|_| random.chance(density)).collect();
            let output = readers.is_empty() || random.chance(10);
            let may_cross = random.chance(93);
            values.push(Value {
                producer,
                readers,
                output,
                may_cross,
            });
        }
    }
    let nodes = (0..n)
        .map(|node| match node {
            0 => Node { lowest: 0, highest: 0 },
            _ if random.chance(8) => {
                let pin = random.below(tiers);
                Node {
                    lowest: pin,
                    highest: pin,
                }
            }
            _ => Node {
                lowest: 0,
                highest: tiers - 1,
            },
        })
        .collect();
    let most = [3, 20, 1000][random.below(3)];
    let answer_from = if random.chance(10) { random.below(tiers) } else { 0 };
    let network = Network {
        tiers,
        nodes,
        values,
        answer_from,
    };
    let mut prices = Prices::zero(&network);
    prices
        .node
        .iter_mut()
        .flatten()
        .for_each(|price| *price = random.price(most));
    for crossing in prices.crossing.iter_mut().flatten() {
        *crossing = Crossing {
            encode: random.price(most / 3),
            transfer: random.price(most),
            decode: random.price(most / 3),
        };
    }
    prices.link.iter_mut().for_each(|price| *price = random.price(2 * most));
    (network, prices)
}

/// What every legal assignment costs, from the definition alone: per-tier and per-link sums.
fn brute_force(network: &Network, prices: &Prices, visit: &mut impl FnMut(&[u64], &[u64])) {
    fn extend(network: &Network, prices: &Prices, tiers: &mut Vec<usize>, visit: &mut impl FnMut(&[u64], &[u64])) {
        let node = tiers.len();
        if node == network.nodes.len() {
            if let Some((tier, link)) = cost(network, prices, tiers) {
                visit(&tier, &link);
            }
            return;
        }
        for tier in network.nodes[node].lowest..=network.nodes[node].highest {
            let backwards = |v: &&Value| v.readers.contains(&node) && tiers[v.producer] > tier;
            if network.values.iter().any(|v| backwards(&v)) {
                continue;
            }
            tiers.push(tier);
            extend(network, prices, tiers, visit);
            tiers.pop();
        }
    }
    extend(network, prices, &mut Vec::new(), visit);
}

fn cost(network: &Network, prices: &Prices, tiers: &[usize]) -> Option<(Vec<u64>, Vec<u64>)> {
    let mut tier = vec![0; network.tiers];
    let mut link = vec![0; network.tiers - 1];
    for (node, &at) in tiers.iter().enumerate() {
        tier[at] += prices.node[node][at];
    }
    let last = tiers.iter().copied().fold(network.answer_from, usize::max);
    for (index, value) in network.values.iter().enumerate() {
        for k in 0..network.tiers - 1 {
            let read_behind = value.readers.iter().any(|&reader| tiers[reader] > k) || (value.output && last > k);
            if tiers[value.producer] <= k && read_behind {
                if !value.may_cross {
                    return None;
                }
                tier[k] += prices.crossing[index][k].encode;
                link[k] += prices.crossing[index][k].transfer;
                tier[k + 1] += prices.crossing[index][k].decode;
            }
        }
    }
    for (paid, price) in link.iter_mut().zip(&prices.link).take(last) {
        *paid += price;
    }
    Some((tier, link))
}

fn sum(tier: &[u64], link: &[u64]) -> u64 {
    tier.iter().chain(link).sum()
}

fn slowest(tier: &[u64], link: &[u64]) -> u64 {
    tier.iter().chain(link).copied().max().unwrap_or(0)
}

/// Compares every search with brute force on one random network; gives how many legal assignments it had.
fn compare(seed: u64, most_nodes: usize, tiers: usize) -> usize {
    let (network, prices) = random_network(&mut Random(seed), most_nodes, tiers);
    let (mut legal, mut least, mut fastest, mut least_within) = (0, None, None, None);
    let device_budget = prices.node.iter().map(|p| p[0]).sum::<u64>() / 3;
    let smaller = |best: &mut Option<u64>, price: u64| *best = Some(best.map_or(price, |b| b.min(price)));
    let mut second = Prices::zero(&network);
    for (to, from) in second.node.iter_mut().zip(&prices.node) {
        to[0] = from[0];
    }
    brute_force(&network, &prices, &mut |tier, link| {
        legal += 1;
        smaller(&mut least, sum(tier, link));
        smaller(&mut fastest, slowest(tier, link));
    });
    // The same walk with the second prices gives what each assignment takes of the device's budget, in the same order.
    let mut used = Vec::new();
    brute_force(&network, &second, &mut |tier, link| used.push(sum(tier, link)));
    let mut used = used.into_iter();
    brute_force(&network, &prices, &mut |tier, link| {
        if used.next().unwrap() <= device_budget {
            smaller(&mut least_within, sum(tier, link));
        }
    });
    let context = format!("seed {seed}, {tiers} tiers: {network:?} {prices:?}");
    let planned = cheapest(&network, &prices);
    assert_eq!(planned.as_ref().ok().map(|p| p.1), least, "minimum cut, {context}");
    if let Ok((assignment, price)) = &planned {
        let (tier, link) = cost(&network, &prices, assignment).unwrap();
        assert_eq!(
            sum(&tier, &link),
            *price,
            "the price named is the price paid, {context}"
        );
    }
    let start = planned.as_ref().ok().map(|p| p.0.as_slice());
    for (objective, expected) in [(Objective::Sum, least), (Objective::Slowest, fastest)] {
        let found = best(
            &network,
            &prices,
            objective,
            &[],
            start.filter(|_| objective == Objective::Slowest),
        );
        assert!(found.as_ref().is_ok_and(|f| f.proven) || expected.is_none());
        assert_eq!(
            found.ok().map(|f| f.price),
            expected,
            "search for {objective:?}, {context}"
        );
    }
    let limit = Limit {
        what: "device",
        prices: &second,
        objective: Objective::Sum,
        most: device_budget,
    };
    let within = best(&network, &prices, Objective::Sum, &[limit], start);
    assert_eq!(within.ok().map(|f| f.price), least_within, "within a limit, {context}");
    legal
}

fn campaign(networks: u64, first_seed: u64) {
    let (mut legal, mut split) = (0, 0);
    for seed in first_seed..first_seed + networks {
        let two = compare(seed, 14, 2);
        legal += two + compare(seed, 9, 3);
        split += usize::from(two > 2);
    }
    println!("{networks} networks of two and of three tiers, {legal} legal assignments, all equal to brute force");
    assert!(
        split as u64 > networks / 3,
        "most networks must have something to choose: {split}"
    );
}

#[test]
fn minimum_cut_and_search_equal_brute_force_on_ten_thousand_random_networks() {
    campaign(10_000, 1);
}

/// A long network with skip connections, as deep as they come.
fn deep(nodes: usize) -> (Network, Prices) {
    let mut random = Random(7);
    let mut values = Vec::new();
    for producer in 0..nodes {
        let mut readers: Vec<usize> = Vec::new();
        if producer + 1 < nodes {
            readers.push(producer + 1);
        }
        let skip = producer + 2 + random.below(6);
        if skip < nodes && random.chance(30) {
            readers.push(skip);
        }
        let output = readers.is_empty();
        values.push(Value {
            producer,
            readers,
            output,
            may_cross: true,
        });
    }
    let free = Node { lowest: 0, highest: 1 };
    let mut pins = vec![free; nodes];
    pins[0].highest = 0;
    let network = Network {
        tiers: 2,
        nodes: pins,
        values,
        answer_from: 0,
    };
    let mut prices = Prices::zero(&network);
    for cost in &mut prices.node {
        cost[1] = 1_000 + random.price(100_000);
        cost[0] = cost[1] * 8;
    }
    for (index, cost) in prices.crossing.iter_mut().enumerate() {
        let shrinking = 4_000_000_000 / (index as u64 + 10);
        cost[0].transfer = shrinking + random.price(shrinking);
    }
    prices.link[0] = 30_000_000;
    (network, prices)
}

#[test]
fn ten_thousand_nodes_are_planned_in_a_tenth_of_a_second() {
    let (network, prices) = deep(10_000);
    let start = std::time::Instant::now();
    let (tiers, price) = cheapest(&network, &prices).unwrap();
    let elapsed = start.elapsed();
    let head = tiers.iter().filter(|&&t| t == 0).count();
    println!("10,000 nodes: {elapsed:?}, head of {head} nodes, price {price}");
    // On a network that is almost a chain, prefixes are a fair sample of all cuts: none may be cheaper.
    let prefix = |k: usize| (0..10_000).map(|node| usize::from(node >= k)).collect::<Vec<_>>();
    for k in (1..=10_000).step_by(499) {
        assert!(network.price(&prices, &prefix(k)) >= price, "prefix {k}");
    }
    assert!(head > 1 && head < 10_000, "a cut inside is the interesting case");
    // Without optimisation the same code is about ten times slower.
    let allowed = if cfg!(debug_assertions) { 1_500 } else { 100 };
    assert!(elapsed.as_millis() <= allowed, "{elapsed:?}");
}
