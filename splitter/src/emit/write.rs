//! A folder that appears whole or not at all: written under another name, renamed at the end.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kerf_wire::Digest;
use sha2::{Digest as _, Sha256};

use super::{EmitError, MANIFEST, SET};

/// Shorter zeros are written: file systems keep holes in pages.
const HOLE_BYTES: usize = 64 << 10;

/// A folder in the making. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct Folder {
    target: PathBuf,
    making: PathBuf,
    finished: bool,
    timing: Timing,
}

/// Where the time of writing a folder went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Computing SHA-256.
    pub hashing: Duration,
    /// In calls that write files.
    pub writing: Duration,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name in the folder.
    pub name: String,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its length.
    pub bytes: u64,
}

impl Folder {
    /// Begins a folder that will be `target`.
    ///
    /// # Errors
    /// When there is something else under that name, or nothing can be written beside it.
    pub fn create(target: &Path) -> Result<Self, EmitError> {
        if !may_replace(target) {
            return Err(EmitError::Occupied {
                path: target.to_path_buf(),
            });
        }
        let name = target
            .file_name()
            .map_or_else(|| "bundle".into(), |n| n.to_string_lossy().into_owned());
        let parent = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let failed = |path: &Path, why| EmitError::Write {
            path: path.to_path_buf(),
            why,
        };
        fs::create_dir_all(parent).map_err(|why| failed(parent, why))?;
        let making = parent.join(format!(".{name}.kerf-{}", std::process::id()));
        let _left_by_a_killed_process_of_the_same_id = fs::remove_dir_all(&making);
        fs::create_dir(&making).map_err(|why| failed(&making, why))?;
        Ok(Self {
            target: target.to_path_buf(),
            making,
            finished: false,
            timing: Timing::default(),
        })
    }

    /// Writes a file through `fill`, hashing as it goes.
    ///
    /// # Errors
    /// When it cannot be written, or `fill` fails.
    pub fn stream(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Written, EmitError> {
        let path = self.making.join(name);
        let target = self.target.join(name);
        let failed = |why| EmitError::Write {
            path: target.clone(),
            why,
        };
        if let Some(parent) = path.parent().filter(|_| name.contains('/')) {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let start = Instant::now();
        let file = File::create(&path).map_err(failed)?;
        self.timing.writing += start.elapsed();
        let mut out = BufWriter::with_capacity(
            1 << 16,
            Hashing {
                file,
                hash: Sha256::new(),
                bytes: 0,
                timing: &mut self.timing,
            },
        );
        fill(&mut out).and_then(|()| out.flush()).map_err(failed)?;
        let out = out.into_inner().map_err(|why| failed(why.into_error()))?;
        // A hole at the end has not made the file longer.
        out.file.set_len(out.bytes).map_err(failed)?;
        Ok(Written {
            name: name.to_owned(),
            sha256: Digest(out.hash.finalize().into()),
            bytes: out.bytes,
        })
    }

    /// Writes a file from bytes at hand.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<Written, EmitError> {
        self.stream(name, |out| out.write_all(bytes))
    }

    /// The folder as long as it has not its name.
    pub(super) fn making(&self) -> &Path {
        &self.making
    }

    /// Where the time went so far.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Gives the folder its name, in the place of a bundle that had it.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(mut self) -> Result<(), EmitError> {
        let failed = |why| EmitError::Write {
            path: self.target.clone(),
            why,
        };
        let old = self.making.with_extension("old");
        let replaces = self.target.exists();
        if replaces {
            fs::rename(&self.target, &old).map_err(failed)?;
        }
        if let Err(why) = fs::rename(&self.making, &self.target) {
            if replaces {
                let _the_first_error_is_the_one_to_tell = fs::rename(&old, &self.target);
            }
            return Err(failed(why));
        }
        self.finished = true;
        if replaces {
            fs::remove_dir_all(&old).map_err(failed)?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.finished {
            let _nothing_more_can_be_done = fs::remove_dir_all(&self.making);
        }
    }
}

/// Writes a file under another name and renames it into place.
///
/// # Errors
/// When it cannot be written.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), EmitError> {
    let failed = |why| EmitError::Write {
        path: path.to_path_buf(),
        why,
    };
    let making = path.with_extension(format!("kerf-{}", std::process::id()));
    let written = fs::write(&making, bytes).and_then(|()| fs::rename(&making, path));
    written.map_err(|why| {
        let _the_first_error_is_the_one_to_tell = fs::remove_file(&making);
        failed(why)
    })
}

/// Writes a manifest anew. A signature that it had is dropped, and that is said: it was over other bytes.
///
/// # Errors
/// When it cannot be written.
pub fn replace_manifest(path: &Path, bytes: &[u8]) -> Result<(), EmitError> {
    replace_file(path, bytes)?;
    let signature = path.with_extension("sig");
    if signature.exists() {
        fs::remove_file(&signature).map_err(|why| EmitError::Write {
            path: signature.clone(),
            why,
        })?;
        log::warn!(
            "event=signature-dropped file={} the manifest has changed: sign again",
            signature.display()
        );
    }
    Ok(())
}

/// An empty folder, a bundle, or nothing at all.
fn may_replace(target: &Path) -> bool {
    match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none() || [MANIFEST, SET].iter().any(|f| target.join(f).is_file()),
        Err(why) => why.kind() == io::ErrorKind::NotFound,
    }
}

/// A long stretch of zeros is left out of the file: it reads as zeros and takes no room.
fn is_hole(bytes: &[u8]) -> bool {
    bytes.len() >= HOLE_BYTES && bytes.iter().all(|b| *b == 0)
}

struct Hashing<'a> {
    file: File,
    hash: Sha256,
    bytes: u64,
    timing: &'a mut Timing,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let start = Instant::now();
        let written = if is_hole(bytes) {
            self.file
                .seek(SeekFrom::Current(i64::try_from(bytes.len()).unwrap_or(i64::MAX)))?;
            bytes.len()
        } else {
            self.file.write(bytes)?
        };
        let between = Instant::now();
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        self.timing.writing += between - start;
        self.timing.hashing += between.elapsed();
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
