//! What a manifest may not say.

use std::collections::BTreeSet;

use super::{Artifact, Cut, MAX_CROSSING, MAX_PARTS, MAX_VALUES, Manifest, Part};
use crate::id::CutId;
use crate::limits::MAX_RANK;

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Over the length limit.
    #[error("manifest has {got} bytes, the limit is {}", super::MAX_MANIFEST_BYTES)]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// No JSON, or not of this shape.
    #[error("manifest does not read: {0}")]
    Json(#[source] serde_json::Error),
    /// Another format.
    #[error(
        "manifest has format {got}, written by {tool:?}; this is Kerf {}, which reads format {}: take the version that wrote it, or \
         split again",
        env!("CARGO_PKG_VERSION"),
        super::FORMAT
    )]
    Format {
        /// Its format.
        got: u32,
        /// What wrote it.
        tool: String,
    },
    /// A cut id that is no id.
    #[error("cut id {0:?} is not 32 hexadecimal digits")]
    BadCutId(String),
    /// A file name that could leave the folder.
    #[error("file name {0:?} is not a plain name in the bundle's folder")]
    BadFileName(String),
    /// Counts or references that do not fit together.
    #[error("manifest does not hold together: {0}")]
    Inconsistent(String),
}

/// True for a name that stays in its folder on every system.
pub(crate) fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

pub(super) fn inconsistent<T>(text: String) -> Result<T, ManifestError> {
    Err(ManifestError::Inconsistent(text))
}

pub(super) fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    let parts = manifest.parts.len();
    if parts == 0 || parts > MAX_PARTS {
        return inconsistent(format!("{parts} parts, expected 1 to {MAX_PARTS}"));
    }
    if manifest.cuts.len() + 1 != parts {
        return inconsistent(format!("{} cuts for {parts} parts", manifest.cuts.len()));
    }
    if manifest.values.len() > MAX_VALUES {
        return inconsistent(format!("{} values, the limit is {MAX_VALUES}", manifest.values.len()));
    }
    check_values(manifest)?;
    manifest.parts.iter().try_for_each(check_part)?;
    manifest.cuts.iter().try_for_each(check_cut)?;
    if let Some(test) = &manifest.self_test {
        plain(&test.file)?;
        not_negative("self-test tolerance", test.tolerance)?;
    }
    if let Some(preprocess) = &manifest.preprocess {
        preprocess.check()?;
        if !manifest.model.inputs.contains(&preprocess.input) {
            return inconsistent(format!(
                "preprocessing makes {:?}, which is no input of the model",
                preprocess.input
            ));
        }
    }
    check_flow(manifest)?;
    check_exits(manifest)
}

/// For tolerances and thresholds: finite and not below zero.
pub(super) fn not_negative(what: &str, number: f64) -> Result<(), ManifestError> {
    if number.is_finite() && number >= 0.0 {
        Ok(())
    } else {
        inconsistent(format!("{what} is {number}, expected a number from 0"))
    }
}

fn no_repeats(what: &str, names: &[String]) -> Result<(), ManifestError> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => inconsistent(format!("{what} names {name:?} twice")),
        None => Ok(()),
    }
}

fn check_cut(cut: &Cut) -> Result<(), ManifestError> {
    let got = cut.cut_id()?;
    if cut.values.is_empty() || cut.values.len() > MAX_CROSSING {
        return inconsistent(format!(
            "cut {} crosses {} values, expected 1 to {MAX_CROSSING}",
            cut.id,
            cut.values.len()
        ));
    }
    no_repeats("a cut", &cut.values)?;
    let expected = CutId::of(&cut.values);
    if got != expected {
        return inconsistent(format!("cut id {got} is not that of its values, expected {expected}"));
    }
    match cut.codecs.keys().find(|name| !cut.values.contains(name)) {
        Some(name) => inconsistent(format!("a codec is given for {name:?}, which does not cross cut {got}")),
        None => Ok(()),
    }
}

fn check_values(manifest: &Manifest) -> Result<(), ManifestError> {
    for (name, value) in &manifest.values {
        if value.shape.len() > MAX_RANK {
            return inconsistent(format!(
                "value {name:?} has rank {}, the limit is {MAX_RANK}",
                value.shape.len()
            ));
        }
        if name.len() > crate::limits::MAX_NAME_BYTES {
            return inconsistent(format!("a value name has {} bytes", name.len()));
        }
    }
    let named = manifest
        .model
        .inputs
        .iter()
        .chain(&manifest.model.outputs)
        .chain(manifest.cuts.iter().flat_map(|c| &c.values));
    let of_parts = manifest.parts.iter().flat_map(|p| p.inputs.iter().chain(&p.outputs));
    match named.chain(of_parts).find(|name| !manifest.values.contains_key(*name)) {
        Some(name) => inconsistent(format!("value {name:?} is used and not described")),
        None => Ok(()),
    }
}

fn plain(name: &str) -> Result<(), ManifestError> {
    if is_plain_file_name(name) {
        Ok(())
    } else {
        Err(ManifestError::BadFileName(name.to_owned()))
    }
}

fn check_part(part: &Part) -> Result<(), ManifestError> {
    no_repeats("a part's inputs", &part.inputs)?;
    no_repeats("a part's outputs", &part.outputs)?;
    let files = |a: &Artifact| {
        std::iter::once(a.file.clone())
            .chain(a.companions.iter().map(|c| c.file.clone()))
            .collect::<Vec<_>>()
    };
    part.artifacts
        .iter()
        .flat_map(files)
        .try_for_each(|file| plain(&file))?;
    part.artifacts
        .iter()
        .try_for_each(|artifact| super::conversion::check(part, artifact))
}

fn check_exits(manifest: &Manifest) -> Result<(), ManifestError> {
    for exit in &manifest.exits {
        let made = manifest
            .parts
            .get(usize::from(exit.part))
            .is_some_and(|p| p.outputs.contains(&exit.output));
        if let Some(policy) = &exit.policy {
            not_negative("exit threshold", policy.threshold)?;
        }
        if !made {
            return inconsistent(format!("exit {:?} is not made by part {}", exit.output, exit.part));
        }
    }
    Ok(())
}

/// Every part must find its inputs in what the cut before it carries, every cut its values in what came before.
fn check_flow(manifest: &Manifest) -> Result<(), ManifestError> {
    let mut here: BTreeSet<&str> = manifest.model.inputs.iter().map(String::as_str).collect();
    for (index, part) in manifest.parts.iter().enumerate() {
        if let Some(missing) = part.inputs.iter().find(|name| !here.contains(name.as_str())) {
            return inconsistent(format!("part {index} needs {missing:?}, which does not reach it"));
        }
        here.extend(part.outputs.iter().map(String::as_str));
        let leaving = manifest
            .cuts
            .get(index)
            .map_or(&manifest.model.outputs, |cut| &cut.values);
        if let Some(missing) = leaving.iter().find(|name| !here.contains(name.as_str())) {
            return inconsistent(format!("{missing:?} should leave part {index} and is not there"));
        }
        here = leaving.iter().map(String::as_str).collect();
    }
    Ok(())
}
