//! The object store: frames too large for the broker, by their SHA-256.

use kerf_wire::Digest;

/// Puts and fetches bodies by digest.
pub trait ObjectStore: Send {
    /// Stores a body; storing it again is no error. Gives a location for readers without keys, or an empty string.
    ///
    /// # Errors
    /// When the store is not reachable or refuses.
    fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError>;
    /// Fetches a body of exactly `bytes` bytes and checks its digest. `location` is what `put` gave.
    ///
    /// # Errors
    /// When it is missing, longer or shorter, or not what the digest says.
    fn fetch(&mut self, digest: &Digest, bytes: u64, location: &str) -> Result<Vec<u8>, ObjectError>;
    /// Removes a body; a missing one is no error.
    ///
    /// # Errors
    /// When the store is not reachable or refuses.
    fn remove(&mut self, digest: &Digest) -> Result<(), ObjectError>;
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// No connection: exit code 42 at start, retried in a running stage.
    #[error("object store {store} is not reachable: {why}")]
    Unreachable {
        /// Its endpoint or folder.
        store: String,
        /// The cause.
        why: String,
    },
    /// Wrong keys.
    #[error("object store {store} does not authorise us: {why}")]
    Unauthorised {
        /// Its endpoint.
        store: String,
        /// The cause.
        why: String,
    },
    /// It is not there.
    #[error("object {0} is not in the store")]
    Missing(Digest),
    /// Its bytes are not what they should be.
    #[error("object {digest} is damaged: {what}")]
    Damaged {
        /// What was asked for.
        digest: Digest,
        /// Length or digest, expected and got.
        what: String,
    },
}
