//! Sources: where a stage's inputs come from.

use crate::tensor::Tensor;

/// One input: a tensor for each graph input or crossing value that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// What a person would call it: a file name, a frame id.
    pub label: String,
    /// Tensors by value name.
    pub tensors: Vec<(String, Tensor)>,
}

/// Gives inputs one after the other.
pub trait Source {
    /// The next input; none at the end.
    ///
    /// # Errors
    /// When an input cannot be read; the next call goes on behind it.
    fn next(&mut self) -> Result<Option<Input>, SourceError>;
}

/// Why an input could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file is missing or cannot be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The cause.
        why: String,
    },
    /// It is over a bound.
    #[error("{path} is over the limit: {what}")]
    OverLimit {
        /// The file.
        path: String,
        /// Which bound, expected and got.
        what: String,
    },
}
