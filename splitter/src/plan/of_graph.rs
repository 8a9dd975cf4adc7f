//! A case from a graph: which nodes and values can be placed, what they cost on each machine, what must stay.
//!
//! Nodes that depend on no input are copied to whoever needs them and cost nothing; nodes that lead to no output do
//! not run. Neither is part of the case.

use std::collections::HashSet;

use super::baseline::PHOTO;
use super::case::{Case, Encoding, Link, NodeCost, Tier, ValueCost};
use super::network::PlanError;
use crate::graph::{Graph, NodeId, ValueId};

mod codec;

pub use codec::{Codec, CodecValue};

/// The codec of tensors as they are.
const RAW: &str = "raw";

/// One machine and what the graph's nodes cost on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The machine.
    pub tier: Tier,
    /// Milliseconds of each of the graph's nodes, in its order.
    pub ms: Vec<f64>,
    /// Half a 95 % interval of each.
    pub noise_ms: Vec<f64>,
    /// Codecs that it was measured with.
    pub codecs: Vec<Codec>,
}

/// The photo that becomes the model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Photo {
    /// Its length as it came from the camera or the disk.
    pub bytes: u64,
    /// Milliseconds to decode and preprocess it on each machine.
    pub read_ms: Vec<f64>,
}

/// What must stay, and what must cross.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pins {
    /// These, and all that they are computed from, do not leave the device.
    pub keep: Vec<ValueId>,
    /// These cross the first link, and all that needs them runs behind it.
    pub cut_at: Vec<ValueId>,
    /// These do not cross, however useful it would be.
    pub no_cut_at: Vec<ValueId>,
    /// Operators that a tier cannot run, by tier: `(tier, operator)`.
    pub unsupported: Vec<(usize, String)>,
}

/// The case of a graph on these machines.
///
/// # Errors
/// When the pins leave a node no machine.
pub fn case_of(
    graph: &Graph,
    machines: &[Machine],
    links: &[Link],
    photo: Option<&Photo>,
    pins: &Pins,
) -> Result<Case, PlanError> {
    let mut build = Build::new(graph, machines, photo);
    build.sources();
    build.nodes()?;
    build.values();
    build.pin(pins)?;
    Ok(Case {
        tiers: machines.iter().map(|machine| machine.tier.clone()).collect(),
        links: links.to_vec(),
        nodes: build.nodes,
        values: build.values,
        answer_from: 0,
    })
}

struct Build<'a> {
    graph: &'a Graph,
    machines: &'a [Machine],
    photo: Option<&'a Photo>,
    /// The case's index of each of the graph's nodes that is in it.
    placed: Vec<Option<usize>>,
    /// The case's index of each of the graph's values that is in it.
    moved: Vec<Option<usize>>,
    /// The case's node that makes the graph's inputs.
    source: usize,
    nodes: Vec<NodeCost>,
    values: Vec<ValueCost>,
}

impl<'a> Build<'a> {
    fn new(graph: &'a Graph, machines: &'a [Machine], photo: Option<&'a Photo>) -> Self {
        Self {
            graph,
            machines,
            photo,
            placed: vec![None; graph.nodes().len()],
            moved: vec![None; graph.values().len()],
            source: 0,
            nodes: Vec::new(),
            values: Vec::new(),
        }
    }

    fn tiers(&self) -> usize {
        self.machines.len()
    }

    fn node(&mut self, name: &str, ms: Vec<f64>, noise_ms: Vec<f64>, weight_bytes: u64) -> usize {
        self.nodes.push(NodeCost {
            name: name.to_owned(),
            ms,
            noise_ms,
            weight_bytes,
            lowest: 0,
            highest: self.tiers() - 1,
        });
        self.nodes.len() - 1
    }

    /// The sensor, and the reading of its photo where that is known.
    fn sources(&mut self) {
        let nothing = vec![0.0; self.tiers()];
        let sensor = self.node("sensor", nothing.clone(), nothing.clone(), 0);
        self.nodes[sensor].highest = 0;
        if let Some(photo) = self.photo {
            self.source = self.node("read photo", photo.read_ms.clone(), nothing, 0);
            self.values.push(ValueCost {
                name: PHOTO.to_owned(),
                producer: sensor,
                readers: vec![self.source],
                output: false,
                may_cross: true,
                encodings: vec![Encoding::raw(photo.bytes, self.tiers())],
            });
        }
    }

    fn nodes(&mut self) -> Result<(), PlanError> {
        let graph = self.graph;
        let mut useful = vec![false; graph.nodes().len()];
        for (index, node) in graph.nodes().iter().enumerate().rev() {
            let leads = |v: ValueId| {
                let value = graph.value(v);
                value.is_output || value.consumers.iter().any(|c| useful[c.index()])
            };
            useful[index] = !node.is_constant && node.makes().any(leads);
        }
        for (index, node) in graph.nodes().iter().enumerate().filter(|(index, _)| useful[*index]) {
            let each = |figures: fn(&Machine) -> &Vec<f64>| -> Vec<f64> {
                let of = |machine| figures(machine).get(index).copied().unwrap_or(0.0);
                self.machines.iter().map(of).collect()
            };
            let (ms, noise_ms) = (each(|m| &m.ms), each(|m| &m.noise_ms));
            if ms.iter().any(|ms| !ms.is_finite() || *ms < 0.0) {
                return Err(PlanError::Malformed(format!("{} takes {ms:?} ms", node.label())));
            }
            let label = node
                .makes()
                .next()
                .map_or_else(|| node.label(), |v| graph.value(v).name.clone());
            // Weights are counted as floats of 32 bits, as they lie in memory when they run on most engines.
            let placed = self.node(&label, ms, noise_ms, node.params.saturating_mul(4));
            self.placed[index] = Some(placed);
        }
        Ok(())
    }

