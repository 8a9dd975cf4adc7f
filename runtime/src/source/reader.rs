//! Turns one file into the tensors that a part needs.

use std::path::Path;

use kerf_wire::manifest::Cut;
use kerf_wire::{Digest, TensorSpec};

use super::npy::{self, NpyError};
use super::npz::Archive;
use super::{Input, SourceError, frame, picture, read, unreadable};
use crate::bundle::{Bundle, BundleError};
use crate::limits::MAX_TENSOR_FILE_BYTES;
use crate::preprocess::Preprocessor;
use crate::tensor::Tensor;

/// What a part takes, and how each kind of file becomes that.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The values that reach the part, in order.
    reaching: Vec<TensorSpec>,
    /// Those of them that its engine needs; the others pass through and may be missing in a tensor file.
    needed: Vec<String>,
    pictures: Option<Preprocessor>,
    /// Where frames come from: the model's digest and the cut before the part.
    frames: Option<(Digest, Cut)>,
}

impl Reader {
    /// For a bare model, or anything that takes these values.
    pub fn of_specs(specs: &[TensorSpec]) -> Self {
        Self {
            reaching: specs.to_vec(),
            needed: specs.iter().map(|spec| spec.name.to_string()).collect(),
            pictures: None,
            frames: None,
        }
    }

    /// For part `index` of a bundle.
    ///
    /// # Errors
    /// When the bundle has no such part, or its preprocessing cannot be done.
    pub fn of_bundle(bundle: &Bundle, index: usize) -> Result<Self, BundleError> {
        let part = bundle.part(index)?;
        let reaching = bundle.reaching(index)?;
        let specs = reaching
            .iter()
            .map(|name| bundle.spec(name))
            .collect::<Result<Vec<_>, _>>()?;
        let manifest = bundle.manifest();
        let wanted = manifest.preprocess.as_ref().filter(|p| reaching.contains(&p.input));
        let preprocessor = |p| Preprocessor::new(p, &bundle.spec(&p.input)?).map_err(|why| bundle.refused(why));
        let before = index.checked_sub(1).and_then(|k| manifest.cuts.get(k));
        Ok(Self {
            reaching: specs,
            needed: part.inputs.clone(),
            pictures: wanted.map(preprocessor).transpose()?,
            frames: before.map(|cut| (manifest.model.sha256, cut.clone())),
        })
    }

    /// True for a file whose ending is one that is read.
    pub fn takes(path: &Path) -> bool {
        let ending = ending(path);
        picture::ENDINGS.contains(&ending.as_str()) || matches!(ending.as_str(), "npy" | "npz" | frame::ENDING)
    }

    /// Reads one file.
    ///
    /// # Errors
    /// When it cannot be read, is over a bound, or does not fit the part.
    pub fn read(&self, path: &Path) -> Result<Input, SourceError> {
        let tensors = match ending(path).as_str() {
            "npy" => self.array(path)?,
            "npz" => self.arrays(path)?,
            frame::ENDING => return self.frame(path),
            ending if picture::ENDINGS.contains(&ending) => self.picture(path)?,
            other => {
                return Err(unreadable(
                    path,
                    format!("no image, .npy, .npz or frame file: {other:?}"),
                ));
            }
        };
        let name = path.file_name().unwrap_or_default();
        Ok(Input {
            label: name.to_string_lossy().into_owned(),
            tensors,
        })
    }

    /// Takes what came as bytes: an image, an `.npy` or `.npz` file, or a frame, told apart by how they begin.
    ///
    /// # Errors
    /// As [`Reader::read`]; `label` stands for the file's name.
    pub fn decode(&self, bytes: &[u8], label: &str) -> Result<Input, SourceError> {
        let path = Path::new(label);
        let tensors = match bytes {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => self.array_in(bytes, path)?,
            [b'P', b'K', ..] => self.arrays_in(bytes, path)?,
            [b'K', b'F', ..] => return self.frame_in(bytes, path),
            _ => self.pixels(&picture::decode(bytes, path)?, path)?,
        };
        Ok(Input {
            label: label.to_owned(),
            tensors,
        })
    }

    /// Takes a decoded image.
    ///
    /// # Errors
    /// When the part takes no images, or nothing of this one is left after the crop.
    pub fn image(&self, image: &image::DynamicImage, label: &str) -> Result<Input, SourceError> {
        Ok(Input {
            label: label.to_owned(),
            tensors: self.pixels(image, Path::new(label))?,
        })
    }

