//! Inputs from a watched folder: each file that appears is an input, once.
//!
//! Owns: which files are new and whole. Must not know: what is in them.
//! A file counts when two looks at it see the same length and time, so one that is still being written waits. It is
//! moved to `done/` within the folder, or removed, once it is answered: what is killed before takes it again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use kerf_wire::InferenceResult;

use super::{Answers, Input, Reader, Source, SourceError, unreadable};
use crate::limits::MAX_SOURCE_FILES;

/// Time between two looks at the folder.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Where taken files go.
const DONE: &str = "done";

/// What becomes of a file that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Afterwards {
    /// It is moved to the sub-folder `done`.
    #[default]
    Keep,
    /// It is removed.
    Remove,
}

type Seen = (u64, Option<SystemTime>);

/// Inputs from files that appear in a folder.
pub struct Watch {
    dir: PathBuf,
    reader: Reader,
    afterwards: Afterwards,
    /// Files seen at the last look, as they were then.
    seen: HashMap<PathBuf, Seen>,
    ready: VecDeque<PathBuf>,
    /// Taken and not answered yet.
    out: HashSet<PathBuf>,
    answers: Receiver<(String, InferenceResult)>,
    /// When the last input was there.
    begun: Option<Instant>,
}

impl Watch {
    /// Watches a folder that exists; gives the way back for answers, too.
    ///
    /// # Errors
    /// When it is missing, or `done` cannot be made in it.
    pub fn open(dir: &Path, reader: Reader, afterwards: Afterwards) -> Result<(Self, Answers), SourceError> {
        if !dir.is_dir() {
            return Err(unreadable(dir, "no such folder"));
        }
        if afterwards == Afterwards::Keep {
            fs::create_dir_all(dir.join(DONE)).map_err(|why| unreadable(dir, why))?;
        }
        let (back, answers) = Answers::new(None);
        let watch = Self {
            dir: dir.to_owned(),
            reader,
            afterwards,
            seen: HashMap::new(),
            ready: VecDeque::new(),
            out: HashSet::new(),
            answers,
            begun: None,
        };
        Ok((watch, back))
    }

    /// Looks at the folder once.
    fn look(&mut self) -> Result<(), SourceError> {
        let mut now = HashMap::new();
        let entries = fs::read_dir(&self.dir).map_err(|why| unreadable(&self.dir, why))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let new = metadata.is_file() && Reader::takes(&path) && !self.out.contains(&path);
            if new && now.len() < MAX_SOURCE_FILES {
                now.insert(path, (metadata.len(), metadata.modified().ok()));
            }
        }
        let mut whole: Vec<PathBuf> = now
            .iter()
            .filter(|(path, as_now)| self.seen.get(*path) == Some(*as_now))
            .map(|(path, _)| path.clone())
            .collect();
        whole.sort();
        self.ready = whole.into();
        self.seen = now;
        Ok(())
    }

    fn put_away(&mut self, path: &Path) -> Result<(), SourceError> {
        self.out.remove(path);
        let done = match (self.afterwards, path.file_name()) {
            (Afterwards::Keep, Some(name)) => fs::rename(path, self.dir.join(DONE).join(name)),
            _ => fs::remove_file(path),
        };
        match done {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(unreadable(path, why)),
            _ => Ok(()),
        }
    }
}

impl Source for Watch {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        loop {
            while let Ok((label, _)) = self.answers.try_recv() {
                self.put_away(&self.dir.join(label))?;
            }
            if let Some(path) = self.ready.pop_front() {
                self.seen.remove(&path);
                self.begun = Some(Instant::now());
                let input = self.reader.read(&path);
                if input.is_ok() {
                    self.out.insert(path);
                } else {
                    // What cannot be read would come back at every look.
                    self.put_away(&path)?;
                }
                return input.map(Some);
            }
            self.look()?;
            if self.ready.is_empty() {
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }

    fn begun(&self) -> Option<Instant> {
        self.begun
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;
    use kerf_wire::{DType, Dim, TensorSpec};

    fn reader() -> Reader {
        let spec = TensorSpec {
            name: kerf_wire::tensor::name("x").unwrap(),
            dtype: DType::U8,
            shape: [Dim::Dynamic].into_iter().collect(),
        };
        Reader::of_specs(&[spec])
    }

    fn npy(numbers: &[u8]) -> Vec<u8> {
        let shape = [u32::try_from(numbers.len()).unwrap()];
        let mut out = Vec::new();
        let tensor = kerf_wire::TensorRef::new(DType::U8, &shape, numbers).unwrap();
        crate::source::npy::write(&tensor, &mut out).unwrap();
        out
    }

    #[test]
    fn waiting_for_a_file_is_no_part_of_reading_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut watch, _answers) = Watch::open(dir.path(), reader(), Afterwards::Keep).unwrap();
        fs::write(dir.path().join("a.npy"), npy(&[9])).unwrap();
        let asked = Instant::now();
        watch.next().unwrap();
        // A file is whole when two looks saw it alike.
        assert!(watch.begun().unwrap() - asked >= LOOK_EVERY);
    }

    #[test]
    fn each_file_is_taken_once_and_a_half_written_one_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (mut watch, answers) = Watch::open(dir.path(), reader(), Afterwards::Keep).unwrap();
        let whole = npy(&[1, 2, 3]);
        fs::write(dir.path().join("b.npy"), &whole[..whole.len() - 2]).unwrap();
        watch.look().unwrap();
        fs::write(dir.path().join("a.npy"), npy(&[9])).unwrap();
        fs::write(dir.path().join("b.npy"), &whole).unwrap();
        fs::write(dir.path().join("notes.txt"), "no input").unwrap();
        watch.look().unwrap();
        assert!(
            watch.ready.is_empty(),
            "a file that has just changed was taken: {:?}",
            watch.ready
        );
        let labels: Vec<String> = (0..2).map(|_| watch.next().unwrap().unwrap().label).collect();
        assert_eq!(labels, ["a.npy", "b.npy"]);
        watch.look().unwrap();
        watch.look().unwrap();
        assert!(watch.ready.is_empty(), "a file was taken twice");
        assert!(dir.path().join("a.npy").exists(), "it was put away before its answer");
        let result = serde_json::json!({ "frame": "", "model": "00".repeat(32), "outputs": [], "hops": [] });
        let result: InferenceResult = serde_json::from_value(result).unwrap();
        labels.iter().for_each(|label| answers.answered(label, &result));
        fs::write(dir.path().join("c.npy"), npy(&[9])).unwrap();
        assert_eq!(watch.next().unwrap().unwrap().label, "c.npy");
        assert!(dir.path().join("done/a.npy").exists() && dir.path().join("notes.txt").exists());
    }
}
