//! The regression: a line for each kind of node, corrected by boosted trees.

use std::collections::BTreeMap;

use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::xgboost::{XGRegressor, XGRegressorParameters};

use super::features::{SHAPE_FEATURES, class};
use super::held_out::interval_of;
use super::linear::Linear;
use super::{Errors, Observation};

/// Fewest observations of a kind that get a line of their own.
const FEWEST: usize = 5;
/// Fewest observations for which trees are grown.
const FEWEST_FOR_TREES: usize = 40;
/// Trees, each of half of the nodes: more of both take seconds longer and predict no better.
const TREES: usize = 80;
/// What happens to this share of nodes lies outside of an interval's end.
const RARE: f64 = 0.05;
/// Nodes below this, milliseconds, are fused or free: they say nothing about their kind.
pub(super) const LEAST_MS: f64 = 2e-4;

type Trees = XGRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>;

/// Why nothing could be fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// Too little was measured.
    #[error("{got} observations above {LEAST_MS} ms, expected at least {FEWEST}")]
    TooFew {
        /// How many.
        got: usize,
    },
    /// The library refused.
    #[error("fitting: {0}")]
    Library(String),
}

/// A fitted predictor.
pub struct Fitted {
    /// By [`names`], the narrow ones first; what was never measured goes by a wider one.
    groups: BTreeMap<String, Group>,
    any: Group,
    kinds: Vec<String>,
    trees: Option<Trees>,
    /// Mean of measured ÷ predicted. Logarithms predict the middle, sums need the mean: the smearing estimate (Duan 1983).
    mean: f64,
}

/// Nodes of one sort.
#[derive(Debug, Clone, Copy)]
struct Group {
    line: Linear,
    /// Share of them that took no time of their own: they had become part of another.
    free: f64,
}

impl Group {
    fn of(all: &[&Observation]) -> Self {
        let free = all.iter().filter(|o| o.ms < LEAST_MS).count();
        Self {
            line: Linear::fit(all.iter().copied().filter(|o| o.ms >= LEAST_MS)),
            free: free as f64 / all.len().max(1) as f64,
        }
    }
}

/// What a node is fitted with, from narrow to wide.
fn names(o: &Observation) -> [String; 3] {
    [
        format!("{} behind {}", o.kind, o.behind),
        o.kind.clone(),
        format!("class {}", class(&o.kind)),
    ]
}

/// A predicted time with its interval, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Predicted {
    /// The middle.
    pub ms: f64,
    /// 5 of 100 are below.
    pub low_ms: f64,
    /// 5 of 100 are above.
    pub high_ms: f64,
}

