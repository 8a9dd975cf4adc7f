//! The cheapest assignment where prices add, by one minimum cut: exact, over all legal cuts, for any ordered tiers.
//!
//! Each node has a vertex a link, on the sink's side when the node runs behind that link (Ishikawa's layered graph, PAMI
//! 2003; two tiers give the s–t cut of DADS, INFOCOM 2019). What a node costs more behind a link hangs between the
//! source and its vertex, what it costs less between its vertex and the sink. A value with several readers gets a
//! vertex of its own, so that it pays once. Endless arcs forbid the way back, and hold the order of a node's own vertices.
//!
//! A link's fixed price is not a price of any one value: it hangs on one more vertex, "the answer", which stands behind
//! every link that anything stands behind. So it is paid once, and exactly when the link is used.

use super::maxflow::{Flow, Vertex};
use super::network::{Assignment, Network, PlanError, Price, Prices};

/// The cheapest assignment and its price. Of several with the same price, the one that leaves the most on low tiers.
///
/// # Errors
/// When network and prices do not fit together, are over a bound, or no assignment obeys the pins.
pub fn cheapest(network: &Network, prices: &Prices) -> Result<(Assignment, Price), PlanError> {
    network.check(prices)?;
    let total = prices.total()?;
    let layers = Layers::build(network, prices, total + 1);
    let (flow, side) = layers.flow.min_cut(SOURCE, SINK);
    if flow > u128::from(total) {
        return Err(PlanError::NoneFits(
            "what must stay, what must move and where nodes may run contradict each other".into(),
        ));
    }
    let links = network.tiers - 1;
    let tier = |node: usize| (0..links).filter(|&link| side[vertex(node, link, links)]).count();
    let tiers: Assignment = (0..network.nodes.len()).map(tier).collect();
    debug_assert!(network.allows(&tiers), "a cut without endless arcs obeys every pin");
    let price = network.price(prices, &tiers);
    Ok((tiers, price))
}

const SOURCE: Vertex = 0;
const SINK: Vertex = 1;

fn vertex(node: usize, link: usize, links: usize) -> Vertex {
    2 + node * links + link
}

struct Layers<'a> {
    network: &'a Network,
    links: usize,
    endless: u64,
    flow: Flow,
}

impl<'a> Layers<'a> {
    fn build(network: &'a Network, prices: &Prices, endless: u64) -> Self {
        let links = network.tiers - 1;
        let mut layers = Self {
            network,
            links,
            endless,
            flow: Flow::new(2 + (network.nodes.len() + 1) * links),
        };
        for (index, node) in network.nodes.iter().enumerate() {
            layers.node(index, &prices.node[index], node.lowest, node.highest);
        }
        layers.answer(&prices.link);
        for (index, value) in network.values.iter().enumerate() {
            let mut readers = value.readers.clone();
            if value.output {
                readers.push(layers.answer_index());
            }
            for link in 0..links {
                let price = if value.may_cross {
                    prices.crossing[index][link].total()
                } else {
                    endless
                };
                layers.value(value.producer, &readers, link, price);
            }
        }
        layers
    }

    fn answer_index(&self) -> usize {
        self.network.nodes.len()
    }

    fn at(&self, node: usize, link: usize) -> Vertex {
        vertex(node, link, self.links)
    }

    /// Prices, pins and order of one node's vertices.
    fn node(&mut self, index: usize, price: &[Price], lowest: usize, highest: usize) {
        for link in 0..self.links {
            let here = self.at(index, link);
            let (before, behind) = (price[link], price[link + 1]);
            if behind > before {
                self.flow.add_arc(SOURCE, here, behind - before);
            } else if before > behind {
                self.flow.add_arc(here, SINK, before - behind);
            }
            if highest <= link {
                self.flow.add_arc(SOURCE, here, self.endless);
            }
            if lowest > link {
                self.flow.add_arc(here, SINK, self.endless);
            }
            if link + 1 < self.links {
                let next = self.at(index, link + 1);
                self.flow.add_arc(here, next, self.endless);
            }
        }
    }

    /// The answer's vertex: behind everything, and what a link's use costs.
    fn answer(&mut self, link_prices: &[Price]) {
        let answer = self.answer_index();
        let mut cumulative = vec![0];
        for price in link_prices {
            cumulative.push(cumulative.last().copied().unwrap_or(0) + price);
        }
        let lowest = self.network.answer_from;
        self.node(answer, &cumulative, lowest, self.links);
        let mut read = vec![false; self.network.nodes.len()];
        for value in &self.network.values {
            read[value.producer] |= !value.readers.is_empty();
        }
        // A node that is read stands before its readers, so the last nodes are enough.
        for (index, _) in read.iter().enumerate().filter(|(_, read)| !**read) {
            for link in 0..self.links {
                self.flow
                    .add_arc(self.at(answer, link), self.at(index, link), self.endless);
            }
        }
    }

    fn value(&mut self, producer: usize, readers: &[usize], link: usize, price: u64) {
        let from = self.at(producer, link);
        for &reader in readers {
            self.flow.add_arc(self.at(reader, link), from, self.endless);
        }
        match readers {
            [] => {}
            [reader] => self.flow.add_arc(from, self.at(*reader, link), price),
            several => {
                let once = self.flow.add_vertex();
                self.flow.add_arc(from, once, price);
                for &reader in several {
                    self.flow.add_arc(once, self.at(reader, link), self.endless);
                }
            }
        }
    }
}
