//! [`Storage`] on a real folder.
//!
//! Owns: open files of one folder. Must not know: what is in them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Storage;

/// Most files kept open.
const MAX_OPEN: usize = 8;

/// A folder on a disk.
#[derive(Debug)]
pub struct DiskStorage {
    dir: PathBuf,
    open: RefCell<HashMap<String, File>>,
    /// Held as long as this is.
    locked: Option<File>,
}

impl DiskStorage {
    /// Opens a folder, making it where it is missing.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            open: RefCell::default(),
            locked: None,
        })
    }

    /// Takes the folder for this one alone, as long as it lives.
    ///
    /// # Errors
    /// When another process has it.
    pub fn lock(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path("lock")?)?;
        file.try_lock()
            .map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another process uses this folder"))?;
        self.locked = Some(file);
        Ok(())
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file name"));
        }
        Ok(self.dir.join(name))
    }

    fn with<T>(&self, name: &str, create: bool, work: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        let mut open = self.open.borrow_mut();
        if !open.contains_key(name) {
            let mut options = OpenOptions::new();
            let file = options.read(true).append(true).create(create).open(self.path(name)?)?;
            if open.len() >= MAX_OPEN {
                open.clear();
            }
            open.insert(name.to_owned(), file);
        }
        let file = open.get_mut(name).ok_or_else(|| io::Error::other("file is not open"))?;
        work(file)
    }
}

impl Storage for DiskStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path(name)?)?.len())
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(name, false, |file| {
            let mut filled = 0;
            while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match file.read_at(rest, offset + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                    Err(why) => return Err(why),
                }
            }
            Ok(filled)
        })
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.with(name, true, |file| file.write_all(bytes))
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.with(name, false, |file| file.sync_data())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.with(name, false, |file| file.set_len(len))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open.borrow_mut().retain(|name, _| name != from && name != to);
        fs::rename(self.path(from)?, self.path(to)?)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.borrow_mut().remove(name);
        fs::remove_file(self.path(name)?)
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}
