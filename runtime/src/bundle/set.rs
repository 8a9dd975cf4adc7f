//! Bundle sets as a stage sees them: one folder, one manifest a cut, and the whole model's beside them.
//!
//! Owns: which manifest of a set a frame or an input belongs to. Must not know: how a set is written.
//! The cut's id is in the manifest's name, so nothing is searched; what the manifest then says is checked as any bundle's.

use std::path::{Path, PathBuf};

use kerf_wire::CutId;
use kerf_wire::manifest::set::{SET, WHOLE, manifest_file_of};

use super::{BundleError, MANIFEST};

/// True for a folder that holds a set and no bundle of its own.
pub fn is_set(place: &Path) -> bool {
    place.join(SET).is_file() && !place.join(MANIFEST).is_file()
}

/// What to open for a frame across `cut`, or for an input that crosses none; `place` itself where it is no set.
///
/// # Errors
/// When the set has no such cut.
pub fn manifest_for(place: &Path, cut: Option<CutId>) -> Result<PathBuf, BundleError> {
    if !is_set(place) {
        return Ok(place.to_owned());
    }
    let file = cut.map_or_else(|| WHOLE.to_owned(), |cut| manifest_file_of(&cut.to_string()));
    let manifest = place.join(&file);
    if manifest.is_file() {
        return Ok(manifest);
    }
    Err(BundleError::NotInSet {
        path: place.to_owned(),
        what: cut.map_or_else(|| "the whole model".to_owned(), |cut| format!("cut {cut}")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    #[test]
    fn a_cut_finds_its_manifest_and_an_unknown_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (known, unknown) = (CutId([1; 16]), CutId([2; 16]));
        // A plain bundle, whatever the frame says: the manifest decides later.
        assert_eq!(manifest_for(folder.path(), Some(known)).unwrap(), folder.path());
        for file in [SET.to_owned(), manifest_file_of(&known.to_string())] {
            std::fs::write(folder.path().join(file), "{}").unwrap();
        }
        let found = manifest_for(folder.path(), Some(known)).unwrap();
        assert!(found.ends_with(format!("manifest-{known}.json")));
        let why = manifest_for(folder.path(), Some(unknown)).unwrap_err().to_string();
        assert!(why.contains(&unknown.to_string()), "{why}");
        assert!(manifest_for(folder.path(), None).is_err());
    }
}