    fn values(&mut self) {
        let graph = self.graph;
        for id in graph.value_ids() {
            let value = graph.value(id);
            let producer = match value.producer() {
                Some(node) => self.placed[node.index()],
                None => (!value.is_constant).then_some(self.source),
            };
            let Some(producer) = producer else { continue };
            let readers: Vec<usize> = value.consumers.iter().filter_map(|c| self.placed[c.index()]).collect();
            if readers.is_empty() && !value.is_output {
                continue;
            }
            let bytes = value.bytes();
            let is_float = value.dtype() == Some(kerf_wire::DType::F32);
            self.moved[id.index()] = Some(self.values.len());
            self.values.push(ValueCost {
                name: value.name.clone(),
                producer,
                readers,
                output: value.is_output,
                may_cross: bytes.is_some() && value.dtype().is_some(),
                encodings: self.encodings(&value.name, bytes.unwrap_or(0), is_float),
            });
        }
    }

    /// Raw, and every codec that all machines were measured with; those that lose precision are for floats of 32 bits.
    fn encodings(&self, name: &str, bytes: u64, is_float: bool) -> Vec<Encoding> {
        let Some(first) = self.machines.first() else {
            return vec![Encoding::raw(bytes, self.tiers())];
        };
        let of = |codec: &Codec| -> Option<Encoding> {
            let on = |machine: &Machine| machine.codecs.iter().find(|c| c.name == codec.name)?.on(name, bytes);
            let all: Vec<CodecValue> = self.machines.iter().map(on).collect::<Option<_>>()?;
            Some(Encoding {
                codec: codec.name.clone(),
                bytes: all.first()?.bytes,
                encode_ms: all.iter().map(|cost| cost.encode_ms).collect(),
                decode_ms: all.iter().map(|cost| cost.decode_ms).collect(),
            })
        };
        let is_raw = |codec: &&Codec| codec.name == RAW;
        let raw = first.codecs.iter().find(is_raw).and_then(of);
        let mut encodings = vec![raw.unwrap_or_else(|| Encoding::raw(bytes, self.tiers()))];
        let fits = |codec: &&Codec| codec.name != RAW && (is_float || codec.name.starts_with("raw+"));
        encodings.extend(first.codecs.iter().filter(fits).filter_map(of));
        encodings
    }

    fn pin(&mut self, pins: &Pins) -> Result<(), PlanError> {
        for value in self.with_ancestors(&pins.keep) {
            self.values[value].may_cross = false;
        }
        if !pins.keep.is_empty() && self.photo.is_some() {
            self.values[0].may_cross = false;
        }
        for value in pins.no_cut_at.iter().filter_map(|v| self.moved[v.index()]) {
            self.values[value].may_cross = false;
        }
        for value in pins.cut_at.iter().filter_map(|v| self.moved[v.index()]) {
            let producer = self.values[value].producer;
            self.nodes[producer].highest = 0;
            for reader in self.values[value].readers.clone() {
                self.nodes[reader].lowest = self.nodes[reader].lowest.max(1);
            }
        }
        for (tier, op) in &pins.unsupported {
            self.refuse(*tier, op);
        }
        match self.nodes.iter().find(|node| node.lowest > node.highest) {
            Some(node) => Err(PlanError::NoneFits(format!("no machine is left for {:?}", node.name))),
            None => Ok(()),
        }
    }

    /// A range of tiers cannot have a hole: what a middle tier does not support goes to those behind it.
    fn refuse(&mut self, tier: usize, op: &str) {
        let last = self.tiers() - 1;
        for (node, placed) in self.graph.nodes().iter().zip(&self.placed) {
            let Some(placed) = placed.filter(|_| node.op == op) else {
                continue;
            };
            let node = &mut self.nodes[placed];
            if tier == last {
                node.highest = node.highest.min(last.wrapping_sub(1));
            } else {
                node.lowest = node.lowest.max(tier + 1);
            }
        }
    }

    /// The case's values that these are, and all that they are computed from.
    fn with_ancestors(&self, values: &[ValueId]) -> Vec<usize> {
        let mut open = values.to_vec();
        let mut seen: HashSet<ValueId> = HashSet::new();
        while let Some(value) = open.pop() {
            if !seen.insert(value) {
                continue;
            }
            let producer: Option<NodeId> = self.graph.value(value).producer();
            open.extend(producer.into_iter().flat_map(|node| self.graph.node(node).needs()));
        }
        seen.iter().filter_map(|v| self.moved[v.index()]).collect()
    }
}
