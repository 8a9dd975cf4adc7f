//! The files of a source: one, or all of a folder in the order of their names.

use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use super::{Input, Reader, Source, SourceError, unreadable};
use crate::limits::MAX_SOURCE_FILES;

/// Inputs from files, each read when it is asked for.
pub struct Files {
    paths: IntoIter<PathBuf>,
    reader: Reader,
}

impl Files {
    /// A file, or the readable files of a folder (not of its sub-folders), sorted by name.
    ///
    /// # Errors
    /// When it is missing, empty, or has too many files.
    pub fn open(path: &Path, reader: Reader) -> Result<Self, SourceError> {
        let paths = if path.is_dir() {
            list(path)?
        } else {
            vec![path.to_owned()]
        };
        Ok(Self {
            paths: paths.into_iter(),
            reader,
        })
    }

    /// How many inputs are still to come.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// True when none is to come.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Source for Files {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        self.paths.next().map(|path| self.reader.read(&path)).transpose()
    }
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|why| unreadable(dir, why))? {
        let path = entry.map_err(|why| unreadable(dir, why))?.path();
        if path.is_file() && Reader::takes(&path) {
            if paths.len() == MAX_SOURCE_FILES {
                return Err(SourceError::OverLimit {
                    path: dir.display().to_string(),
                    what: format!("more than {MAX_SOURCE_FILES} files"),
                });
            }
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(unreadable(dir, "no image, .npy, .npz or frame file is in this folder"));
    }
    paths.sort();
    Ok(paths)
}
