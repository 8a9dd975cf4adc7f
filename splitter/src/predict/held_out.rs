//! How good a predictor is: each model in turn is left out, and predicted by what the others taught.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::features::class;
use super::fit::{FitError, Fitted, LEAST_MS};
use super::{Errors, GENERATED, Observation};

/// Two models that have at least this share of their nodes in common are variants of one, and left out together.
const TWINS: f64 = 0.5;
/// Intervals are to hold this share of the nodes of a model that was never seen.
const COVERAGE: f64 = 0.90;
/// What may lie beyond each end among models that were seen, until those left out are covered.
const LEVELS: [f64; 6] = [0.05, 0.04, 0.03, 0.02, 0.01, 0.0];
/// Fewest errors, and models that they are of, for an interval of a class's own.
const FEWEST: (usize, usize) = (40, 4);

/// One model that was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// Its name.
    pub model: String,
    /// The sum of its nodes as measured.
    pub measured_ms: f64,
    /// The sum of its nodes as predicted.
    pub predicted_ms: f64,
    /// Class and ln(measured ÷ predicted) of each of its nodes that took any time; infinite where none was predicted.
    pub node_errors: Vec<(&'static str, f64)>,
    /// Share of these within the 90 % intervals that the other models' errors give.
    pub covered: f64,
}

impl HeldOut {
    /// |predicted − measured| ÷ measured.
    pub fn relative_error(&self) -> f64 {
        (self.predicted_ms - self.measured_ms).abs() / self.measured_ms.max(f64::MIN_POSITIVE)
    }
}

/// Leaves out each model in turn, and with it those that are nearly the same; models whose name begins with [`GENERATED`] teach
/// but are not judged.
///
/// # Errors
/// When too little was measured.
pub fn hold_out(observations: &[Observation]) -> Result<(Vec<HeldOut>, Errors), FitError> {
    let mut models: BTreeMap<&str, Vec<&Observation>> = BTreeMap::new();
    for o in observations {
        models.entry(&o.model).or_default().push(o);
    }
    let judged: Vec<(&str, &Vec<&Observation>)> = models
        .iter()
        .filter(|(name, _)| !name.starts_with(GENERATED))
        .map(|(name, nodes)| (*name, nodes))
        .collect();
    let mut all = on_all_cpus(&judged, |(name, nodes)| {
        let others = models.values().filter(|other| !are_twins(nodes, other));
        left_out(name, nodes, others.flatten().copied())
    })?;
    for index in 0..all.len() {
        let others: Vec<&HeldOut> = all
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != index)
            .map(|(_, h)| h)
            .collect();
        let covered = share_within(&all[index], &intervals(&others));
        all[index].covered = covered;
    }
    let models: Vec<f64> = all
        .iter()
        .map(|held| (held.measured_ms / held.predicted_ms).ln())
        .collect();
    let fold =
        |start: f64, pick: fn(f64, f64) -> f64| models.iter().copied().filter(|e| e.is_finite()).fold(start, pick);
    let errors = Errors {
        node: intervals(&all.iter().collect::<Vec<_>>()),
        model: [fold(0.0, f64::min), fold(0.0, f64::max)],
    };
    Ok((all, errors))
}

/// One model as the others predict it.
fn left_out<'a>(
    name: &str,
    nodes: &[&Observation],
    others: impl Iterator<Item = &'a Observation>,
) -> Result<HeldOut, FitError> {
    let fitted = Fitted::new(others)?;
    let (sum, each) = (fitted.ms(nodes)?, fitted.ms_alone(nodes)?);
    let took = |(o, ms): (&&Observation, &f64)| {
        // What was to take nothing and did take something is beyond every interval.
        let error = if fitted.is_free(o) {
            f64::INFINITY
        } else {
            (o.ms / ms).ln()
        };
        (o.ms >= LEAST_MS).then(|| (class(&o.kind), error))
    };
    Ok(HeldOut {
        model: name.to_owned(),
        measured_ms: nodes.iter().map(|o| o.ms).sum(),
        predicted_ms: sum.iter().sum(),
        node_errors: nodes.iter().zip(&each).filter_map(took).collect(),
        covered: 0.0,
    })
}

/// One result an item, in their order.
fn on_all_cpus<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, FitError> + Sync,
) -> Result<Vec<R>, FitError> {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    let each = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut all: Vec<(usize, Result<R, FitError>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cpus).map(|_| scope.spawn(each)).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, done)| done).collect()
}

/// What a node is, whatever it took and whichever model it is of.
fn likeness(o: &Observation) -> (String, u64, u64) {
    (o.kind.clone(), o.macs.to_bits(), o.elements.to_bits())
}

