//! An object store in a folder: the embedded default, for stages that see the same disk.
//!
//! Owns: one file a body. Must not know: frames.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use kerf_wire::Digest;

use super::{Entry, Folder, MAX_BODY_BYTES, MAX_LISTED, ObjectError, ObjectStore, checked};

/// Deepest nesting of folders that a listing follows.
const MAX_DEPTH: usize = 8;

/// Bodies as files of one folder, named by their digest.
#[derive(Debug)]
pub struct DirectoryStore {
    dir: PathBuf,
}

impl DirectoryStore {
    /// Opens a folder, making it where it is missing.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open(dir: &Path) -> Result<Self, ObjectError> {
        let store = Self { dir: dir.to_owned() };
        fs::create_dir_all(dir).map_err(|why| store.error(&why))?;
        Ok(store)
    }

    fn error(&self, why: &io::Error) -> ObjectError {
        let store = self.dir.display().to_string();
        if why.kind() == io::ErrorKind::PermissionDenied {
            let why = why.to_string();
            return ObjectError::Unauthorised { store, why };
        }
        let why = why.to_string();
        ObjectError::Unreachable { store, why }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }

    /// The file of a key: within this folder, whatever the key says.
    fn file(&self, key: &str) -> Result<PathBuf, ObjectError> {
        let plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['\\', '\0']);
        if key.split('/').all(plain) {
            Ok(self.dir.join(key))
        } else {
            Err(ObjectError::BadKey(key.to_owned()))
        }
    }

    fn collect(&self, dir: &Path, depth: usize, found: &mut Vec<Entry>) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if kind.is_dir() && !hidden && depth < MAX_DEPTH {
                self.collect(&path, depth + 1, found)?;
            } else if kind.is_file() && !hidden && found.len() < MAX_LISTED {
                let key = path
                    .strip_prefix(&self.dir)
                    .map(|key| key.to_string_lossy().into_owned());
                let bytes = entry.metadata()?.len();
                found.extend(key.map(|key| Entry { key, bytes }));
            }
        }
        Ok(())
    }
}

/// Under another name until it is whole: a reader sees all of it or nothing.
fn write(file: &Path, body: &[u8]) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".put-").tempfile_in(dir)?;
    new.write_all(body)?;
    new.as_file().sync_data()?;
    new.persist(file).map_err(|failed| failed.error)?;
    File::open(dir)?.sync_all()
}

impl Folder for DirectoryStore {
    fn list(&mut self, prefix: &str) -> Result<Vec<Entry>, ObjectError> {
        // Only the folder that the prefix names: a store may hold much else.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let top = if folder.is_empty() {
            self.dir.clone()
        } else {
            self.file(folder)?
        };
        let mut found = Vec::new();
        match self.collect(&top, 0, &mut found) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(self.error(&why)),
            _ => {}
        }
        found.retain(|entry| entry.key.starts_with(prefix));
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn read(&mut self, key: &str, limit: u64) -> Result<Vec<u8>, ObjectError> {
        let file = File::open(self.file(key)?).map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => ObjectError::Absent(key.to_owned()),
            _ => self.error(&why),
        })?;
        let mut body = Vec::new();
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut body);
        read.map_err(|why| self.error(&why))?;
        if body.len() as u64 > limit {
            let key = key.to_owned();
            return Err(ObjectError::Longer { key, limit });
        }
        Ok(body)
    }

    fn write(&mut self, key: &str, body: &[u8]) -> Result<(), ObjectError> {
        let file = self.file(key)?;
        let folder = file.parent().map_or(Ok(()), fs::create_dir_all);
        folder.and_then(|()| write(&file, body)).map_err(|why| self.error(&why))
    }

    fn delete(&mut self, key: &str) -> Result<(), ObjectError> {
        match fs::remove_file(self.file(key)?) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(self.error(&why)),
            _ => Ok(()),
        }
    }
}

impl ObjectStore for DirectoryStore {
    fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
        write(&self.path(digest), body).map_err(|why| self.error(&why))?;
        Ok(String::new())
    }

    fn fetch(&mut self, digest: &Digest, bytes: u64, _location: &str) -> Result<Vec<u8>, ObjectError> {
        if bytes > MAX_BODY_BYTES {
            return Err(ObjectError::TooLarge {
                digest: *digest,
                got: bytes,
            });
        }
        let file = File::open(self.path(digest)).map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => ObjectError::Missing(*digest),
            _ => self.error(&why),
        })?;
        let mut body = Vec::new();
        // One byte more than expected tells a longer file from the right one.
        file.take(bytes + 1)
            .read_to_end(&mut body)
            .map_err(|why| self.error(&why))?;
        checked(digest, bytes, body)
    }

    fn remove(&mut self, digest: &Digest) -> Result<(), ObjectError> {
        match fs::remove_file(self.path(digest)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(self.error(&why)),
            _ => Ok(()),
        }
    }
}
