//! What a reader sees of a model's outputs: the best classes, and small tensors as JSON.
//!
//! Owns: softmax, the best five, tensors as JSON. Must not know: frames, brokers.

use kerf_wire::result::{Label, Output};
use kerf_wire::{DType, TensorRef};
use serde_json::Value;

use crate::limits::{RESULT_ELEMENTS, RESULT_TOP};
use crate::stage::Answerer;

/// How outputs become a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Class names in the order of the first output's last axis; empty where the model is no classifier.
    pub labels: Vec<String>,
    /// Outputs with more elements than this come without data.
    pub elements_max: usize,
}

impl Answer {
    /// With the default bound on elements.
    pub fn new(labels: Vec<String>) -> Self {
        Self {
            labels,
            elements_max: RESULT_ELEMENTS,
        }
    }

    /// The best classes of each row of a batch; empty where the output is not one score a label.
    pub fn rows(&self, output: &TensorRef<'_>) -> Vec<Vec<Label>> {
        let classes = self.labels.len();
        let scores =
            floats(output).filter(|_| classes != 0 && output.shape.last().copied() == u32::try_from(classes).ok());
        let Some(scores) = scores else {
            return Vec::new();
        };
        let best = |row: &[f32]| {
            let row = probabilities(row);
            let label = |index: usize| Label {
                index,
                label: self.labels.get(index).cloned().unwrap_or_default(),
                score: row.get(index).copied().unwrap_or(f32::NAN),
            };
            best(&row, RESULT_TOP).into_iter().map(label).collect()
        };
        scores.chunks_exact(classes).map(best).collect()
    }

    /// One output with its data where it is small.
    pub fn output(&self, name: &str, tensor: &TensorRef<'_>) -> Output {
        let small = kerf_wire::tensor::elements(tensor.shape).is_ok_and(|n| n <= self.elements_max);
        Output {
            name: name.to_owned(),
            dtype: tensor.dtype,
            shape: tensor.shape.to_vec(),
            data: small.then(|| Value::Array(numbers(tensor))),
        }
    }
}

impl Answerer for Answer {
    fn answer(&self, outputs: &[(&str, TensorRef<'_>)]) -> (Vec<Label>, Vec<Output>) {
        let first = outputs.first().map(|(_, tensor)| self.rows(tensor));
        let top = first.unwrap_or_default().into_iter().next().unwrap_or_default();
        (
            top,
            outputs.iter().map(|(name, tensor)| self.output(name, tensor)).collect(),
        )
    }
}

/// Indices of the largest values, largest first; the lower index first where two are equal, NaN never.
pub fn best(row: &[f32], count: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..row.len())
        .filter(|i| row.get(*i).is_some_and(|x| !x.is_nan()))
        .collect();
    indices.sort_by(|a, b| {
        let (a, b) = (row.get(*a), row.get(*b));
        b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal)
    });
    indices.truncate(count);
    indices
}

/// The row itself where it is a distribution, else its softmax.
pub fn probabilities(row: &[f32]) -> Vec<f32> {
    /// Farther from 1 than this is no rounding: a distribution of f16 over 1000 classes stays within it.
    const SUM_TOLERANCE: f32 = 1e-2;
    let sum: f32 = row.iter().sum();
    if row.iter().all(|x| (0.0..=1.0).contains(x)) && (sum - 1.0).abs() <= SUM_TOLERANCE {
        return row.to_vec();
    }
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = row.iter().map(|x| (x - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

fn words<const N: usize>(tensor: &TensorRef<'_>) -> impl Iterator<Item = [u8; N]> {
    let chunks = tensor.bytes.chunks_exact(N);
    chunks.map(|chunk| <[u8; N]>::try_from(chunk).unwrap_or([0; N]))
}

/// The elements as f32; none for types that are no scores.
fn floats(tensor: &TensorRef<'_>) -> Option<Vec<f32>> {
    Some(match tensor.dtype {
        DType::F32 => words(tensor).map(f32::from_le_bytes).collect(),
        #[allow(clippy::cast_possible_truncation, reason = "scores need no more than f32")]
        DType::F64 => words(tensor).map(|w| f64::from_le_bytes(w) as f32).collect(),
        DType::F16 => words(tensor).map(|w| half::f16::from_le_bytes(w).to_f32()).collect(),
        DType::Bf16 => words(tensor).map(|w| half::bf16::from_le_bytes(w).to_f32()).collect(),
        DType::I8 => words(tensor).map(|w| f32::from(i8::from_le_bytes(w))).collect(),
        DType::U8 => tensor.bytes.iter().map(|b| f32::from(*b)).collect(),
        _ => return None,
    })
}

/// A float in its shortest form; NaN and ±∞, which JSON has not, as strings.
fn float(x: f64, text: String) -> Value {
    if !x.is_finite() {
        return Value::String(text);
    }
    let shortest = text.parse().unwrap_or(x);
    serde_json::Number::from_f64(shortest).map_or(Value::String(text), Value::Number)
}

fn numbers(tensor: &TensorRef<'_>) -> Vec<Value> {
    let f32s = |x: f32| float(f64::from(x), x.to_string());
    match tensor.dtype {
        DType::F64 => words(tensor)
            .map(f64::from_le_bytes)
            .map(|x| float(x, x.to_string()))
            .collect(),
        DType::I16 => words(tensor).map(|w| i16::from_le_bytes(w).into()).collect(),
        DType::U16 => words(tensor).map(|w| u16::from_le_bytes(w).into()).collect(),
        DType::I32 => words(tensor).map(|w| i32::from_le_bytes(w).into()).collect(),
        DType::U32 => words(tensor).map(|w| u32::from_le_bytes(w).into()).collect(),
        DType::I64 => words(tensor).map(|w| i64::from_le_bytes(w).into()).collect(),
        DType::U64 => words(tensor).map(|w| u64::from_le_bytes(w).into()).collect(),
        DType::I8 => words(tensor).map(|w| i8::from_le_bytes(w).into()).collect(),
        DType::U8 => tensor.bytes.iter().map(|b| (*b).into()).collect(),
        DType::Bool => tensor.bytes.iter().map(|b| (*b != 0).into()).collect(),
        DType::F32 | DType::F16 | DType::Bf16 => floats(tensor).unwrap_or_default().into_iter().map(f32s).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::tensor::Tensor;

    #[test]
    fn scores_are_probabilities_once() {
        let answer = Answer::new(vec!["a".into(), "b".into(), "c".into()]);
        let logits = Tensor::from_f32(&[1, 3], &[1.0, 3.0, 2.0]).unwrap();
        let rows = answer.rows(&logits.view());
        let names: Vec<&str> = rows[0].iter().map(|l| l.label.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
        // e³ / (e¹ + e² + e³)
        assert!((rows[0][0].score - 0.665_241).abs() < 1e-5);
        let distribution = Tensor::from_f32(&[1, 3], &[0.2, 0.7, 0.1]).unwrap();
        assert!((answer.rows(&distribution.view())[0][0].score - 0.7).abs() < 1e-6);
        let other = Tensor::from_f32(&[1, 4], &[0.0; 4]).unwrap();
        assert!(answer.rows(&other.view()).is_empty());
    }

    #[test]
    fn json_says_what_is_not_finite() {
        let tensor = Tensor::from_f32(&[4], &[0.1, f32::NAN, f32::INFINITY, -0.0]).unwrap();
        let output = Answer::new(Vec::new()).output("x", &tensor.view());
        let text = serde_json::to_string(&output.data).unwrap();
        assert_eq!(text, r#"[0.1,"NaN","inf",-0.0]"#);
    }
}
