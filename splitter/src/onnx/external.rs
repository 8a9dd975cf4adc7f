//! External data: opened only where the model's own folder, and nothing else, can be reached.
//!
//! ONNX Runtime had an arbitrary memory read through a location named `*/_ORT_MEM_ADDR_/*`, and loaders in other tools
//! follow `..` and links. Here a location is a relative path of plain names, each a folder or a regular file with one
//! name, checked before anything is opened.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::error::ReadError;
use super::model::{Initialiser, Model};
use super::proto::TensorProto;
use super::source::{Source, Span};

/// Opens the model's own file: a regular one (links to it are the user's own choice), never a device.
pub(super) fn open_model(path: &Path) -> Result<Source, ReadError> {
    let unreadable = |why: io::Error| match why.kind() {
        io::ErrorKind::NotFound => ReadError::Missing {
            path: path.to_path_buf(),
        },
        _ => ReadError::Unreadable {
            path: path.to_path_buf(),
            why,
        },
    };
    let about = fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(unreadable(io::Error::other("not a regular file")));
    }
    let file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    Ok(Source::File { file, len })
}

/// Opens every file that an initialiser refers to, once, and checks each range against its length.
pub(super) fn open_all(model: &mut Model) -> Result<(), ReadError> {
    let mut opened: Vec<(String, usize)> = Vec::new();
    let mut initialisers = std::mem::take(&mut model.initialisers);
    for initialiser in initialisers.iter_mut().filter(|i| i.external) {
        let place = Place::of(&initialiser.proto)?;
        let source = if let Some((_, source)) = opened.iter().find(|(location, _)| *location == place.location) {
            *source
        } else {
            model.sources.push(open_beneath(&model.folder, &place)?);
            opened.push((place.location.clone(), model.sources.len() - 1));
            model.sources.len() - 1
        };
        let len = model.sources.get(source).map_or(0, Source::len);
        initialiser.raw = Some(place.span(initialiser, source, len)?);
    }
    model.initialisers = initialisers;
    Ok(())
}

/// What a tensor says about where its elements are.
struct Place {
    tensor: String,
    location: String,
    offset: u64,
    length: Option<u64>,
}

impl Place {
    fn of(proto: &TensorProto) -> Result<Self, ReadError> {
        let entry = |key: &str| proto.external_data.iter().find(|e| e.key() == key).map(|e| e.value());
        let mut place = Self {
            tensor: proto.name().to_owned(),
            location: entry("location").unwrap_or_default().to_owned(),
            offset: 0,
            length: None,
        };
        let number = |key: &str| match entry(key).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(place.refused(format!("{key} {:?} is no number", entry(key).unwrap_or_default()))),
        };
        let (offset, length) = (number("offset")?, number("length")?);
        place.offset = offset.unwrap_or(0);
        place.length = length;
        Ok(place)
    }

    fn refused(&self, why: impl Into<String>) -> ReadError {
        ReadError::External {
            tensor: self.tensor.clone(),
            location: self.location.clone(),
            why: why.into(),
        }
    }

    fn span(&self, initialiser: &Initialiser, source: usize, file_len: u64) -> Result<Span, ReadError> {
        let expected = initialiser
            .element
            .payload_bytes(initialiser.elements)
            .ok_or_else(|| self.refused(format!("a tensor of {} cannot lie outside", initialiser.element)))?;
        let got = self.length.unwrap_or(expected);
        if got != expected {
            return Err(self.refused(format!("length is {got}, dims and type ask for {expected}")));
        }
        let end = self.offset.checked_add(expected).filter(|end| *end <= file_len);
        let end = end.ok_or_else(|| {
            self.refused(format!(
                "{expected} bytes from {} are not in the file, which has {file_len}",
                self.offset
            ))
        })?;
        Ok(Span {
            source,
            bytes: self.offset..end,
        })
    }
}

fn open_beneath(folder: &Path, place: &Place) -> Result<Source, ReadError> {
    let path = plain_path(place)?;
    let mut here = folder.to_path_buf();
    let names: Vec<_> = path.components().collect();
    let mut about = None;
    for (index, name) in names.iter().enumerate() {
        here.push(name);
        let found = fs::symlink_metadata(&here).map_err(|why| place.refused(why.to_string()))?;
        let last = index + 1 == names.len();
        check_kind(place, &found, last)?;
        about = last.then_some(found);
    }
    let file = File::open(&here).map_err(|why| place.refused(why.to_string()))?;
    let opened = file.metadata().map_err(|why| place.refused(why.to_string()))?;
    // Between the check and the opening nobody may have put another file there.
    if about.is_none_or(|about| (about.dev(), about.ino()) != (opened.dev(), opened.ino())) {
        return Err(place.refused("the file changed while it was opened"));
    }
    Ok(Source::File {
        file,
        len: opened.len(),
    })
}

fn check_kind(place: &Place, found: &Metadata, last: bool) -> Result<(), ReadError> {
    if found.is_symlink() {
        return Err(place.refused("it is a symbolic link, which could lead out of the model's folder"));
    }
    if !last {
        return if found.is_dir() {
            Ok(())
        } else {
            Err(place.refused("a folder of it is no folder"))
        };
    }
    if !found.is_file() {
        return Err(place.refused("it is no regular file"));
    }
    if found.nlink() > 1 {
        return Err(place.refused("it is a hard link: the file has another name outside our sight"));
    }
    Ok(())
}

/// The location as a path of plain names.
fn plain_path(place: &Place) -> Result<PathBuf, ReadError> {
    if place.location.is_empty() {
        return Err(place.refused("no location is given"));
    }
    if place.location.contains("_ORT_MEM_ADDR_") {
        return Err(place.refused("it names an address in memory"));
    }
    if place.location.contains(['\\', '\0']) || place.location.len() > 1024 {
        return Err(place.refused("it is no portable relative path"));
    }
    let path = PathBuf::from(&place.location);
    let plain = path
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !plain {
        return Err(place.refused("it leads out of the model's folder"));
    }
    Ok(path
        .components()
        .filter(|c| matches!(c, Component::Normal(_)))
        .collect())
}
