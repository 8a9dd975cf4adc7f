//! Fitting codecs to what crosses a cut, and judging what they cost in accuracy.
//!
//! Owns: calibration data, fitting `dct`'s tables, running what lies behind a cut on decoded tensors, the baselines that
//! a codec is compared with. Must not know: how a codec works (`kerf_wire::codec`), how a bundle is written.
//! Start at [`Trial`], which judges, and [`fit`], which searches.
//!
//! Loss is always against the same parts with raw tensors, on data that nothing was fitted on: the share of inputs whose
//! best class changes, or, where the model is no classifier, how far its first output moves.

mod baseline;
mod data;
pub mod decorrelate;
mod fit;
mod rows;
mod table;
mod tally;
mod trial;

pub use baseline::{jpeg, uniform};
pub use data::{Data, DataArgs, Labelled};
pub use fit::{BASE_STEP, Fitted, coarser, codec, codecs, fit};
pub use table::{Blocks, SENSITIVITY, table};
pub use tally::{Score, best_class, distance};
pub use trial::{Passed, Sample, Trial, TrialError};
