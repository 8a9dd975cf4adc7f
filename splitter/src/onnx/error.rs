//! Why a model was refused.

use std::io;
use std::path::PathBuf;

/// Why a model's file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such file.
    #[error("{}: no such file", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and does not read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: io::Error,
    },
    /// The bytes are no protobuf of a model.
    #[error("not a valid ONNX file: at byte {at}: {what}")]
    Malformed {
        /// Bytes from the file's start.
        at: u64,
        /// Expected and got.
        what: String,
    },
    /// Over a bound of [`crate::limits`].
    #[error("model is over a limit: {got} {what}, the limit is {limit}")]
    OverLimit {
        /// What was counted, with its unit.
        what: &'static str,
        /// The count.
        got: u64,
        /// The bound.
        limit: u64,
    },
    /// A model that contradicts itself or the ONNX specification.
    #[error("model is not valid: {0}")]
    Invalid(String),
    /// External data that may not or cannot be read.
    #[error("tensor {tensor:?}: external data {location:?}: {why}")]
    External {
        /// The tensor.
        tensor: String,
        /// The location as the model gives it.
        location: String,
        /// What is wrong with it.
        why: String,
    },
}

pub(super) fn invalid<T>(text: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Invalid(text.into()))
}
