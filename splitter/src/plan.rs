//! Plans: where a cut pays, or that none does.
//!
//! Owns: the cost model, the exact searches over all legal cuts, baselines, ranges, fronts and the verdict.
//! Must not know: ONNX, engines, how anything was measured (that is `profile`), files of a bundle (that is `emit`).
//! Start at [`planner`], which turns a [`case`] into a [`document`]; at [`network`] for what is searched, [`mincut`] for how.
//!
//! | question | how | limit |
//! |---|---|---|
//! | additive cost (latency, energy, bytes, money), any ordered tiers | [`mincut`], exact | none |
//! | throughput, memory limits, second goals | [`search`], exact within a stated number of steps | [`limits::MAX_SEARCH_STEPS`] |
//! | best cut over a range of bandwidths or RTTs | [`envelope`], exact | none |

pub mod baseline;
pub mod case;
pub mod choose;
pub mod document;
pub mod envelope;
pub mod goal;
pub mod limits;
pub mod maxflow;
pub mod mincut;
pub mod network;
pub mod of_graph;
pub mod outcome;
pub mod planner;
pub mod ranges;
pub mod search;
pub mod verdict;

pub use case::Case;
pub use document::Plan;
pub use goal::Goal;
pub use planner::{Question, plan};
