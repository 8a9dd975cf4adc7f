//! ONNX files: reading them without loading their weights.
//!
//! Owns: the protobuf, what a file may contain, where each piece of it stands, how a new piece is written. Must not know: cuts, engines.
//! Start at [`Model::read`]: a scan that counts, then a decode of what the scan allowed, then the external data.

mod check;
pub mod declare;
mod element;
mod error;
mod external;
mod model;
mod scan;
mod scan_tensor;
mod schema;
mod source;
mod standard;
mod whole;
pub(crate) mod write;

#[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, reason = "generated")]
#[rustfmt::skip]
pub mod proto;

pub use element::ElementType;
pub use error::ReadError;
pub use model::{Initialiser, Model, Stored};
pub use source::{Source, Span};
pub(crate) use standard::{is_standard, opset};
pub use whole::read_whole;
