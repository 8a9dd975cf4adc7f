//! A bundle that is written and has not its name yet.

use std::path::Path;

use kerf_wire::Manifest;

use super::{EmitError, Folder, MANIFEST, Written};

/// A bundle in the making. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    pub(super) folder: Folder,
    /// What the bundle will say of itself.
    pub manifest: Manifest,
}

impl Draft {
    /// The folder as it is now, with the manifest as it is now: a bundle that can be opened.
    ///
    /// # Errors
    /// When the manifest does not hold together or cannot be written.
    pub fn staged(&mut self) -> Result<&Path, EmitError> {
        let json = self.manifest.to_json()?;
        self.folder.write(MANIFEST, json.as_bytes())?;
        Ok(self.folder.making())
    }

    /// Puts a file in; the manifest must name it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<Written, EmitError> {
        self.folder.write(name, bytes)
    }

    /// Takes a file out again; the manifest must not name it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&mut self, name: &str) -> Result<(), EmitError> {
        let path = self.folder.making().join(name);
        std::fs::remove_file(&path).map_err(|why| EmitError::Write { path, why })
    }

    /// Gives the bundle its name.
    ///
    /// # Errors
    /// As [`Draft::staged`], or when it cannot be renamed.
    pub fn finish(mut self) -> Result<Manifest, EmitError> {
        self.staged()?;
        self.folder.finish()?;
        Ok(self.manifest)
    }
}
