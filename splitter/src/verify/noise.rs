//! How sharp the answers of a quantised model are, and so what its parts may differ by.
//!
//! An engine fuses the operators between a DequantizeLinear and a QuantizeLinear and computes them in integers; a cut
//! parts what was fused, some rounding falls the other way, and the next quantisers carry it on. So parts that are right
//! may give another number of steps than the whole as the engine runs it. Two bounds hold all the same, and both are asked:
//!
//! 1. Run node by node as it is written, nothing fused, the parts equal the whole as those of any other model do.
//! 2. A quantised model does not tell inputs apart that are less than half a step of its input from each other. How far
//!    its answers move when each element of the input is moved by half of an 8-bit step of the input's range is how sharp
//!    they are; two right ways to compute it lie each within that of the same answer, and so within twice that of each
//!    other. It is measured on the whole, on each engine, with the inputs at hand; where two engines are compared, that of
//!    the sharper one counts. Never less than one step of the output's own scale.

use std::collections::BTreeMap;

use kerf_runtime::source::Input;
use kerf_wire::DType;

use super::answers::Answers;
use super::compare::largest_difference;
use crate::onnx::Model;
use crate::onnx::proto::{NodeProto, TensorProto};

/// Times that each input is moved, each time in another direction.
const NUDGES: u64 = 2;
/// Half of one of 255 steps.
const HALF_STEP: f32 = 0.5 / 255.0;
/// Operators that hand numbers on as they are.
const HANDS_ON: [&str; 6] = ["Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// What is known of a quantised model beforehand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quantised {
    /// The step of each output that comes out of a DequantizeLinear.
    steps: BTreeMap<String, f64>,
}

/// How sharp one output is on one engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    /// The engine, e.g. `onnxruntime 1.32.0`.
    pub engine: String,
    /// The output.
    pub output: String,
    /// How far half a step at the input moves it, at most.
    pub moved: f64,
    /// One step of its scale, where that is known.
    pub step: Option<f64>,
    /// What it may differ by.
    pub allowed: f64,
}

/// What each output may differ by, as max|a−b|; nothing where an output is not named.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Allowed(BTreeMap<String, f64>);

impl Allowed {
    /// What this output may differ by.
    pub fn of(&self, output: &str) -> f64 {
        self.0.get(output).copied().unwrap_or(0.0)
    }

    /// The smaller of both, output by output.
    #[must_use]
    pub(super) fn sharper(&self, other: &Self) -> Self {
        let both = self
            .0
            .iter()
            .filter_map(|(name, a)| Some((name.clone(), a.min(*other.0.get(name)?))));
        Self(both.collect())
    }
}

impl Quantised {
    /// What is known of this model; none where it is not quantised.
    pub fn of(model: &Model) -> Option<Self> {
        let nodes = || model.nodes.iter().map(|node| &node.proto);
        if !nodes().any(is_quantised) {
            return None;
        }
        let names = model.outputs.iter().map(|output| output.proto.name());
        let steps = names.filter_map(|name| Some((name.to_owned(), step(model, name)?)));
        Some(Self { steps: steps.collect() })
    }
}

fn is_quantised(node: &NodeProto) -> bool {
    let op = node.op_type();
    op.contains("QuantizeLinear") || op.starts_with("QLinear") || op.ends_with("Integer") || op == "QGemm"
}

/// The scale of the DequantizeLinear that gives this value, or what it is handed on from.
fn step(model: &Model, value: &str) -> Option<f64> {
    let mut name = value.to_owned();
    // No chain is longer than there are nodes.
    for _ in &model.nodes {
        let made = |node: &&NodeProto| node.output.contains(&name);
        let node = model.nodes.iter().map(|node| &node.proto).find(made)?;
        match node.op_type() {
            "DequantizeLinear" => return constant(model, node.input.get(1)?),
            op if HANDS_ON.contains(&op) => node.input.first()?.clone_into(&mut name),
            _ => return None,
        }
    }
    None
}

/// The largest element of a short float constant.
fn constant(model: &Model, name: &str) -> Option<f64> {
    let largest = |tensor: &TensorProto| {
        let raw = tensor.raw_data.as_deref().unwrap_or_default().as_chunks::<4>().0;
        let raw = raw.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let all = raw.chain(tensor.float_data.iter().copied());
        all.map(f64::from)
            .reduce(f64::max)
            .filter(|scale| scale.is_finite() && *scale > 0.0)
    };
    if let Some(initialiser) = model.initialisers.iter().find(|i| i.name() == name) {
        return largest(&initialiser.proto);
    }
    let made = |node: &&NodeProto| node.op_type() == "Constant" && node.output.iter().any(|o| o == name);
    let node = model.nodes.iter().map(|node| &node.proto).find(made)?;
    largest(node.attribute.first()?.t.as_ref()?)
}

