//! Plans: where a cut pays, or that none does.
//!
//! Owns: the cost model, the exact searches over all legal cuts, baselines, ranges, fronts and the verdict.
//! Must not know: ONNX, engines, how anything was measured (that is `profile`), files of a bundle (that is `emit`).
//! Start at [`network`] for what is searched, [`mincut`] for how; [`search`] where costs do not add.
//!
//! | question | how | limit |
//! |---|---|---|
//! | additive cost (latency, energy, bytes, money), any ordered tiers | [`mincut`], exact | none |
//! | throughput, memory limits, second goals | [`search`], exact within a stated number of steps | [`limits::MAX_SEARCH_STEPS`] |
//! | best cut over a range of bandwidths or RTTs | [`envelope`], exact | none |

pub mod envelope;
pub mod limits;
pub mod maxflow;
pub mod mincut;
pub mod network;
pub mod search;
