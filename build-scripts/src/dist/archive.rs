//! Archives whose bytes depend on nothing but their contents.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

/// A file, or a folder where it has no contents.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Without a leading slash.
    pub(crate) path: String,
    /// Unix rights.
    pub(crate) mode: u32,
    /// None for a folder.
    pub(crate) contents: Option<Vec<u8>>,
}

impl File {
    /// A file that everyone may read.
    pub(crate) fn text(path: &str, contents: impl Into<Vec<u8>>) -> Self {
        let contents = Some(contents.into());
        Self {
            path: path.to_owned(),
            mode: 0o644,
            contents,
        }
    }

    /// A file that everyone may run.
    pub(crate) fn program(path: &str, contents: impl Into<Vec<u8>>) -> Self {
        Self {
            mode: 0o755,
            ..Self::text(path, contents)
        }
    }

    /// An empty folder.
    pub(crate) fn folder(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            mode: 0o755,
            contents: None,
        }
    }
}

/// A gzipped tar of files below `root`, owned by root, all with one time stamp (seconds since 1970).
///
/// # Errors
/// When a path is too long for the format.
pub(crate) fn tar_gz(files: &[File], root: &str, stamp: u64) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for folder in folders(files, root) {
        append(&mut tar, &folder, 0o755, None, stamp)?;
    }
    for file in files {
        append(
            &mut tar,
            &format!("{root}/{}", file.path),
            file.mode,
            file.contents.as_deref(),
            stamp,
        )?;
    }
    let tar = tar.into_inner().context("a tar in memory")?;
    // No name and no time in gzip's own header either.
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(&tar)
        .and_then(|()| gzip.finish())
        .context("a gzip in memory")
}

/// Every folder above the files, outermost first; dpkg wants them said.
fn folders(files: &[File], root: &str) -> Vec<String> {
    let mut folders = std::collections::BTreeSet::from([format!("{root}/")]);
    for file in files {
        for (at, _) in file.path.match_indices('/') {
            let (folder, _) = file.path.split_at(at);
            folders.insert(format!("{root}/{folder}/"));
        }
    }
    folders.into_iter().collect()
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, contents: Option<&[u8]>, stamp: u64) -> Result<()> {
    let bytes = contents.unwrap_or_default();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(if contents.is_some() {
        tar::EntryType::Regular
    } else {
        tar::EntryType::Directory
    });
    header.set_size(u64::try_from(bytes.len())?);
    header.set_mode(mode);
    header.set_mtime(stamp);
    header.set_username("root")?;
    header.set_groupname("root")?;
    tar.append_data(&mut header, path, bytes)
        .with_context(|| path.to_owned())
}
