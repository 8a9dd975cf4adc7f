//! Bundles: the manifest is read and checked, and each file is read once, bounded, and its SHA-256 compared.
//!
//! Owns: turning a folder, or a bare model file, into something that may be handed to an engine.
//! Must not know: engines, brokers, how a bundle is written.
//! Start at [`Bundle::open`] for a folder and at [`open_model`] for a bare file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerf_wire::manifest::{self, Axis, Format, MAX_MANIFEST_BYTES, Manifest, ManifestError};
use kerf_wire::{Digest, Dim, TensorSpec};

use crate::backend::{Artifact, Companion, Verified};
use crate::limits::{MAX_ARTIFACT_BYTES, MAX_COMPANION_BYTES, MAX_TENSOR_FILE_BYTES};

mod bare;
mod error;
mod file;
mod format;
mod guard;
pub mod set;
pub mod signature;
mod trust;

use bare::check_and_seal;
pub use bare::open_model;
pub use error::BundleError;
#[cfg(feature = "tract")]
pub(crate) use file::read_exact;
pub use file::{digest, read_bounded};
pub use format::has_edgetpu_operator;
pub use trust::Trust;

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";

/// A bundle whose manifest holds together. Its files are checked when they are asked for.
#[derive(Debug, Clone)]
pub struct Bundle {
    dir: PathBuf,
    manifest: Manifest,
    id: Digest,
}

impl Bundle {
    /// Reads and checks the manifest of a bundle's folder, or one manifest of a bundle set, named by its file.
    ///
    /// # Errors
    /// When the folder or its manifest is missing, over its bound, or says what cannot be.
    pub fn open(place: &Path) -> Result<Self, BundleError> {
        Self::open_with_bytes(place).map(|(bundle, _)| bundle)
    }

