//! An object store in a folder: the embedded default, for stages that see the same disk.
//!
//! Owns: one file a body. Must not know: frames.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use kerf_wire::Digest;

use super::{MAX_BODY_BYTES, ObjectError, ObjectStore, checked};

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

    /// Under another name until it is whole: a reader sees all of it or nothing.
    fn write(&self, digest: &Digest, body: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".put-").tempfile_in(&self.dir)?;
        file.write_all(body)?;
        file.as_file().sync_data()?;
        file.persist(self.path(digest)).map_err(|failed| failed.error)?;
        File::open(&self.dir)?.sync_all()
    }
}

impl ObjectStore for DirectoryStore {
    fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
        self.write(digest, body).map_err(|why| self.error(&why))?;
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
