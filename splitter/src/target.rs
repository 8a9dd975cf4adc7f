//! Boards: what `targets/NAME/target.toml` says of running there, for those who have only this program too.
//!
//! Owns: finding a board by name, or by its folder. Must not know: how a board's program is built.

use std::io::Read as _;
use std::path::Path;

use kerf_wire::manifest::Precision;
use serde::Deserialize;

use crate::limits::MAX_TARGET_BYTES;

/// Every board of this release. A test compares it with the folder.
const BOARDS: &[(&str, &str)] = &[
    ("cloud-amd64", include_str!("../../targets/cloud-amd64/target.toml")),
    ("cloud-arm64", include_str!("../../targets/cloud-arm64/target.toml")),
    (
        "coral-dev-board",
        include_str!("../../targets/coral-dev-board/target.toml"),
    ),
    ("coral-usb", include_str!("../../targets/coral-usb/target.toml")),
    ("jetson-nano", include_str!("../../targets/jetson-nano/target.toml")),
    ("jetson-orin", include_str!("../../targets/jetson-orin/target.toml")),
    ("jetson-tx2", include_str!("../../targets/jetson-tx2/target.toml")),
    ("jetson-xavier", include_str!("../../targets/jetson-xavier/target.toml")),
    ("pc-amd64", include_str!("../../targets/pc-amd64/target.toml")),
    (
        "pc-amd64-openvino",
        include_str!("../../targets/pc-amd64-openvino/target.toml"),
    ),
    (
        "raspberry-pi-4",
        include_str!("../../targets/raspberry-pi-4/target.toml"),
    ),
    (
        "raspberry-pi-4-32bit",
        include_str!("../../targets/raspberry-pi-4-32bit/target.toml"),
    ),
    (
        "raspberry-pi-ncs2",
        include_str!("../../targets/raspberry-pi-ncs2/target.toml"),
    ),
];

/// What a board runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Backends in the order to try.
    pub backends: Vec<String>,
    /// What they calculate in; each artifact's own where none.
    pub precision: Option<Precision>,
}

/// Why there is no such board.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No board of that name.
    #[error("no target {name:?}; there are {}; a board of your own is named by its folder, e.g. ./targets/mine", names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The folder has no readable `target.toml`.
    #[error("{path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The cause.
        why: String,
    },
}

/// The part of the file that is of interest here; the rest is the build's.
#[derive(Deserialize)]
struct File {
    run: Run,
}

#[derive(Deserialize)]
struct Run {
    backends: Vec<String>,
    precision: Option<Precision>,
}

/// The names of all boards.
pub fn names() -> Vec<&'static str> {
    BOARDS.iter().map(|(name, _)| *name).collect()
}

/// The board of this name, or of this folder where there is a `/` in it.
///
/// # Errors
/// When there is none, or its file does not read.
pub fn find(name: &str) -> Result<Target, TargetError> {
    if name.contains('/') {
        let file = Path::new(name).join("target.toml");
        let unreadable = |why: &dyn std::fmt::Display| TargetError::Unreadable {
            path: file.display().to_string(),
            why: why.to_string(),
        };
        let mut text = String::new();
        let open = std::fs::File::open(&file).map_err(|why| unreadable(&why))?;
        open.take(MAX_TARGET_BYTES)
            .read_to_string(&mut text)
            .map_err(|why| unreadable(&why))?;
        let folder = Path::new(name).file_name().map(|n| n.to_string_lossy().into_owned());
        return read(&folder.unwrap_or_default(), &text).map_err(|why| unreadable(&why));
    }
    let (name, text) = BOARDS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| TargetError::Unknown { name: name.to_owned() })?;
    read(name, text).map_err(|why| TargetError::Unreadable {
        path: format!("targets/{name}/target.toml"),
        why: why.to_string(),
    })
}

fn read(name: &str, text: &str) -> Result<Target, toml::de::Error> {
    let file: File = toml::from_str(text)?;
    Ok(Target {
        name: name.to_owned(),
        backends: file.run.backends,
        precision: file.run.precision,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_folder_is_embedded_and_names_backends_that_there_are_tables_for() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../targets");
        let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let mut there: Vec<String> = entries
            .filter(|path| path.is_dir())
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        there.sort();
        assert_eq!(there, names());
        for name in names() {
            let target = find(name).unwrap();
            assert!(target.backends.iter().all(|b| crate::support::is_known(b)), "{name}");
        }
        assert_eq!(find("coral-usb").unwrap().precision, Some(Precision::Int8));
        let unknown = find("coral").unwrap_err().to_string();
        assert!(unknown.contains("coral-usb") && unknown.contains("./targets/mine"));
    }
}
