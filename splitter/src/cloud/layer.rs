//! Layers of an image: tar archives that depend on their files' bytes and names alone.
//!
//! Owner, times and order are fixed, so that the same input gives the same digest on every machine and every day.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use kerf_runtime::wire::Digest;
use sha2::{Digest as _, Sha256};

/// One file or folder of a layer; parents come first.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its path without a leading `/`; folders end with `/`.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// Its bytes; none for a folder.
    pub bytes: &'a [u8],
}

/// A finished layer.
#[derive(Debug)]
pub struct Layer {
    /// The gzip file.
    pub gzip: Vec<u8>,
    /// SHA-256 of the tar inside: OCI's `diff_id`.
    pub diff_id: Digest,
    /// Length of the tar inside.
    pub tar_bytes: u64,
}

/// Writes a layer.
///
/// # Errors
/// When a path is too long for tar.
pub fn layer(entries: &[Entry<'_>]) -> io::Result<Layer> {
    let mut archive = Vec::new();
    tar(entries, &mut archive)?;
    // No name and no time in gzip's own header.
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    gzip.write_all(&archive)?;
    Ok(Layer {
        gzip: gzip.finish()?,
        diff_id: digest(&archive),
        tar_bytes: archive.len() as u64,
    })
}

/// Writes a tar archive.
pub(super) fn tar(entries: &[Entry<'_>], to: &mut impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(to);
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        let folder = entry.path.ends_with('/');
        header.set_entry_type(if folder {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        header.set_mode(entry.mode);
        header.set_size(entry.bytes.len() as u64);
        tar.append_data(&mut header, &entry.path, entry.bytes)?;
    }
    tar.finish()
}

/// SHA-256.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}
