//! A disk in memory that fails on demand: an error at the n-th call, a crash at the n-th call, and after a crash only
//! what was synced is sure to be there; of the rest each sector is kept, dropped or garbled, by a seed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kerf_runtime::storage::Storage;

use crate::random::Random;

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// That call, and all after it, fail with this error until [`FaultyDisk::heal`].
    Error(io::ErrorKind),
    /// The machine dies within that call: a write may have happened in part. All later calls fail.
    Crash,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct File {
    /// What readers see now.
    bytes: Vec<u8>,
    /// What a power cut leaves for sure.
    synced: Vec<u8>,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<String, File>,
    /// Names as the folder's last sync left them, with the file each had.
    synced_names: BTreeMap<String, String>,
    /// Every name that a file has had → its identity, so that an unsynced rename can be undone.
    identities: BTreeMap<String, String>,
    next_identity: u64,
    calls: u64,
    fault: Option<(u64, Fault)>,
    failing: Option<io::ErrorKind>,
    random: Random,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    /// An empty disk without faults; `seed` decides what becomes of unsynced sectors.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            identities: BTreeMap::new(),
            next_identity: 0,
            calls: 0,
            fault: None,
            failing: None,
            random: Random::new(seed),
        })))
    }

    /// Faults at the `n`-th changing call from now, counted from 0.
    pub fn fault_at(&self, n: u64, fault: Fault) {
        let mut state = self.lock();
        state.fault = Some((state.calls + n, fault));
    }

    /// No more faults.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.fault = None;
        state.failing = None;
    }

    /// Changing calls so far.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// True once a fault has happened.
    pub fn has_failed(&self) -> bool {
        self.lock().failing.is_some()
    }

    /// Cuts the power: what was synced stays, of the rest each `sector` is kept, lost or garbled. The disk works again.
    pub fn power_cut(&self, sector: usize) {
        let mut state = self.lock();
        let state = &mut *state;
        state.fault = None;
        state.failing = None;
        // The folder's own changes may or may not have reached the disk: each name by a coin, unless synced.
        let mut names = state.synced_names.clone();
        for (name, identity) in &state.identities {
            if state.random.one_in(2) {
                names.retain(|_, i| i != identity);
                names.insert(name.clone(), identity.clone());
            }
        }
        for gone in state.synced_names.keys().filter(|n| !state.identities.contains_key(*n)) {
            if state.random.one_in(2) {
                names.remove(gone);
            }
        }
        let mut files = std::mem::take(&mut state.files);
        let mut after = BTreeMap::new();
        for identity in names.values() {
            let file = files.remove(identity).unwrap_or_default();
            let bytes = tear(&file, sector, &mut state.random);
            let file = File {
                synced: bytes.clone(),
                bytes,
            };
            after.insert(identity.clone(), file);
        }
        state.files = after;
        state.identities = names.clone();
        state.synced_names = names;
    }

    /// A file's bytes now.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.lock();
        let identity = state.identities.get(name);
        identity
            .and_then(|i| state.files.get(i))
            .unwrap_or_else(|| panic!("no file {name}"))
            .bytes
            .clone()
    }

    /// Puts a file there, synced: for tests that damage one.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.lock();
        let identity = state.identity(name);
        let file = File {
            bytes: bytes.to_vec(),
            synced: bytes.to_vec(),
        };
        state.files.insert(identity.clone(), file);
        state.synced_names.insert(name.to_owned(), identity);
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.lock().identities.keys().cloned().collect()
    }

    /// Everything on the disk, to be put on another one.
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        self.names()
            .into_iter()
            .map(|name| (name.clone(), self.bytes(&name)))
            .collect()
    }

    /// A disk with these files, all synced.
    pub fn holding(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self::new(0);
        for (name, bytes) in files {
            disk.put(name, bytes);
        }
        disk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The synced bytes, and of what was written since each sector kept, lost (zeros, as a file that grew first) or garbled.
fn tear(file: &File, sector: usize, random: &mut Random) -> Vec<u8> {
    let common = file.bytes.iter().zip(&file.synced).take_while(|(a, b)| a == b).count();
    if common == file.bytes.len() && file.bytes.len() == file.synced.len() {
        return file.synced.clone();
    }
    if file.bytes.len() < file.synced.len() {
        // An unsynced truncation happened or not.
        return if random.one_in(2) {
            file.bytes.clone()
        } else {
            file.synced.clone()
        };
    }
    let mut torn = file.synced.clone();
    let end = file.synced.len() + random.below(file.bytes.len() - file.synced.len() + 1);
    let mut at = file.synced.len();
    while at < end {
        let next = ((at / sector + 1) * sector).min(end);
        let written = &file.bytes[at..next];
        match random.below(4) {
            0 => torn.extend(std::iter::repeat_n(0, next - at)),
            1 => torn.extend(written.iter().map(|b| b ^ random.byte())),
            _ => torn.extend_from_slice(written),
        }
        at = next;
    }
    torn
}

impl State {
    /// Counts a changing call; fails where a fault is due. True when the machine dies within this call.
    fn call(&mut self) -> io::Result<bool> {
        if let Some(kind) = self.failing {
            return Err(kind.into());
        }
        let number = self.calls;
        self.calls += 1;
        match self.fault {
            Some((at, Fault::Error(kind))) if number >= at => {
                self.failing = Some(kind);
                Err(kind.into())
            }
            Some((at, Fault::Crash)) if number >= at => {
                self.failing = Some(io::ErrorKind::Other);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn identity(&mut self, name: &str) -> String {
        if let Some(identity) = self.identities.get(name) {
            return identity.clone();
        }
        self.next_identity += 1;
        let identity = format!("{}", self.next_identity);
        self.identities.insert(name.to_owned(), identity.clone());
        identity
    }

    fn file(&self, name: &str) -> io::Result<&File> {
        let identity = self.identities.get(name);
        identity.and_then(|i| self.files.get(i)).ok_or_else(missing)
    }

    fn file_mut(&mut self, name: &str) -> io::Result<&mut File> {
        let identity = self.identities.get(name);
        identity.and_then(|i| self.files.get_mut(i)).ok_or_else(missing)
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn died<T>() -> io::Result<T> {
    Err(io::Error::other("the machine died"))
}

impl Storage for FaultyDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(self.lock().file(name)?.bytes.len() as u64)
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.lock();
        let bytes = &state.file(name)?.bytes;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let rest = &bytes[from..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let outcome = state.call();
        let identity = state.identity(name);
        let part = match outcome {
            Ok(false) => bytes.len(),
            // A full disk and a dying machine write a part.
            _ => state.random.below(bytes.len() + 1),
        };
        let file = state.files.entry(identity).or_default();
        file.bytes.extend_from_slice(&bytes[..part]);
        match outcome {
            Ok(false) => Ok(()),
            Ok(true) => died(),
            Err(why) => Err(why),
        }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        let dies = state.call()?;
        let done = !dies || state.random.one_in(2);
        let file = state.file_mut(name)?;
        if done {
            file.synced = file.bytes.clone();
        }
        if dies { died() } else { Ok(()) }
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        let dies = state.call()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        state.file_mut(name)?.bytes.truncate(len);
        if dies { died() } else { Ok(()) }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        let dies = state.call()?;
        if !dies || state.random.one_in(2) {
            let identity = state.identities.remove(from).ok_or_else(missing)?;
            state.identities.insert(to.to_owned(), identity);
        }
        if dies { died() } else { Ok(()) }
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        let dies = state.call()?;
        if !dies || state.random.one_in(2) {
            state.identities.remove(name).ok_or_else(missing)?;
        }
        if dies { died() } else { Ok(()) }
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let mut state = self.lock();
        let dies = state.call()?;
        if !dies || state.random.one_in(2) {
            state.synced_names = state.identities.clone();
        }
        if dies { died() } else { Ok(()) }
    }
}
