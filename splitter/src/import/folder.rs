//! Split folders: `first_half.onnx` and `second_half.onnx`, or `part1.onnx`, `part2.onnx`, …; one folder of them a split.

use std::path::{Path, PathBuf};

use super::limits::MAX_FOLDERS;

/// The parts of one split, in the order of flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halves {
    /// The folder's name.
    pub name: String,
    /// The parts' files.
    pub parts: Vec<PathBuf>,
}

/// The splits in a folder: its own parts, or those of its sub-folders, sorted as numbers where they have them.
///
/// # Errors
/// When a folder cannot be read.
pub fn halves(dir: &Path) -> std::io::Result<Vec<Halves>> {
    if let Some(own) = parts(dir) {
        return Ok(vec![own]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && found.len() < MAX_FOLDERS {
            found.extend(parts(&path));
        }
    }
    found.sort_by_key(|split| (number(&split.name), split.name.clone()));
    Ok(found)
}

/// The number in `split_<n>_on_…`.
fn number(name: &str) -> u64 {
    let digits = name.strip_prefix("split_").and_then(|rest| rest.split('_').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
}

fn parts(dir: &Path) -> Option<Halves> {
    let name = dir.file_name()?.to_string_lossy().into_owned();
    let pair = ["first_half.onnx", "second_half.onnx"].map(|file| dir.join(file));
    if pair.iter().all(|file| file.is_file()) {
        return Some(Halves {
            name,
            parts: pair.to_vec(),
        });
    }
    let chain: Vec<PathBuf> = (1..=kerf_wire::manifest::MAX_PARTS)
        .map(|index| dir.join(format!("part{index}.onnx")))
        .take_while(|file| file.is_file())
        .collect();
    (chain.len() > 1).then_some(Halves { name, parts: chain })
}
