//! What is taken to a cloud: a bundle, or a set with the tails of many cuts.
//!
//! Owns: telling the two apart, and checking either before anything is written. Must not know: what is written.

use std::path::{Path, PathBuf};

use kerf_runtime::bundle::{Bundle, digest, read_bounded, set};
use kerf_wire::manifest::MAX_MANIFEST_BYTES;

use super::{CloudError, file_error};
use crate::emit::{SET, Set};

/// A bundle or a set, opened.
#[derive(Debug)]
pub struct Parts {
    /// Its folder.
    pub dir: PathBuf,
    /// The model's name.
    pub model: String,
    /// The number of the last part; of a set, it depends on the cut.
    pub last: Option<usize>,
}

impl Parts {
    /// Opens and checks it. Of a set every manifest is compared with the list, and the whole model's files, the weights that all
    /// share among them, with their digests; a stage checks the files of a cut when it loads them.
    ///
    /// # Errors
    /// When a file is missing or is not what its manifest, or the set's list, says.
    pub fn open(place: &Path) -> Result<Self, CloudError> {
        if !set::is_set(place) {
            let bundle = Bundle::open(place)?;
            bundle.verify_all()?;
            return Ok(Self {
                dir: bundle.dir().to_owned(),
                model: bundle.manifest().model.name.clone(),
                last: Some(bundle.manifest().parts.len().saturating_sub(1)),
            });
        }
        let list = place.join(SET);
        let bytes = read_bounded(&list, MAX_MANIFEST_BYTES as u64)?;
        let wrong = |why: String| file_error(&list)(std::io::Error::other(why));
        let listed: Set = serde_json::from_slice(&bytes).map_err(|why| wrong(why.to_string()))?;
        let cuts = listed.cuts.iter().map(|cut| (&cut.manifest, cut.sha256));
        for (manifest, expected) in cuts.chain(listed.whole.iter().map(|whole| (&whole.manifest, whole.sha256))) {
            let got = digest(&read_bounded(&place.join(manifest), MAX_MANIFEST_BYTES as u64)?);
            if got != expected {
                return Err(wrong(format!("{manifest} has SHA-256 {got}, the list says {expected}")));
            }
        }
        let whole = Bundle::open(&set::manifest_for(place, None)?)?;
        whole.verify_all()?;
        Ok(Self {
            dir: place.to_owned(),
            model: whole.manifest().model.name.clone(),
            last: None,
        })
    }
}
