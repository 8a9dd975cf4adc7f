//! A network that grows at its end.

use prost::Message as _;

use super::write::{FLOAT, INT8, INT32, INT64, UINT8, initialiser, int, ints, model, signed, value_info};
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto};

/// Most multiply-accumulates of one layer, so that calibrating takes minutes on a board.
const MOST_MACS: u64 = 120_000_000;
/// Most multiply-accumulates of one network.
const MOST_NETWORK_MACS: u64 = 500_000_000;

/// A network under construction; values are `[1, channels, side, side]` unless said otherwise.
pub(super) struct Chain {
    random: u64,
    graph: GraphProto,
    /// Nodes so far, those in bodies included: names are unique over all of them.
    made: usize,
    /// Of the value at the end.
    pub(super) channels: u64,
    /// Its height and width.
    pub(super) side: u64,
    /// Its name.
    pub(super) value: String,
    macs: u64,
}

impl Chain {
    /// A network with nothing but its input.
    pub(super) fn new(seed: u64) -> Self {
        let mut chain = Self::empty(seed);
        chain.channels = [1, 3, 3, 8, 16, 32][chain.below(6)];
        chain.side = [8, 16, 28, 32, 32, 48, 56, 64, 80, 96, 112, 160, 224][chain.below(13)];
        if chain.channels > 3 {
            chain.side = chain.side.min(80);
        }
        chain.input(&[1, chain.channels, chain.side, chain.side]);
        chain
    }

    /// A network without an input.
    pub(super) fn empty(seed: u64) -> Self {
        Self {
            // Not a multiple of the generator's step: the seeds' sequences would be one, shifted.
            random: seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5851_f42d_4c95_7f2d,
            graph: GraphProto {
                name: Some(format!("{}-{seed}", crate::predict::GENERATED)),
                ..GraphProto::default()
            },
            made: 0,
            channels: 0,
            side: 0,
            value: "input".into(),
            macs: 0,
        }
    }

    /// Its input.
    pub(super) fn input(&mut self, shape: &[u64]) {
        self.graph.input.push(value_info("input", shape));
    }

