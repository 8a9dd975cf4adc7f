//! The object store: frames too large for the broker, by their SHA-256.
//!
//! Owns: bodies by digest. Must not know: frames, brokers.
//! Start at [`ObjectStore`]; [`directory`] is a folder that both stages see, `s3` (feature `s3`) any S3-compatible store.
//!
//! A store is not trusted: what it gives back is measured against its digest, each time.

pub mod directory;
#[cfg(feature = "s3")]
pub mod s3;

use kerf_wire::Digest;
use sha2::{Digest as _, Sha256};

/// Longest body, bytes: the longest sealed message.
pub const MAX_BODY_BYTES: u64 = kerf_wire::limits::MAX_MESSAGE_BYTES as u64;

/// The name of a body.
pub fn digest_of(body: &[u8]) -> Digest {
    Digest(Sha256::digest(body).into())
}

/// Gives a fetched body on only where it is what was asked for.
///
/// # Errors
/// [`ObjectError::Damaged`], with length or digest, expected and got.
pub fn checked(digest: &Digest, bytes: u64, body: Vec<u8>) -> Result<Vec<u8>, ObjectError> {
    let damaged = |what: String| ObjectError::Damaged { digest: *digest, what };
    if body.len() as u64 != bytes {
        return Err(damaged(format!("expected {bytes} bytes, got {}", body.len())));
    }
    let got = digest_of(&body);
    if got != *digest {
        return Err(damaged(format!("its bytes have SHA-256 {got}")));
    }
    Ok(body)
}

/// Puts and fetches bodies by digest.
pub trait ObjectStore: Send {
    /// Stores a body; storing it again is no error, and mends one that was damaged. Gives a location for readers without keys, or an empty string.
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
    /// A reference names more bytes than any frame has.
    #[error("object {digest} is over the limit: expected at most {MAX_BODY_BYTES} bytes, got {got}")]
    TooLarge {
        /// What was asked for.
        digest: Digest,
        /// What the reference says.
        got: u64,
    },
    /// Its bytes are not what they should be.
    #[error("object {digest} is damaged: {what}")]
    Damaged {
        /// What was asked for.
        digest: Digest,
        /// Length or digest, expected and got.
        what: String,
    },
}
