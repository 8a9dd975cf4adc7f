//! Early exits: outputs of a graph at which a stage may answer by itself.
//!
//! Owns: finding them from the graph's structure, and fitting a threshold to labelled answers.
//! Must not know: engines, files; the policy itself is [`kerf_runtime::exits`].
//! Start at [`branches`].

mod branch;
mod fit;

pub use branch::{Branch, BranchError, branches};
pub use fit::{Answered, Point, curve, fit};
