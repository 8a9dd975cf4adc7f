//! The only door to the disk for what must survive a power cut, so that tests can break each call.

mod disk;

use std::io;

pub use disk::DiskStorage;

/// A folder of files, by plain name. An implementation promises: after `sync` of a file its appended bytes survive a
/// power cut; after `sync_dir` so do creations, renames and removals.
pub trait Storage: Send {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Length of a file.
    fn len(&self, name: &str) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes at an offset; fewer only at the end of the file.
    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Appends, creating the file where it is missing.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes a file's contents durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Cuts a file to a length.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Renames over whatever has the new name.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes names durable.
    fn sync_dir(&mut self) -> io::Result<()>;
}
