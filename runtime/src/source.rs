//! Sources: where a stage's inputs come from.
//!
//! Owns: images, tensor files and frame files as inputs, each read with bounds.
//! Must not know: engines, brokers. Its rooms: `files` lists and chooses, `picture` decodes, `npy` and `npz` hold tensors,
//! `frame` opens frame files. Start at [`Reader`].

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use kerf_wire::InferenceResult;

use crate::broker::Waker;
use crate::tensor::Tensor;

mod batch;
pub mod camera;
pub mod files;
pub mod frame;
pub mod messages;
pub mod npy;
pub mod npz;
pub mod picture;
mod reader;
pub mod watch;

pub use batch::concatenate;
pub use reader::Reader;

/// One input: a tensor for each graph input or crossing value that it names.
#[derive(Debug, Clone, Default, PartialEq)]
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

    /// When the last input was there and its reading began, for sources that wait for their inputs; none for others.
    fn begun(&self) -> Option<Instant> {
        None
    }
}

/// Tells a source that one of its inputs is answered, from another thread.
#[derive(Debug, Clone)]
pub struct Answers {
    sender: Sender<(String, InferenceResult)>,
    waker: Option<Waker>,
}

impl Answers {
    fn new(waker: Option<Waker>) -> (Self, Receiver<(String, InferenceResult)>) {
        let (sender, receiver) = channel();
        (Self { sender, waker }, receiver)
    }

    /// The result of the input of this label.
    pub fn answered(&self, label: &str, result: &InferenceResult) {
        let told = self.sender.send((label.to_owned(), result.clone()));
        if let (Ok(()), Some(waker)) = (told, &self.waker) {
            waker.wake();
        }
    }
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
    /// It is readable and not what the part takes.
    #[error("{path} does not fit: {what}")]
    DoesNotFit {
        /// The file.
        path: String,
        /// Which value, expected and got.
        what: String,
    },
}

/// A file's contents, bounded.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, SourceError> {
    use crate::bundle::BundleError;
    crate::bundle::read_bounded(path, limit).map_err(|error| match error {
        BundleError::TooLong { got, limit, .. } => SourceError::OverLimit {
            path: path.display().to_string(),
            what: format!("expected at most {limit} bytes, got {got}"),
        },
        BundleError::Unreadable { why, .. } => unreadable(path, why),
        other => unreadable(path, other),
    })
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> SourceError {
    SourceError::Unreadable {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}