fn are_twins(a: &[&Observation], b: &[&Observation]) -> bool {
    let of = |all: &[&Observation]| all.iter().map(|o| likeness(o)).collect::<BTreeSet<_>>();
    let (a, b) = (of(a), of(b));
    let fewer = a.len().min(b.len()).max(1);
    a.intersection(&b).count() as f64 >= fewer as f64 * TWINS
}

/// Intervals by class, the empty name for all others: as wide as they must be so that each of these models, judged by the
/// others, is covered on the average over all nodes.
fn intervals(models: &[&HeldOut]) -> BTreeMap<String, [f64; 2]> {
    let judged = |level: f64| {
        let (mut within, mut nodes) = (0.0, 0.0);
        for (index, held) in models.iter().enumerate() {
            let others: Vec<&HeldOut> = models
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != index)
                .map(|(_, h)| *h)
                .collect();
            let count = held.node_errors.len() as f64;
            within += share_within(held, &at_level(&others, level)) * count;
            nodes += count;
        }
        within / f64::max(nodes, 1.0)
    };
    let level = LEVELS.into_iter().find(|level| judged(*level) >= COVERAGE);
    at_level(models, level.unwrap_or(0.0))
}

fn at_level(models: &[&HeldOut], level: f64) -> BTreeMap<String, [f64; 2]> {
    let mut classes: BTreeMap<&str, (Vec<f64>, BTreeSet<&str>)> = BTreeMap::new();
    for held in models {
        for (class, error) in held.node_errors.iter().filter(|(_, error)| error.is_finite()) {
            for name in ["", class] {
                let (errors, of) = classes.entry(name).or_default();
                errors.push(*error);
                of.insert(&held.model);
            }
        }
    }
    classes.retain(|class, (errors, of)| class.is_empty() || errors.len() >= FEWEST.0 && of.len() >= FEWEST.1);
    let interval = |(class, (errors, _)): (&str, (Vec<f64>, _))| (class.to_owned(), quantiles(errors, level));
    classes.into_iter().map(interval).collect()
}

fn share_within(held: &HeldOut, intervals: &BTreeMap<String, [f64; 2]>) -> f64 {
    let is_within = |(class, error): &&(&str, f64)| {
        let [low, high] = interval_of(intervals, class);
        (low..=high).contains(error)
    };
    held.node_errors.iter().filter(is_within).count() as f64 / held.node_errors.len().max(1) as f64
}

/// The interval of a class: its own, or all others'.
pub(super) fn interval_of(intervals: &BTreeMap<String, [f64; 2]>, class: &str) -> [f64; 2] {
    let found = intervals.get(class).or_else(|| intervals.get(""));
    found.copied().unwrap_or_default()
}

/// What lies below and above this share, nearest rank.
fn quantiles(mut errors: Vec<f64>, level: f64) -> [f64; 2] {
    errors.sort_by(f64::total_cmp);
    let last = errors.len().saturating_sub(1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 ≤ share of a length"
    )]
    let skipped = (errors.len() as f64 * level) as usize;
    let at = |index: usize| errors.get(index).copied().unwrap_or(0.0);
    [at(skipped.min(last)), at(last - skipped.min(last))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(model: &str, errors: &[f64]) -> HeldOut {
        HeldOut {
            model: model.to_owned(),
            measured_ms: 1.0,
            predicted_ms: 1.0,
            node_errors: errors.iter().map(|e| ("matrix", *e)).collect(),
            covered: 0.0,
        }
    }

    #[test]
    fn intervals_are_as_wide_as_models_that_were_left_out_need() {
        // Within each model errors are small; models differ. What holds 90 % of all errors together misses a model left out.
        let shift = |by: f64| -> Vec<f64> { (0..100).map(|i| by + f64::from(i) * 1e-4).collect() };
        let all: Vec<HeldOut> = (0..10)
            .map(|i| held(&format!("m{i}"), &shift(f64::from(i) * 0.1)))
            .collect();
        let [low, high] = interval_of(&intervals(&all.iter().collect::<Vec<_>>()), "matrix");
        assert!(low <= 0.0 && high >= 0.9, "{low} {high}");
    }

    #[test]
    fn variants_of_a_model_are_left_out_together() {
        let node = |macs: f64| Observation {
            kind: "Conv:1x1".into(),
            macs,
            ..Observation::default()
        };
        let (a, b, c) = (
            [node(1.0), node(2.0), node(3.0)],
            [node(1.0), node(2.0), node(9.0)],
            [node(7.0), node(8.0), node(3.0)],
        );
        let of = |all: &'static [Observation]| all.iter().collect::<Vec<_>>();
        let [a, b, c] = [a, b, c].map(|all| of(Vec::from(all).leak()));
        assert!(are_twins(&a, &b) && !are_twins(&a, &c));
    }
}