    /// The bundle, and the manifest's bytes, which a signature is over.
    fn open_with_bytes(place: &Path) -> Result<(Self, Vec<u8>), BundleError> {
        let path = manifest_path(place);
        let dir = path.parent().unwrap_or(Path::new(""));
        let is_set = !path.is_file() && dir.join("set.json").is_file();
        let what = match is_set {
            true => "this is a bundle set: name one cut's manifest-ID.json in it",
            false => "no such folder",
        };
        if is_set || !place.exists() {
            let path = place.to_owned();
            return Err(BundleError::Missing { path, what });
        }
        let bytes = read_bounded(&path, MAX_MANIFEST_BYTES as u64)?;
        let manifest = Manifest::parse(&bytes).map_err(|why| BundleError::Manifest {
            path: path.clone(),
            why,
        })?;
        let bundle = Self {
            dir: dir.to_owned(),
            manifest,
            id: digest(&bytes),
        };
        Ok((bundle, bytes))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the bundle says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest's bytes.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The description of one part.
    ///
    /// # Errors
    /// When the bundle has no such part.
    pub fn part(&self, index: usize) -> Result<&manifest::Part, BundleError> {
        self.manifest.parts.get(index).ok_or(BundleError::NoSuchPart {
            index,
            parts: self.manifest.parts.len(),
        })
    }

    /// What leaves part `index`, in order: the values of the cut behind it, or the model's outputs.
    ///
    /// # Errors
    /// When the bundle has no such part.
    pub fn leaving(&self, index: usize) -> Result<&[String], BundleError> {
        self.part(index)?;
        let leaving = self.manifest.cuts.get(index).map(|cut| &cut.values);
        Ok(leaving.unwrap_or(&self.manifest.model.outputs))
    }

    /// What reaches part `index`, in order: the values of the cut before it, or the model's inputs.
    ///
    /// # Errors
    /// When the bundle has no such part.
    pub fn reaching(&self, index: usize) -> Result<&[String], BundleError> {
        self.part(index)?;
        let before = index.checked_sub(1).and_then(|k| self.manifest.cuts.get(k));
        Ok(before.map_or(&self.manifest.model.inputs, |cut| &cut.values))
    }

    /// The specification of a value.
    ///
    /// # Errors
    /// When the manifest does not describe it; [`Manifest::parse`] has made sure that it does for every named value.
    pub fn spec(&self, name: &str) -> Result<TensorSpec, BundleError> {
        let value = self
            .manifest
            .values
            .get(name)
            .ok_or_else(|| self.broken(format!("value {name:?} is not described")))?;
        let dims = value.shape.iter().map(|axis| match axis {
            Axis::Fixed(n) => Dim::Fixed(*n),
            Axis::Symbol(_) => Dim::Dynamic,
        });
        TensorSpec::new(name, value.dtype, dims).map_err(|why| self.broken(format!("value {name:?}: {why}")))
    }

    /// The artifact of part `index` in one of `formats`, best format first, read and checked. Of several in one format
    /// it is the one of this `precision`, else the part as it was cut, else the first.
    /// None where the part has none in these formats.
    ///
    /// # Errors
    /// When a file is missing, is not what the manifest says, or is over a bound.
    pub fn artifact(
        &self,
        index: usize,
        formats: &[Format],
        precision: Option<&str>,
    ) -> Result<Option<Verified<Artifact>>, BundleError> {
        let part = self.part(index)?;
        let wanted = |a: &&manifest::Artifact| precision.is_some() && precision == precision_of(a);
        let best = formats.iter().find_map(|format| {
            let of_format = || part.artifacts.iter().filter(|a| a.format == *format);
            let as_cut = || of_format().find(|a| a.conversion.is_none());
            of_format().find(wanted).or_else(as_cut).or_else(|| of_format().next())
        });
        best.map(|artifact| self.verify(part, artifact)).transpose()
    }

    /// Reads and checks every file of every part, and the self-test's.
    ///
    /// # Errors
    /// As [`Bundle::artifact`].
    pub fn verify_all(&self) -> Result<(), BundleError> {
        for part in &self.manifest.parts {
            for artifact in &part.artifacts {
                self.verify(part, artifact)?;
            }
        }
        self.self_test_bytes().map(drop)
    }

    /// The self-test's `.npz`, read and checked; none where the bundle has none.
    ///
    /// # Errors
    /// When the file is missing or is not what the manifest says.
    pub fn self_test_bytes(&self) -> Result<Option<Vec<u8>>, BundleError> {
        let Some(test) = &self.manifest.self_test else {
            return Ok(None);
        };
        self.read_exact(&test.file, test.bytes, test.sha256, MAX_TENSOR_FILE_BYTES)
            .map(Some)
    }

    fn verify(&self, part: &manifest::Part, artifact: &manifest::Artifact) -> Result<Verified<Artifact>, BundleError> {
        let contents = self.read_exact(&artifact.file, artifact.bytes, artifact.sha256, MAX_ARTIFACT_BYTES)?;
        let companion = |c: &manifest::Companion| {
            Ok(Companion {
                path: self.dir.join(&c.file),
                name: c.file.clone(),
                contents: Arc::new(self.read_exact(&c.file, c.bytes, c.sha256, MAX_COMPANION_BYTES)?),
            })
        };
        let companions = artifact
            .companions
            .iter()
            .map(companion)
            .collect::<Result<Vec<_>, _>>()?;
        let specs = |names: &[String]| names.iter().map(|name| self.spec(name)).collect::<Result<Vec<_>, _>>();
        check_and_seal(Artifact {
            path: self.dir.join(&artifact.file),
            format: artifact.format,
            sha256: artifact.sha256,
            contents: Arc::new(contents),
            companions,
            signature: Some(crate::backend::Signature {
                inputs: specs(&part.inputs)?,
                outputs: specs(&part.outputs)?,
            }),
            conversion: artifact.conversion.clone(),
        })
    }

    fn read_exact(&self, file: &str, bytes: u64, sha256: Digest, limit: u64) -> Result<Vec<u8>, BundleError> {
        let path = self.dir.join(file);
        file::read_exact(&path, bytes, sha256, limit)
    }

    /// An error about what the manifest asks for.
    pub(crate) fn refused(&self, why: impl std::fmt::Display) -> BundleError {
        self.broken(why.to_string())
    }

    fn broken(&self, what: String) -> BundleError {
        BundleError::Manifest {
            path: self.dir.join(MANIFEST),
            why: ManifestError::Inconsistent(what),
        }
    }
}

/// The manifest of a bundle's folder, or the one of a bundle set that is named by its file.
pub fn manifest_path(place: &Path) -> PathBuf {
    if place.is_file() {
        place.to_owned()
    } else {
        place.join(MANIFEST)
    }
}

fn precision_of(artifact: &manifest::Artifact) -> Option<&'static str> {
    artifact.conversion.as_ref().map(|c| c.precision.as_str())
}