/// The inputs with every float element moved by half of an 8-bit step of its tensor's range, up or down by a fixed seed.
pub(super) fn nudged(inputs: &[Input]) -> Vec<Vec<Input>> {
    (0..NUDGES)
        .map(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            inputs.iter().map(|input| nudge(input, &mut random)).collect()
        })
        .collect()
}

fn nudge(input: &Input, random: &mut fastrand::Rng) -> Input {
    let mut input = input.clone();
    for (_, tensor) in input.tensors.iter_mut().filter(|(_, t)| t.dtype() == DType::F32) {
        let elements = tensor.as_slice_mut::<f32>();
        let low = elements.iter().copied().fold(f32::INFINITY, f32::min);
        let high = elements.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let half = (high - low) * HALF_STEP;
        for element in elements {
            *element += if random.bool() { half } else { -half };
        }
    }
    input
}

/// How sharp each output is on this engine, and what that allows.
pub(super) fn of(quantised: Option<&Quantised>, answers: &Answers, moved: &[Answers]) -> (Vec<Noise>, Allowed) {
    let mut noise: Vec<Noise> = Vec::new();
    let Some(quantised) = quantised else {
        return (noise, Allowed::default());
    };
    let pairs = moved
        .iter()
        .flat_map(|moved| answers.outputs.iter().zip(&moved.outputs));
    for ((name, a), (_, b)) in pairs.flat_map(|(a, b)| a.iter().zip(b)) {
        let far = largest_difference(a, b);
        match noise.iter_mut().find(|n| n.output == *name) {
            Some(one) => one.moved = one.moved.max(far),
            None => noise.push(Noise {
                engine: answers.label.clone(),
                output: name.clone(),
                moved: far,
                step: quantised.steps.get(name).copied(),
                allowed: 0.0,
            }),
        }
    }
    for one in &mut noise {
        // A step is exact but for its last digit.
        one.allowed = (2.0 * one.moved).max(one.step.unwrap_or(0.0)) * (1.0 + 1e-6);
    }
    let allowed = noise.iter().map(|n| (n.output.clone(), n.allowed)).collect();
    (noise, Allowed(allowed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests; the steps are exact")]
    use super::*;
    use crate::verify::answers::Way;
    use kerf_runtime::tensor::Tensor;

    fn answers(probabilities: &[f32]) -> Answers {
        let shape = [1, u32::try_from(probabilities.len()).unwrap()];
        Answers {
            way: Way {
                backend: "tract",
                literal: false,
            },
            label: "an engine".to_owned(),
            outputs: vec![vec![("y".to_owned(), Tensor::from_f32(&shape, probabilities).unwrap())]],
        }
    }

    fn holds(whole: &[f32], moved: &[f32], other: &[f32]) -> bool {
        let quantised = Quantised {
            steps: [("y".to_owned(), 0.1)].into(),
        };
        let (noise, allowed) = of(Some(&quantised), &answers(whole), &[answers(moved)]);
        assert_eq!(noise.len(), 1);
        crate::verify::compare(&answers(whole), &answers(other), false, 1e-4, allowed).holds()
    }

    #[test]
    fn one_step_is_always_allowed_and_twice_what_rounding_moves() {
        // Nothing moved: one step of 0.1 and no more.
        assert!(holds(&[0.2, 0.9], &[0.2, 0.9], &[0.3, 0.9]));
        assert!(!holds(&[0.2, 0.9], &[0.2, 0.9], &[0.4, 0.9]));
        // Half a step at the input moved it by one of its own: two, then.
        assert!(holds(&[0.2, 0.9], &[0.3, 0.9], &[0.4, 0.9]));
        assert!(!holds(&[0.2, 0.9], &[0.3, 0.9], &[0.5, 0.9]));
    }

    #[test]
    fn another_best_class_is_allowed_only_where_the_two_cannot_be_told_apart() {
        assert!(holds(&[0.4, 0.5], &[0.4, 0.5], &[0.5, 0.4]));
        assert!(!holds(&[0.0, 0.9], &[0.0, 0.9], &[0.9, 0.0]));
    }

    #[test]
    fn a_class_that_is_certain_and_should_not_be_is_never_noise() {
        // What tract 0.23.9 makes of DequantizeLinear, Softmax, QuantizeLinear.
        assert!(!holds(&[0.0, 0.43, 0.2], &[0.0, 0.4, 0.2], &[1.0, 0.0, 0.0]));
    }
}
