//! A stage: runs one part of a cut network.
//!
//! Owns: bundles, backends, sources, preprocessing, the spool, the broker and the object store.
//! Must not know: graphs, cuts, how a model is split (that is the splitter's), which board it runs on.
//! Start at [`backend`] for engines, [`broker`] for links, `stage` for the loop that joins them.

pub mod alive;
pub mod backend;
pub mod broker;
pub mod bundle;
pub mod config;
pub mod exit;
pub mod exits;
pub mod health;
#[cfg(feature = "http")]
pub mod http;
pub mod job;
pub mod limits;
pub mod logging;
pub mod measure;
pub mod memory;
pub mod metrics;
pub mod object;
pub mod panic;
pub mod preprocess;
pub mod ranges;
pub mod result;
pub mod self_test;
pub mod source;
pub mod spool;
pub mod stage;
pub mod step;
pub mod storage;
pub mod tensor;

pub use kerf_wire as wire;
