//! How good a predictor is: each model in turn is left out, and predicted by what the others taught.

use std::collections::BTreeSet;

use super::fit::{FitError, Fitted, LEAST_MS};
use super::{Errors, Observation};

/// One model that was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// Its name.
    pub model: String,
    /// The sum of its nodes as measured.
    pub measured_ms: f64,
    /// The sum of its nodes as predicted.
    pub predicted_ms: f64,
    /// ln(measured ÷ predicted) of each of its nodes that took any time.
    pub node_errors: Vec<f64>,
    /// Share of these within the 90 % interval that the other models' errors give.
    pub covered: f64,
}

impl HeldOut {
    /// |predicted − measured| ÷ measured.
    pub fn relative_error(&self) -> f64 {
        (self.predicted_ms - self.measured_ms).abs() / self.measured_ms.max(f64::MIN_POSITIVE)
    }
}

/// Leaves out each model in turn; those whose name begins with `generated` teach but are not judged.
///
/// # Errors
/// When too little was measured.
pub fn hold_out(observations: &[Observation]) -> Result<(Vec<HeldOut>, Errors), FitError> {
    let names: BTreeSet<&str> = observations.iter().map(|o| o.model.as_str()).collect();
    let mut all = Vec::new();
    for name in names.into_iter().filter(|name| !name.starts_with("generated")) {
        let fitted = Fitted::new(observations.iter().filter(|o| o.model != name))?;
        let nodes: Vec<&Observation> = observations
            .iter()
            .filter(|o| o.model == name && o.ms >= LEAST_MS)
            .collect();
        let predicted = fitted.ms(&nodes)?;
        all.push(HeldOut {
            model: name.to_owned(),
            measured_ms: nodes.iter().map(|o| o.ms).sum(),
            predicted_ms: predicted.iter().sum(),
            node_errors: nodes.iter().zip(&predicted).map(|(o, ms)| (o.ms / ms).ln()).collect(),
            covered: 0.0,
        });
    }
    cover(&mut all);
    let nodes: Vec<f64> = all.iter().flat_map(|held| held.node_errors.iter().copied()).collect();
    let models: Vec<f64> = all
        .iter()
        .map(|held| (held.measured_ms / held.predicted_ms).ln())
        .collect();
    let fold =
        |start: f64, pick: fn(f64, f64) -> f64| models.iter().copied().filter(|e| e.is_finite()).fold(start, pick);
    let errors = Errors {
        node: quantiles(nodes),
        model: [fold(0.0, f64::min), fold(0.0, f64::max)],
    };
    Ok((all, errors))
}

/// For each model the interval that all the others give: nothing is judged by itself.
fn cover(all: &mut [HeldOut]) {
    for index in 0..all.len() {
        let others = all.iter().enumerate().filter(|(other, _)| *other != index);
        let [low, high] = quantiles(others.flat_map(|(_, held)| held.node_errors.iter().copied()).collect());
        let held = &mut all[index];
        let within = held.node_errors.iter().filter(|e| (low..=high).contains(*e)).count();
        held.covered = within as f64 / held.node_errors.len().max(1) as f64;
    }
}

/// 5 % and 95 %, nearest rank.
fn quantiles(mut errors: Vec<f64>) -> [f64; 2] {
    errors.sort_by(f64::total_cmp);
    let last = errors.len().saturating_sub(1);
    let at = |index: usize| errors.get(index.min(last)).copied().unwrap_or(0.0);
    [
        at(errors.len() * 5 / 100),
        at((errors.len() * 95).div_ceil(100).saturating_sub(1)),
    ]
}