    /// Even over 0 … bound − 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap_or(0)
    }

    /// One of these.
    pub(super) fn one_of(&mut self, choices: &[u64]) -> u64 {
        choices.get(self.below(choices.len())).copied().unwrap_or(1)
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// True when the network has become as large as it may.
    pub(super) fn is_full(&self) -> bool {
        self.macs > MOST_NETWORK_MACS
    }

    /// A convolution with its bias; left out where it would take too long. True when it was made.
    pub(super) fn convolution(&mut self, channels: u64, kernel: u64, stride: u64, groups: u64) -> bool {
        self.padded(channels, kernel, stride, groups, kernel / 2)
    }

    /// As [`Chain::convolution`], with this padding on each side.
    pub(super) fn padded(&mut self, channels: u64, kernel: u64, stride: u64, groups: u64, pad: u64) -> bool {
        let Some(side) = self.room_for(channels, kernel, stride, groups, pad) else {
            return false;
        };
        let weights = self.weights(&[channels, self.channels / groups, kernel, kernel]);
        let bias = self.weights(&[channels]);
        self.one("Conv", &[weights, bias], window(kernel, stride, groups, pad));
        (self.channels, self.side) = (channels, side);
        true
    }

    /// Height and width behind such a convolution, which then counts; nothing where it would take too long or does not fit.
    pub(super) fn room_for(&mut self, channels: u64, kernel: u64, stride: u64, groups: u64, pad: u64) -> Option<u64> {
        let side = (self.side + 2 * pad).checked_sub(kernel)? / stride + 1;
        let macs = channels * side * side * (self.channels / groups) * kernel * kernel;
        self.macs += if macs > MOST_MACS { 0 } else { macs };
        (macs <= MOST_MACS).then_some(side)
    }

    /// Batch normalisation with made-up statistics.
    pub(super) fn normalised(&mut self) {
        let channels = self.channels;
        let more: Vec<String> = (0..4).map(|_| self.filled(&[channels], 1.0)).collect();
        self.one("BatchNormalization", &more, Vec::new());
    }

    /// Max or average of windows of 2, or of 3 with a step of 2.
    pub(super) fn pool(&mut self) {
        let op = ["MaxPool", "AveragePool"][self.below(2)];
        let kernel = if self.side >= 7 { 2 + self.below(2) as u64 } else { 2 };
        if self.side < 4 {
            return;
        }
        self.one(
            op,
            &[],
            vec![ints("kernel_shape", &[kernel, kernel]), ints("strides", &[2, 2])],
        );
        self.side = (self.side - kernel) / 2 + 1;
    }

    /// Pools until dense layers behind it are not too wide.
    pub(super) fn pool_to_8(&mut self) {
        while self.side > 8 {
            self.pool();
        }
    }

    /// To one row of channels.
    pub(super) fn flatten(&mut self) {
        self.one("Flatten", &[], Vec::new());
        self.channels *= self.side * self.side;
        self.side = 0;
    }

    /// A dense layer with its bias.
    pub(super) fn gemm(&mut self, out: u64) {
        let (weights, bias) = (self.weights(&[out, self.channels]), self.weights(&[out]));
        self.one("Gemm", &[weights, bias], vec![int("transB", 1)]);
        self.channels = out;
    }

    /// Between two numbers; ReLU6 with 0 and 6.
    pub(super) fn clip(&mut self) {
        let (low, high) = (self.filled(&[], 0.0), self.filled(&[], 6.0));
        self.one("Clip", &[low, high], Vec::new());
    }

    /// One node from the chain's end to its new end.
    pub(super) fn one(&mut self, op: &str, more: &[String], attribute: Vec<AttributeProto>) {
        let end = self.value.clone();
        let inputs: Vec<String> = std::iter::once(end).chain(more.iter().cloned()).collect();
        self.value = self.node(op, inputs, attribute);
    }

    /// One node; gives what it makes.
    pub(super) fn node(&mut self, op: &str, input: Vec<String>, attribute: Vec<AttributeProto>) -> String {
        let [made] = self.nodes(op, input, attribute, [""]);
        made
    }

    /// One node that makes several values, which end so; gives their names.
    pub(super) fn nodes<const N: usize>(
        &mut self,
        op: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
        endings: [&str; N],
    ) -> [String; N] {
        let name = format!("{}_{}", op.to_lowercase(), self.made);
        self.made += 1;
        let outputs = endings.map(|ending| format!("{name}{ending}"));
        self.graph.node.push(NodeProto {
            input,
            output: outputs.to_vec(),
            name: Some(name.clone()),
            op_type: Some(op.to_owned()),
            attribute,
            ..NodeProto::default()
        });
        outputs
    }

    /// Nodes of a body: what this makes goes there, and not into the network; constants stay outside.
    pub(super) fn inside(&mut self, make: impl FnOnce(&mut Self)) -> Vec<NodeProto> {
        let outside = std::mem::take(&mut self.graph.node);
        make(self);
        std::mem::replace(&mut self.graph.node, outside)
    }

    /// Weights of a size that keeps values where they were.
    pub(super) fn weights(&mut self, shape: &[u64]) -> String {
        let elements: u64 = shape.iter().product();
        let inner: u64 = shape.iter().skip(1).product();
        let size = (2.0 / inner.max(1) as f32).sqrt();
        let mut bytes = Vec::new();
        for _ in 0..elements {
            let unit = self.below(2001) as f32 / 1000.0 - 1.0;
            bytes.extend((unit * size).to_le_bytes());
        }
        self.constant(FLOAT, shape, bytes)
    }

    /// A tensor of one number.
    pub(super) fn filled(&mut self, shape: &[u64], number: f32) -> String {
        let elements: u64 = shape.iter().product();
        let bytes = (0..elements).flat_map(|_| number.to_le_bytes()).collect();
        self.constant(FLOAT, shape, bytes)
    }

    /// A zero of 8 bits: a quantised tensor's zero point.
    pub(super) fn zero_point(&mut self) -> String {
        self.constant(INT8, &[], vec![0])
    }

    /// Weights of 8 bits, with a sign or without.
    pub(super) fn bytes(&mut self, shape: &[u64], has_sign: bool) -> String {
        let elements: u64 = shape.iter().product();
        let bytes = (0..elements).map(|_| self.below(256).to_le_bytes()[0]).collect();
        self.constant(if has_sign { INT8 } else { UINT8 }, shape, bytes)
    }

    /// The middle of bytes without a sign.
    pub(super) fn middle(&mut self) -> String {
        self.constant(UINT8, &[], vec![128])
    }

    /// Biases of integer convolutions.
    pub(super) fn integer_bias(&mut self, channels: u64) -> String {
        let bytes = (0..channels).flat_map(|n| ((n % 64) as u32).to_le_bytes()).collect();
        self.constant(INT32, &[channels], bytes)
    }

    /// A list of integers.
    pub(super) fn integers(&mut self, all: &[u64]) -> String {
        let bytes = all.iter().flat_map(|n| signed(*n).to_le_bytes()).collect();
        self.constant(INT64, &[all.len() as u64], bytes)
    }

    /// One integer.
    pub(super) fn index(&mut self, at: u64) -> String {
        self.constant(INT64, &[], signed(at).to_le_bytes().to_vec())
    }

    fn constant(&mut self, data_type: i32, shape: &[u64], bytes: Vec<u8>) -> String {
        let name = format!("w{}", self.graph.initializer.len());
        self.graph.initializer.push(initialiser(&name, data_type, shape, bytes));
        name
    }

    /// Ends as classifiers do.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.side > 0 {
            self.one("GlobalAveragePool", &[], Vec::new());
            self.one("Flatten", &[], Vec::new());
        }
        let classes = self.one_of(&[10, 19, 100, 1000]);
        self.gemm(classes);
        self.one("Softmax", &[], Vec::new());
        self.end(&[1, classes])
    }

    /// The file, with the chain's end as output.
    pub(super) fn end(mut self, shape: &[u64]) -> Vec<u8> {
        let output = value_info(&self.value, shape);
        self.graph.output.push(output);
        model(self.graph).encode_to_vec()
    }
}

/// What a convolution says of its windows.
pub(super) fn window(kernel: u64, stride: u64, groups: u64, pad: u64) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", &[kernel, kernel]),
        ints("strides", &[stride, stride]),
        ints("pads", &[pad, pad, pad, pad]),
        int("group", groups),
    ]
}
