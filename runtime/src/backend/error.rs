//! Why a backend did not load a part, and why a run failed.

use std::path::PathBuf;

/// Why a backend did not load a part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The feature is off, or a library, version or device is missing.
    #[error("backend {backend}: {what}")]
    Missing {
        /// Which backend.
        backend: &'static str,
        /// What is missing and how to get it.
        what: String,
    },
    /// The engine does not take the artifact.
    #[error("backend {backend} refuses {}: {why}", artifact.display())]
    Refused {
        /// Which backend.
        backend: &'static str,
        /// The artifact's file.
        artifact: PathBuf,
        /// The node or operator, and what is wrong with it.
        why: String,
    },
    /// An option that this backend does not have.
    #[error("backend {backend} has no {option}")]
    Option {
        /// Which backend.
        backend: &'static str,
        /// e.g. `device "GPU"`.
        option: String,
    },
    /// It answers the bundle's self-test wrongly.
    #[error("backend {backend} answers the self-test wrongly: {what}")]
    SelfTest {
        /// Which backend.
        backend: &'static str,
        /// Which value, the difference and the tolerance.
        what: String,
    },
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The number of tensors is wrong.
    #[error("expected {expected} {what}, got {got}")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// The session's number.
        expected: usize,
        /// The call's number.
        got: usize,
    },
    /// A tensor does not fit.
    #[error("value {name}: expected {expected}, got {got}")]
    Mismatch {
        /// The value.
        name: String,
        /// Its spec.
        expected: String,
        /// What came.
        got: String,
    },
    /// The engine failed.
    #[error("engine failed: {0}")]
    Engine(String),
    /// The engine cannot do this.
    #[error("this backend has no {0}")]
    Unsupported(&'static str),
}
