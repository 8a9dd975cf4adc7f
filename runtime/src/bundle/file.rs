//! Reads a file once, bounded, and says what its SHA-256 is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use kerf_wire::Digest;
use sha2::{Digest as _, Sha256};

use super::BundleError;

/// SHA-256 of bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Reads a regular file of at most `limit` bytes; a link is refused.
///
/// # Errors
/// When it is missing, no regular file, or longer.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let unreadable = |why| BundleError::Unreadable {
        path: path.to_owned(),
        why,
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(BundleError::NotAFile { path: path.to_owned() });
    }
    let too_long = |got| BundleError::TooLong {
        path: path.to_owned(),
        got,
        limit,
    };
    if metadata.len() > limit {
        return Err(too_long(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).map_err(|_| too_long(metadata.len()))?);
    // One byte more than allowed: a file that grows while it is read is seen, not followed.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let got = bytes.len() as u64;
    if got > limit { Err(too_long(got)) } else { Ok(bytes) }
}

/// Reads a file of a bundle, which must have this length and digest.
pub(crate) fn read_exact(path: &Path, bytes: u64, sha256: Digest, limit: u64) -> Result<Vec<u8>, BundleError> {
    if bytes > limit {
        return Err(BundleError::TooLong {
            path: path.to_owned(),
            got: bytes,
            limit,
        });
    }
    let is_link = path.symlink_metadata().is_ok_and(|m| m.file_type().is_symlink());
    if is_link {
        return Err(BundleError::NotAFile { path: path.to_owned() });
    }
    let contents = read_bounded(path, bytes.saturating_add(1)).map_err(|error| match error {
        BundleError::TooLong { path, got, .. } => BundleError::Length {
            path,
            expected: bytes,
            got,
        },
        other => other,
    })?;
    if contents.len() as u64 != bytes {
        return Err(BundleError::Length {
            path: path.to_owned(),
            expected: bytes,
            got: contents.len() as u64,
        });
    }
    let got = digest(&contents);
    if got != sha256 {
        return Err(BundleError::Digest {
            path: path.to_owned(),
            expected: sha256,
            got,
        });
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_file_is_read_once_and_compared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"kerf").unwrap();
        let right = digest(b"kerf");
        assert_eq!(read_exact(&path, 4, right, 100).unwrap(), b"kerf");
        let wrong = read_exact(&path, 4, digest(b"other"), 100);
        assert!(matches!(wrong, Err(BundleError::Digest { .. })));
        assert!(matches!(
            read_exact(&path, 5, right, 100),
            Err(BundleError::Length { got: 4, .. })
        ));
        assert!(matches!(
            read_exact(&path, 3, right, 100),
            Err(BundleError::Length { .. })
        ));
        assert!(matches!(
            read_exact(&path, 4, right, 3),
            Err(BundleError::TooLong { limit: 3, .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), b"kerf").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("a"), &link).unwrap();
        assert!(matches!(
            read_exact(&link, 4, digest(b"kerf"), 100),
            Err(BundleError::NotAFile { .. })
        ));
    }
}