impl Fitted {
    /// Fits to these observations.
    ///
    /// # Errors
    /// When there are too few.
    pub fn new<'a>(observations: impl Iterator<Item = &'a Observation>) -> Result<Self, FitError> {
        let all: Vec<&Observation> = observations.collect();
        let used: Vec<&Observation> = all.iter().copied().filter(|o| o.ms >= LEAST_MS).collect();
        if used.len() < FEWEST {
            return Err(FitError::TooFew { got: used.len() });
        }
        let mut grouped: BTreeMap<String, Vec<&Observation>> = BTreeMap::new();
        for o in &all {
            for name in names(o) {
                grouped.entry(name).or_default().push(o);
            }
        }
        grouped.retain(|_, all| all.len() >= FEWEST);
        let mut kinds: Vec<String> = used.iter().map(|o| o.kind.clone()).collect();
        kinds.sort();
        kinds.dedup();
        let mut fitted = Self {
            any: Group::of(&all),
            groups: grouped.into_iter().map(|(name, all)| (name, Group::of(&all))).collect(),
            kinds,
            trees: None,
            mean: 1.0,
        };
        if used.len() >= FEWEST_FOR_TREES {
            fitted.trees = Some(fitted.grow(&used)?);
            let predicted = fitted.ms_alone(&used)?;
            let ratios = used.iter().zip(predicted).map(|(o, ms)| o.ms / ms);
            fitted.mean = ratios.sum::<f64>() / used.len() as f64;
        }
        Ok(fitted)
    }

    fn group(&self, o: &Observation) -> &Group {
        names(o)
            .iter()
            .find_map(|name| self.groups.get(name))
            .unwrap_or(&self.any)
    }

    fn line_ms(&self, o: &Observation) -> f64 {
        self.group(o).line.ms(o)
    }

    fn row(&self, o: &Observation) -> Vec<f64> {
        let mut row = Vec::with_capacity(SHAPE_FEATURES + 2);
        row.extend(o.shape());
        row.push(self.line_ms(o).ln());
        // Sorted by name, so that kinds of one operator are neighbours; one that was never measured stands behind all.
        let at = self.kinds.binary_search(&o.kind).unwrap_or(self.kinds.len());
        row.push(at as f64);
        row
    }

    fn matrix(&self, observations: &[&Observation]) -> Result<DenseMatrix<f64>, FitError> {
        let rows: Vec<Vec<f64>> = observations.iter().map(|o| self.row(o)).collect();
        DenseMatrix::from_2d_vec(&rows).map_err(|why| FitError::Library(why.to_string()))
    }

    fn grow(&self, used: &[&Observation]) -> Result<Trees, FitError> {
        let missing: Vec<f64> = used.iter().map(|o| (o.ms / self.line_ms(o)).ln()).collect();
        let parameters = XGRegressorParameters::default()
            .with_n_estimators(TREES)
            .with_learning_rate(0.12)
            .with_max_depth(5)
            .with_min_child_weight(4)
            .with_lambda(1.0)
            .with_base_score(0.0)
            .with_subsample(0.5)
            .with_seed(1);
        XGRegressor::fit(&self.matrix(used)?, &missing, parameters).map_err(|why| FitError::Library(why.to_string()))
    }

    /// Milliseconds of each node as it counts in a model: a node that may become part of another counts by how often it does not.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn ms(&self, nodes: &[&Observation]) -> Result<Vec<f64>, FitError> {
        let alone = self.ms_alone(nodes)?;
        let counts = |(o, ms): (&&Observation, f64)| ms * self.mean * (1.0 - self.group(o).free);
        Ok(nodes.iter().zip(alone).map(counts).collect())
    }

    /// Milliseconds of each node where it does not become part of another.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn ms_alone(&self, nodes: &[&Observation]) -> Result<Vec<f64>, FitError> {
        let lines = nodes.iter().map(|o| self.line_ms(o));
        let Some(trees) = self.trees.as_ref().filter(|_| !nodes.is_empty()) else {
            return Ok(lines.collect());
        };
        let corrections = trees
            .predict(&self.matrix(nodes)?)
            .map_err(|why| FitError::Library(why.to_string()))?;
        Ok(lines
            .zip(corrections)
            .map(|(ms, correction)| ms * correction.exp())
            .collect())
    }

    /// True for a node that hardly ever takes anything: it becomes part of another.
    pub fn is_free(&self, o: &Observation) -> bool {
        self.group(o).free >= 1.0 - RARE
    }

    /// As [`Fitted::ms`], with intervals.
    ///
    /// # Errors
    /// As [`Fitted::ms`].
    pub fn predict(&self, nodes: &[&Observation], errors: &Errors) -> Result<Vec<Predicted>, FitError> {
        let (all, alone) = (self.ms(nodes)?, self.ms_alone(nodes)?);
        let each = nodes.iter().zip(all.into_iter().zip(alone));
        Ok(each
            .map(|(o, (ms, alone))| {
                let [low, high] = interval_of(&errors.node, class(&o.kind));
                let free = self.group(o).free;
                Predicted {
                    ms,
                    // It may well take nothing.
                    low_ms: if free > RARE { 0.0 } else { (alone * low.exp()).min(ms) },
                    high_ms: if self.is_free(o) {
                        ms
                    } else {
                        (alone * high.exp()).max(ms)
                    },
                }
            })
            .collect())
    }
}
