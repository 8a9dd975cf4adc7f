//! Why a part was not loaded, and how that ends the program.

use kerf_wire::manifest::Format;

use crate::backend::{BackendError, UnknownBackend};
use crate::bundle::BundleError;

/// Why a part was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The backend did not take it.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The program has no such backend.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// There is no artifact in the backend's formats.
    #[error("backend {backend} loads {formats:?}, and {what} has no artifact in these formats")]
    NoArtifact {
        /// The backend.
        backend: &'static str,
        /// The part or file.
        what: String,
        /// What it loads.
        formats: &'static [Format],
    },
    /// The list was empty.
    #[error("no backend is named")]
    NoBackend,
}

impl From<LoadError> for crate::exit::Failure {
    fn from(error: LoadError) -> Self {
        use crate::exit::{Exit, Failure};
        match error {
            LoadError::Bundle(error) => error.into(),
            LoadError::Backend(error) => error.into(),
            LoadError::Unknown(error) => error.into(),
            LoadError::NoArtifact { .. } => Failure::new(Exit::BackendMissing, error),
            LoadError::NoBackend => Failure::new(Exit::Usage, error),
        }
    }
}
