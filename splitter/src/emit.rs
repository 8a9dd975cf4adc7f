//! Writing bundles: each part as an ONNX file of its own, and the manifest.
//!
//! Owns: the bytes of parts, file names, the manifest's contents. Must not know: engines, why a cut was chosen.
//! Start at [`bundle`]. A part is put together from byte ranges of the model: nodes and weights are copied as they are,
//! so nothing that a node says is lost and no weight is ever in memory.

mod draft;
mod manifest;
mod names;
mod part;
mod piece;
pub mod reference;
mod set;
mod tensors;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kerf_wire::Manifest;
use kerf_wire::manifest::{ExitPolicy, Preprocess};

pub use draft::Draft;
pub use kerf_wire::manifest::set::{SET, WHOLE, manifest_file_of};
pub use set::{Set, SetCut, SetWhole, set};
pub use write::{Folder, Timing, Written, replace_file, replace_manifest};

use crate::cut::{Cut, Illegal, Partition};
use crate::graph::Graph;
use crate::onnx::Model;

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";
/// Beside the manifest and not part of it: where the whole model was, so that `kerf verify` finds it.
pub const MODEL_PATH: &str = "model.path";

/// What a bundle says beyond its parts.
#[derive(Debug, Clone, Default)]
pub struct BundleOptions {
    /// How an image becomes the model's input.
    pub preprocess: Option<Preprocess>,
    /// Class names.
    pub labels: Vec<String>,
    /// The release number that boards compare.
    pub release: u64,
    /// Graph outputs at which a stage may answer by itself, with the rule where there is one.
    pub exits: Vec<(String, Option<ExitPolicy>)>,
    /// How crossing values are encoded, cut by cut, by name; raw where it is not said.
    pub codecs: Vec<BTreeMap<String, kerf_wire::manifest::Codec>>,
    /// What the planner said of this cut.
    pub plan: Option<serde_json::Value>,
}

/// Writes the bundle of one partition; `dir` appears whole or not at all. A bundle that is already there is replaced.
///
/// # Errors
/// When the cuts are no chain, something cannot be read or written, or `dir` is a folder of something else.
pub fn bundle(
    model: &Model,
    graph: &Graph,
    cuts: Vec<Cut>,
    options: &BundleOptions,
    dir: &Path,
) -> Result<Manifest, EmitError> {
    draft(model, graph, cuts, options, dir)?.finish()
}

/// As [`bundle`], with the folder still under another name, so that more can be put in before it appears.
///
/// # Errors
/// As [`bundle`].
pub fn draft(
    model: &Model,
    graph: &Graph,
    cuts: Vec<Cut>,
    options: &BundleOptions,
    dir: &Path,
) -> Result<Draft, EmitError> {
    let partition = Partition::new(graph, cuts)?;
    let mut folder = Folder::create(dir)?;
    let mut files = Vec::new();
    for (index, part) in partition.parts.iter().enumerate() {
        files.push(match part.nodes.is_empty() && part.outputs.is_empty() {
            true => None,
            false => Some(part::write(
                model,
                graph,
                part,
                index,
                &names::part_file(index),
                &mut folder,
            )?),
        });
    }
    let manifest = manifest::of(model, digest(model)?, graph, &partition, files, options)?;
    if let Some(path) = &model.path {
        folder.write(MODEL_PATH, path.as_os_str().as_encoded_bytes())?;
    }
    Ok(Draft { folder, manifest })
}

fn digest(model: &Model) -> Result<kerf_wire::Digest, EmitError> {
    model.digest().map_err(|why| EmitError::Read {
        model: model.name.clone(),
        why,
    })
}

/// Why a bundle was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The cuts are no chain, or a value cannot cross.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The model's file cannot be read any more.
    #[error("reading {model}: {why}")]
    Read {
        /// The model's name.
        model: String,
        /// The cause.
        why: io::Error,
    },
    /// The bundle's folder cannot be written.
    #[error("writing {}: {why}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        why: io::Error,
    },
    /// The folder holds something else.
    #[error("{} is there and holds no bundle: give another folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// What was asked for does not fit the model.
    #[error("{0}")]
    Options(String),
    /// A part that no engine would read.
    #[error(
        "part {index} would have {got} bytes in one file and its weights cannot lie beside it; protobuf ends at 2 GiB"
    )]
    TooLong {
        /// Which part.
        index: usize,
        /// Its length.
        got: u64,
    },
    /// The manifest would not be readable.
    #[error(transparent)]
    Manifest(#[from] kerf_wire::manifest::ManifestError),
}
