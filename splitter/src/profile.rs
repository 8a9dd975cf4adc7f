//! Profiles: what a model costs on a machine, measured here, and brought to the nodes of its graph.
//!
//! Owns: measuring whole models and codecs with the runtime's engines; which node a kernel belongs to, and what is left over.
//! Must not know: plans, cuts. Start at [`profile_model`] and at [`attribute`].

pub mod attribute;
pub mod codecs;
pub mod remote;
mod rounds;
mod run;
pub mod sweep;
mod taps;

pub use attribute::{Attribution, attribute};
pub use codecs::{CodecJob, measure_codecs};
pub use rounds::{Refused, Steady, profile_in_rounds};
pub use run::{Job, Loaded, ProfileRunError, profile_model};
