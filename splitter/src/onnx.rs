//! ONNX files: the generated types, and reading them.

#[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, reason = "generated")]
#[rustfmt::skip]
pub mod proto;