    fn picture(&self, path: &Path) -> Result<Vec<(String, Tensor)>, SourceError> {
        self.preprocessor(path)?;
        self.pixels(&picture::open(path)?, path)
    }

    fn preprocessor(&self, path: &Path) -> Result<&Preprocessor, SourceError> {
        let why = "an image needs a bundle whose manifest says how to preprocess it, and its first part";
        self.pictures.as_ref().ok_or_else(|| does_not_fit(path, why))
    }

    fn pixels(&self, image: &image::DynamicImage, path: &Path) -> Result<Vec<(String, Tensor)>, SourceError> {
        let preprocessor = self.preprocessor(path)?;
        let tensor = preprocessor.apply(image).map_err(|why| does_not_fit(path, why))?;
        Ok(vec![(preprocessor.input().to_owned(), tensor)])
    }

    fn array(&self, path: &Path) -> Result<Vec<(String, Tensor)>, SourceError> {
        self.array_in(&read(path, MAX_TENSOR_FILE_BYTES)?, path)
    }

    fn array_in(&self, bytes: &[u8], path: &Path) -> Result<Vec<(String, Tensor)>, SourceError> {
        let tensor = npy::read(bytes).map_err(|why| refused(path, why))?;
        match self.needed.as_slice() {
            [name] => Ok(vec![(name.clone(), tensor)]),
            names => Err(does_not_fit(
                path,
                format!("one array for the values {names:?}: use an .npz with these names"),
            )),
        }
    }

    /// Arrays under the values' own names, or `in_0`, `in_1`, … in their order, or a single array for a single value.
    fn arrays(&self, path: &Path) -> Result<Vec<(String, Tensor)>, SourceError> {
        self.arrays_in(&read(path, MAX_TENSOR_FILE_BYTES)?, path)
    }

    fn arrays_in(&self, bytes: &[u8], path: &Path) -> Result<Vec<(String, Tensor)>, SourceError> {
        let refuse = |why| refused(path, why);
        let mut archive = Archive::from_bytes(bytes).map_err(refuse)?;
        let there = archive.names();
        let has = |name: &str| there.iter().any(|t| t == name);
        let mut take = |pairs: Vec<(String, String)>| {
            let pairs = pairs.into_iter();
            pairs
                .map(|(value, array)| archive.read(&array).map(|tensor| (value, tensor)).map_err(refuse))
                .collect()
        };
        let by_name = self.reaching.iter().map(|spec| spec.name.to_string());
        if self.needed.iter().all(|name| has(name)) {
            let named = by_name.filter(|name| has(name));
            return take(named.map(|name| (name.clone(), name)).collect());
        }
        let numbered = |(index, name): (usize, &String)| (name.clone(), format!("in_{index}"));
        let pairs: Vec<_> = self.needed.iter().enumerate().map(numbered).collect();
        if pairs.iter().all(|(_, array)| has(array)) {
            return take(pairs);
        }
        if let ([name], [array]) = (self.needed.as_slice(), there.as_slice()) {
            return take(vec![(name.clone(), array.clone())]);
        }
        Err(does_not_fit(
            path,
            format!("it holds {there:?}, the part needs {:?}", self.needed),
        ))
    }

    fn frame(&self, path: &Path) -> Result<Input, SourceError> {
        self.frame_in(&read(path, kerf_wire::limits::MAX_MESSAGE_BYTES as u64)?, path)
    }

    fn frame_in(&self, bytes: &[u8], path: &Path) -> Result<Input, SourceError> {
        let Some((model, cut)) = &self.frames else {
            return Err(does_not_fit(path, "a frame needs a bundle and a part behind the first"));
        };
        frame::open(bytes, path, *model, cut)
    }
}

fn ending(path: &Path) -> String {
    let ending = path.extension().and_then(|e| e.to_str());
    ending.unwrap_or_default().to_ascii_lowercase()
}

fn refused(path: &Path, why: NpyError) -> SourceError {
    match why {
        NpyError::OverLimit(what) => SourceError::OverLimit {
            path: path.display().to_string(),
            what,
        },
        other => unreadable(path, other),
    }
}

fn does_not_fit(path: &Path, what: impl std::fmt::Display) -> SourceError {
    SourceError::DoesNotFit {
        path: path.display().to_string(),
        what: what.to_string(),
    }
}
