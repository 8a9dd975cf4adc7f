//! The object store: frames too large for the broker, by their SHA-256.
//!
//! Owns: bodies by digest. Must not know: frames, brokers.
//! Start at [`ObjectStore`]; [`directory`] is a folder that both stages see, `s3` (feature `s3`) any S3-compatible store.
//!
//! A store is not trusted: what it gives back is measured against its digest, each time.

pub mod directory;
mod open;
#[cfg(feature = "s3")]
pub mod s3;

#[cfg(feature = "s3")]
pub use open::{authority, open_s3};
pub use open::{open, open_folder};

use crate::exit::Exit;
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

/// Most objects that one listing gives; what is behind them comes when those before are gone.
pub const MAX_LISTED: usize = 10_000;

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key, prefix included.
    pub key: String,
    /// Its length.
    pub bytes: u64,
}

/// Objects by key, for a stage that is fed from a bucket. Keys are `/`-separated.
pub trait Folder: Send {
    /// What lies under a prefix, by key, at most [`MAX_LISTED`].
    ///
    /// # Errors
    /// When the store is not reachable or refuses.
    fn list(&mut self, prefix: &str) -> Result<Vec<Entry>, ObjectError>;
    /// An object of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ObjectError::Absent`] when it is not there, [`ObjectError::Longer`] when it is longer.
    fn read(&mut self, key: &str, limit: u64) -> Result<Vec<u8>, ObjectError>;
    /// Puts an object, whole or not at all, over whatever has this key.
    ///
    /// # Errors
    /// When the store is not reachable or refuses.
    fn write(&mut self, key: &str, body: &[u8]) -> Result<(), ObjectError>;
    /// Removes an object; a missing one is no error.
    ///
    /// # Errors
    /// When the store is not reachable or refuses.
    fn delete(&mut self, key: &str) -> Result<(), ObjectError>;
}

impl ObjectError {
    /// The exit code at the start; a running stage shows it and goes on.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unauthorised { .. } => Exit::NotAuthorised,
            _ => Exit::StoreUnreachable,
        }
    }
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
    /// Nothing has this key.
    #[error("object {0:?} is not in the store")]
    Absent(String),
    /// An object is longer than what is taken.
    #[error("object {key:?} is over the limit: expected at most {limit} bytes")]
    Longer {
        /// Its key.
        key: String,
        /// The limit.
        limit: u64,
    },
    /// A key that names nothing within the folder.
    #[error("object key {0:?} is not plain: expected names separated by '/', without '.' and '..'")]
    BadKey(String),
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
