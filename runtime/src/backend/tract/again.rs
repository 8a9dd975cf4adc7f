//! An artifact that may be read again: what a new input shape needs, without its weights in memory until it comes.
//!
//! Owns: where the files are and what their bytes must be. Must not know: shapes, plans.

use std::sync::Arc;

use kerf_wire::Digest;

use crate::backend::{Artifact, Companion};
use crate::bundle::{BundleError, digest, read_exact};
use crate::limits::{MAX_ARTIFACT_BYTES, MAX_COMPANION_BYTES};

/// An artifact without its bytes.
pub(super) struct Again {
    artifact: Artifact,
    bytes: u64,
    companions: Vec<(u64, Digest)>,
}

impl Again {
    /// Remembers files and digests, not the bytes.
    pub(super) fn of(artifact: &Artifact) -> Self {
        let companions = artifact
            .companions
            .iter()
            .map(|c| (length(&c.contents), digest(&c.contents)));
        let emptied = artifact.companions.iter().map(|c| Companion {
            path: c.path.clone(),
            name: c.name.clone(),
            contents: Arc::default(),
        });
        Self {
            bytes: length(&artifact.contents),
            companions: companions.collect(),
            artifact: Artifact {
                contents: Arc::default(),
                companions: emptied.collect(),
                ..artifact.clone()
            },
        }
    }

    /// The artifact as it was.
    ///
    /// # Errors
    /// When a file is gone or has other bytes than it had.
    pub(super) fn read(&self) -> Result<Artifact, BundleError> {
        let mut artifact = self.artifact.clone();
        let read = |path, bytes, sha256, limit| read_exact(path, bytes, sha256, limit).map(Arc::new);
        artifact.contents = read(&artifact.path, self.bytes, artifact.sha256, MAX_ARTIFACT_BYTES)?;
        for (companion, (bytes, sha256)) in artifact.companions.iter_mut().zip(&self.companions) {
            companion.contents = read(&companion.path, *bytes, *sha256, MAX_COMPANION_BYTES)?;
        }
        Ok(artifact)
    }
}

fn length(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}
