//! Networks whose nodes have bodies, or steps: recurrent layers as one operator and as a `Scan`, and a branch behind an `If`.

use super::chain::Chain;
use super::write::{body, graph, int, ints};

/// Rows of a picture, or words, one after the other: `[1, steps, width]`.
pub(super) fn recurrent(seed: u64) -> Vec<u8> {
    let mut chain = Chain::empty(seed);
    let (steps, width) = (
        chain.one_of(&[8, 16, 24, 28, 32, 48, 64]),
        chain.one_of(&[8, 16, 28, 32, 48, 64]),
    );
    let hidden = chain.one_of(&[16, 24, 32, 48, 64, 96, 128]);
    chain.input(&[1, steps, width]);
    chain.one("Transpose", &[], vec![ints("perm", &[1, 0, 2])]);
    match chain.below(5) {
        0 | 1 => chain.layer("LSTM", 4, [steps, width, hidden]),
        2 => chain.layer("GRU", 3, [steps, width, hidden]),
        _ => chain.scanned([steps, width, hidden]),
    }
    (chain.channels, chain.side) = (hidden, 0);
    chain.finish()
}

impl Chain {
    /// A recurrent layer as one operator, and its last step.
    fn layer(&mut self, op: &str, gates: u64, [steps, width, hidden]: [u64; 3]) {
        let more = [
            self.weights(&[1, gates * hidden, width]),
            self.weights(&[1, gates * hidden, hidden]),
            self.weights(&[1, 2 * gates * hidden]),
        ];
        self.one(op, &more, vec![int("hidden_size", hidden)]);
        let (axis, last) = (self.integers(&[1]), self.index(steps - 1));
        self.one("Squeeze", &[axis], Vec::new());
        self.one("Gather", &[last], vec![int("axis", 0)]);
    }

    /// The same written out: a body that runs once a step; a long short-term memory, or a plain layer.
    fn scanned(&mut self, [_, width, hidden]: [u64; 3]) {
        let is_long = !self.once_in(3);
        let gates = if is_long { 4 } else { 1 };
        let weights = [
            self.weights(&[width, gates * hidden]),
            self.weights(&[hidden, gates * hidden]),
            self.weights(&[1, gates * hidden]),
        ];
        let sequence = self.value.clone();
        let (state, step): (&[u64], &[u64]) = (&[1, hidden], &[1, width]);
        let mut ends = Vec::new();
        let nodes = self.inside(|chain| {
            ends = if is_long {
                chain.long_short(&weights, hidden)
            } else {
                chain.plain(&weights)
            };
            let shown = chain.node("Identity", vec![ends[0].clone()], Vec::new());
            ends.push(shown);
        });
        let states = &["h_in", "c_in"][..ends.len() - 1];
        let inputs: Vec<_> = states
            .iter()
            .map(|name| (*name, state))
            .chain([("x_in", step)])
            .collect();
        let outputs: Vec<_> = ends.iter().map(|name| (name.as_str(), state)).collect();
        let attributes = vec![graph("body", body(nodes, &inputs, &outputs)), int("num_scan_inputs", 1)];
        let mut given: Vec<String> = states.iter().map(|_| self.filled(&[1, hidden], 0.0)).collect();
        given.push(sequence);
        self.value = if is_long {
            let [last, ..] = self.nodes("Scan", given, attributes, ["_h", "_c", "_y"]);
            last
        } else {
            let [last, _] = self.nodes("Scan", given, attributes, ["_h", "_y"]);
            last
        };
    }

    /// `h = tanh(x W + h R + b)`.
    fn plain(&mut self, weights: &[String; 3]) -> Vec<String> {
        let sum = self.both(weights);
        vec![self.node("Tanh", vec![sum], Vec::new())]
    }

