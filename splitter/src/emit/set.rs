//! Bundle sets: one folder with the parts of many cuts and one file of weights that all of them read.

use std::collections::HashMap;
use std::path::Path;

use kerf_wire::Digest;
use serde::{Deserialize, Serialize};

use super::names::part_file_of;
use super::part::{self, PartFiles, Shared};
use super::tensors::{self, Weights};
use super::{BundleOptions, EmitError, Folder, MODEL_PATH, SET, Timing, WHOLE, Written, manifest, manifest_file_of};
use crate::cut::{Cut, Partition};
use crate::graph::Graph;
use crate::onnx::Model;

/// The file of weights.
const WEIGHTS: &str = "weights.bin";

/// What a bundle set holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Format of this document, 1.
    pub format: u32,
    /// What wrote it.
    pub tool: String,
    /// SHA-256 of the whole model's file.
    pub model: Digest,
    /// Every cut, in the graph's order.
    pub cuts: Vec<SetCut>,
    /// The whole model in one part, for inputs that cross no cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<SetWhole>,
}

/// The whole model of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetWhole {
    /// Its manifest, a file beside this one.
    pub manifest: String,
    /// SHA-256 of the manifest.
    pub sha256: Digest,
}

/// One cut of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetCut {
    /// The cut's id.
    pub id: String,
    /// The values that cross.
    pub values: Vec<String>,
    /// Its manifest, a file beside this one.
    pub manifest: String,
    /// SHA-256 of the manifest.
    pub sha256: Digest,
}

/// Writes a set of bundles of two parts, one a cut; `dir` appears whole or not at all.
///
/// # Errors
/// As [`super::bundle`].
pub fn set(
    model: &Model,
    graph: &Graph,
    cuts: Vec<Cut>,
    options: &BundleOptions,
    dir: &Path,
) -> Result<(Set, Timing), EmitError> {
    let mut folder = Folder::create(dir)?;
    let digest = super::digest(model)?;
    let shared = weights(model, &mut folder)?;
    let one = |cuts: Vec<Cut>, id: &str, file: &str, folder: &mut Folder| -> Result<Written, EmitError> {
        let partition = Partition::new(graph, cuts)?;
        let files = partition.parts.iter().enumerate().map(|(index, part)| {
            let name = part_file_of(index, id);
            part::write_sharing(model, graph, part, &name, &shared, folder).map(Some)
        });
        let files = files.collect::<Result<Vec<Option<PartFiles>>, _>>()?;
        let manifest = manifest::of(model, digest, graph, &partition, files, options)?;
        folder.write(file, manifest.to_json()?.as_bytes())
    };
    let whole = one(Vec::new(), "whole", WHOLE, &mut folder)?;
    let mut listed = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let id = cut.id(graph).to_string();
        let values = cut.crossing().iter().map(|v| graph.value(*v).name.clone()).collect();
        let written = one(vec![cut], &id, &manifest_file_of(&id), &mut folder)?;
        listed.push(SetCut {
            id,
            values,
            manifest: written.name,
            sha256: written.sha256,
        });
    }
    let set = Set {
        format: 1,
        tool: manifest::TOOL.to_owned(),
        model: digest,
        cuts: listed,
        whole: Some(SetWhole {
            manifest: whole.name,
            sha256: whole.sha256,
        }),
    };
    let mut json = serde_json::to_string_pretty(&set).map_err(|why| EmitError::Options(why.to_string()))?;
    json.push('\n');
    folder.write(SET, json.as_bytes())?;
    if let Some(path) = &model.path {
        folder.write(MODEL_PATH, path.as_os_str().as_encoded_bytes())?;
    }
    let timing = folder.timing();
    folder.finish()?;
    Ok((set, timing))
}

/// Writes all long initialisers once.
fn weights(model: &Model, folder: &mut Folder) -> Result<Shared, EmitError> {
    let mut weights = Weights {
        file: WEIGHTS.to_owned(),
        ..Weights::default()
    };
    let mut offsets = HashMap::new();
    for initialiser in model.initialisers.iter().filter(|i| tensors::may_lie_beside(i)) {
        if let Some(raw) = &initialiser.raw {
            offsets.insert(initialiser.name().to_owned(), weights.put(raw));
        }
    }
    let file = folder.stream(WEIGHTS, |mut out| weights.pieces.write(model, &mut out))?;
    Ok(Shared { file, offsets })
}
