//! What the planner is asked about, in physical units: machines, links, and what each node and value costs on them.
//!
//! Owns: the description and its turning into a [`Network`]. Must not know: where the figures come from.
//! The first node is the sensor: it is pinned to the device, costs nothing, and makes the photo or the graph's inputs.

use super::network::{Network, Node, Value};

/// All that the planner is asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Machines in the order in which data passes them; the first is the device.
    pub tiers: Vec<Tier>,
    /// Links, link k between tiers k and k + 1.
    pub links: Vec<Link>,
    /// Nodes, each behind all that it reads from.
    pub nodes: Vec<NodeCost>,
    /// Values between nodes.
    pub values: Vec<ValueCost>,
    /// The lowest tier on which the answer is of use.
    pub answer_from: usize,
}

/// One machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    /// What a person calls it.
    pub name: String,
    /// Paid once a frame when anything runs here: a job or pod that must start, milliseconds.
    pub start_ms: f64,
    /// How much slower or faster a whole run may be than the median, as a fraction (half a 95 % interval).
    pub noise: f64,
    /// Watts while it computes.
    pub active_watts: f64,
    /// Watts while it waits.
    pub idle_watts: f64,
    /// Money an hour of computing.
    pub price_hour: f64,
    /// Bytes that weights here may take; unlimited where none.
    pub memory_bytes: Option<u64>,
}

/// What lies between two machines.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Kilobits a second, upwards.
    pub uplink_kbit_s: f64,
    /// There and back, milliseconds: paid once a frame, the way back is the answer's.
    pub rtt_ms: f64,
    /// What else every frame costs here, milliseconds.
    pub frame_ms: f64,
    /// Half a 95 % interval of the bandwidth, as a fraction.
    pub noise: f64,
    /// Watts that the sender draws while it sends.
    pub send_watts: f64,
    /// Money for 10⁹ bytes.
    pub price_gb: f64,
    /// Money a frame.
    pub price_frame: f64,
    /// Where large values go, where they do not go over the broker.
    pub store: Option<Store>,
}

/// An object store beside a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Store {
    /// Values of more bytes than this go there. Frames do; a frame of several values that only together are larger is counted as
    /// if each went over the broker.
    pub above_bytes: u64,
    /// To put an object and to fetch it again, milliseconds beyond its bytes.
    pub fixed_ms: f64,
    /// To put and fetch, nanoseconds a byte.
    pub ns_byte: f64,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeCost {
    /// Its name, for reports.
    pub name: String,
    /// Milliseconds on each tier.
    pub ms: Vec<f64>,
    /// Half a 95 % interval of each, milliseconds.
    pub noise_ms: Vec<f64>,
    /// Bytes of weights that only it reads.
    pub weight_bytes: u64,
    /// Lowest tier that can run it.
    pub lowest: usize,
    /// Highest tier that may run it.
    pub highest: usize,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueCost {
    /// Its name in the model.
    pub name: String,
    /// The node that makes it.
    pub producer: usize,
    /// The nodes that read it, each once.
    pub readers: Vec<usize>,
    /// True for the model's outputs.
    pub output: bool,
    /// False where it must not leave the tier that made it.
    pub may_cross: bool,
    /// Ways to encode it, at least one.
    pub encodings: Vec<Encoding>,
}

/// One way to encode one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoding {
    /// The codec's name.
    pub codec: String,
    /// Encoded length.
    pub bytes: u64,
    /// Milliseconds to encode on each tier.
    pub encode_ms: Vec<f64>,
    /// Milliseconds to decode on each tier.
    pub decode_ms: Vec<f64>,
}

impl Encoding {
    /// As it lies in memory.
    pub fn raw(bytes: u64, tiers: usize) -> Self {
        Self {
            codec: "raw".into(),
            bytes,
            encode_ms: vec![0.0; tiers],
            decode_ms: vec![0.0; tiers],
        }
    }
}

impl Tier {
    /// A machine of which only the name is known.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            start_ms: 0.0,
            noise: 0.0,
            active_watts: 0.0,
            idle_watts: 0.0,
            price_hour: 0.0,
            memory_bytes: None,
        }
    }
}

impl Link {
    /// A link of which only speed and delay are known.
    pub fn new(uplink_kbit_s: f64, rtt_ms: f64) -> Self {
        Self {
            uplink_kbit_s,
            rtt_ms,
            frame_ms: 0.0,
            noise: 0.0,
            send_watts: 0.0,
            price_gb: 0.0,
            price_frame: 0.0,
            store: None,
        }
    }

    /// How long these bytes occupy it, milliseconds. A kilobit is 1000 bits, so kilobits a second are bits a millisecond.
    pub fn transfer_ms(&self, bytes: u64) -> f64 {
        if let Some(store) = self.store.filter(|store| bytes > store.above_bytes) {
            return store.fixed_ms + bytes as f64 * store.ns_byte * 1e-6;
        }
        bytes as f64 * 8.0 / self.uplink_kbit_s
    }
}

impl Case {
    /// Its nodes, values and pins, without prices.
    pub fn network(&self) -> Network {
        Network {
            tiers: self.tiers.len(),
            nodes: self
                .nodes
                .iter()
                .map(|node| Node {
                    lowest: node.lowest,
                    highest: node.highest,
                })
                .collect(),
            values: self
                .values
                .iter()
                .map(|value| Value {
                    producer: value.producer,
                    readers: value.readers.clone(),
                    output: value.output,
                    may_cross: value.may_cross,
                })
                .collect(),
            answer_from: self.answer_from,
        }
    }

    /// All codecs that any value has, sorted.
    pub fn codecs(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .values
            .iter()
            .flat_map(|value| value.encodings.iter().map(|e| e.codec.as_str()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