    fn both(&mut self, [input, state, bias]: &[String; 3]) -> String {
        let x = self.node("MatMul", vec!["x_in".into(), input.clone()], Vec::new());
        let h = self.node("MatMul", vec!["h_in".into(), state.clone()], Vec::new());
        let sum = self.node("Add", vec![x, h], Vec::new());
        self.node("Add", vec![sum, bias.clone()], Vec::new())
    }

    /// A long short-term memory's step; gives the hidden state and the cell.
    fn long_short(&mut self, weights: &[String; 3], hidden: u64) -> Vec<String> {
        let sum = self.both(weights);
        let sizes = self.integers(&[hidden; 4]);
        let gates = self.nodes(
            "Split",
            vec![sum, sizes],
            vec![int("axis", 1)],
            ["_i", "_o", "_f", "_c"],
        );
        let [i, o, f, g] = gates;
        let [i, o, f] = [i, o, f].map(|gate| self.node("Sigmoid", vec![gate], Vec::new()));
        let g = self.node("Tanh", vec![g], Vec::new());
        let kept = self.node("Mul", vec![f, "c_in".into()], Vec::new());
        let new = self.node("Mul", vec![i, g], Vec::new());
        let cell = self.node("Add", vec![kept, new], Vec::new());
        let shown = self.node("Tanh", vec![cell.clone()], Vec::new());
        vec![self.node("Mul", vec![o, shown], Vec::new()), cell]
    }

    /// A network that may answer early: an easy branch, and the rest in the body of an `If`, which is what runs.
    pub(super) fn branching(&mut self) {
        let (channels, kernel) = (self.one_of(&[6, 8, 16, 24]), self.one_of(&[3, 5]));
        let stride = if self.side > 64 { 2 } else { 1 };
        self.padded(channels, kernel, stride, 1, 0);
        self.one("Relu", &[], Vec::new());
        self.pool();
        let (before, side, channels, classes) = (
            self.value.clone(),
            self.side,
            self.channels,
            self.one_of(&[10, 19, 100]),
        );
        self.easy(classes);
        let early = self.value.clone();
        self.is_sure();
        let sure = self.value.clone();
        let then = self.inside(|chain| chain.value = chain.node("Identity", vec![early], Vec::new()));
        let then = body(then, &[], &[(&self.value, &[1, classes])]);
        (self.value, self.side, self.channels) = (before, side, channels);
        let rest = self.inside(|chain| chain.rest(classes));
        let rest = body(rest, &[], &[(&self.value, &[1, classes])]);
        let branches = vec![graph("then_branch", then), graph("else_branch", rest)];
        self.value = self.node("If", vec![sure], branches);
        (self.channels, self.side) = (classes, 0);
    }

    fn easy(&mut self, classes: u64) {
        let channels = self.one_of(&[8, 12, 16]);
        self.padded(channels, 3, 2, 1, 0);
        self.one("Relu", &[], Vec::new());
        self.pool();
        self.flatten();
        self.gemm(classes);
    }

    /// Never true: no share is above 2.
    fn is_sure(&mut self) {
        self.one("Softmax", &[], Vec::new());
        self.one("ReduceMax", &[], vec![ints("axes", &[1]), int("keepdims", 0)]);
        let (axis, most) = (self.integers(&[0]), self.filled(&[], 2.0));
        self.one("Squeeze", &[axis], Vec::new());
        self.one("Greater", &[most], Vec::new());
    }

    fn rest(&mut self, classes: u64) {
        for _ in 0..=self.below(2) {
            let (channels, kernel) = (self.one_of(&[8, 16, 32, 64]), self.one_of(&[3, 5]));
            if self.side >= 8 && self.padded(channels, kernel, 1, 1, 0) {
                self.one("Relu", &[], Vec::new());
                self.pool();
            }
        }
        self.pool_to_8();
        self.flatten();
        for _ in 0..self.below(3) {
            let out = self.one_of(&[32, 84, 120, 256]);
            self.gemm(out);
            self.one("Relu", &[], Vec::new());
        }
        self.gemm(classes);
    }
}
