//! The regression: a line for each kind of node, corrected by boosted trees.

use std::collections::BTreeMap;

use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::xgboost::{XGRegressor, XGRegressorParameters};

use super::features::SHAPE_FEATURES;
use super::linear::Linear;
use super::{Errors, Observation};

/// Fewest observations of a kind that get a line of their own.
const FEWEST: usize = 5;
/// Fewest observations for which trees are grown.
const FEWEST_FOR_TREES: usize = 40;
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
    lines: BTreeMap<String, Linear>,
    /// For kinds that were never measured.
    any: Linear,
    kinds: Vec<String>,
    trees: Option<Trees>,
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
        let used: Vec<&Observation> = observations.filter(|o| o.ms >= LEAST_MS).collect();
        if used.len() < FEWEST {
            return Err(FitError::TooFew { got: used.len() });
        }
        let mut by_kind: BTreeMap<String, Vec<&Observation>> = BTreeMap::new();
        for o in &used {
            by_kind.entry(o.kind.clone()).or_default().push(o);
        }
        by_kind.retain(|_, all| all.len() >= FEWEST);
        let line = |(kind, all): (&String, &Vec<&Observation>)| (kind.clone(), Linear::fit(all.iter().copied()));
        let mut fitted = Self {
            lines: by_kind.iter().map(line).collect(),
            any: Linear::fit(used.iter().copied()),
            kinds: by_kind.keys().cloned().collect(),
            trees: None,
        };
        if used.len() >= FEWEST_FOR_TREES {
            fitted.trees = Some(fitted.grow(&used)?);
        }
        Ok(fitted)
    }

    fn line_ms(&self, o: &Observation) -> f64 {
        self.lines.get(&o.kind).unwrap_or(&self.any).ms(o)
    }

    fn row(&self, o: &Observation) -> Vec<f64> {
        let mut row = Vec::with_capacity(SHAPE_FEATURES + 1 + self.kinds.len());
        row.extend(o.shape());
        row.push(self.line_ms(o).ln());
        row.extend(self.kinds.iter().map(|kind| f64::from(u8::from(*kind == o.kind))));
        row
    }

    fn matrix(&self, observations: &[&Observation]) -> Result<DenseMatrix<f64>, FitError> {
        let rows: Vec<Vec<f64>> = observations.iter().map(|o| self.row(o)).collect();
        DenseMatrix::from_2d_vec(&rows).map_err(|why| FitError::Library(why.to_string()))
    }

    fn grow(&self, used: &[&Observation]) -> Result<Trees, FitError> {
        let missing: Vec<f64> = used.iter().map(|o| (o.ms / self.line_ms(o)).ln()).collect();
        let parameters = XGRegressorParameters::default()
            .with_n_estimators(80)
            .with_learning_rate(0.1)
            .with_max_depth(4)
            .with_min_child_weight(4)
            .with_lambda(1.0)
            .with_base_score(0.0)
            .with_subsample(0.8)
            .with_seed(1);
        XGRegressor::fit(&self.matrix(used)?, &missing, parameters).map_err(|why| FitError::Library(why.to_string()))
    }

    /// Milliseconds of each node.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn ms(&self, nodes: &[&Observation]) -> Result<Vec<f64>, FitError> {
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

    /// As [`Fitted::ms`], with intervals.
    ///
    /// # Errors
    /// As [`Fitted::ms`].
    pub fn predict(&self, nodes: &[&Observation], errors: &Errors) -> Result<Vec<Predicted>, FitError> {
        let [low, high] = errors.node;
        let all = self.ms(nodes)?.into_iter();
        Ok(all
            .map(|ms| Predicted {
                ms,
                low_ms: ms * low.min(0.0).exp(),
                high_ms: ms * high.max(0.0).exp(),
            })
            .collect())
    }
}
