//! A bare model, and the last check before an engine may see a file.
//!
//! Owns: what a model without a bundle needs beside it. Must not know: manifests, engines.

use std::path::Path;
use std::sync::Arc;

use kerf_wire::manifest::Format;

use super::file::{digest, read_bounded};
use super::{BundleError, format, guard};
use crate::backend::{Artifact, Companion, Verified};
use crate::limits::{MAX_ARTIFACT_BYTES, MAX_COMPANION_BYTES};

/// A bare ONNX model, read and checked against the bounds; the external weights that it names must lie beside it.
///
/// # Errors
/// When the file is missing, over a bound, or no intact ONNX.
pub fn open_model(path: &Path) -> Result<Verified<Artifact>, BundleError> {
    if !path.is_file() {
        return Err(BundleError::Missing {
            path: path.to_owned(),
            what: "no such file",
        });
    }
    let contents = read_bounded(path, MAX_ARTIFACT_BYTES)?;
    let format = format::of_file(path, &contents);
    let mut artifact = Artifact {
        path: path.to_owned(),
        format,
        sha256: digest(&contents),
        contents: Arc::new(contents),
        companions: Vec::new(),
        signature: None,
        conversion: None,
    };
    if format == Format::Onnx {
        let scan = guard::scan(&artifact.contents).map_err(|why| model_refused(&artifact, &why))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        for name in scan.external_files {
            let path = dir.join(&name);
            let contents = Arc::new(read_bounded(&path, MAX_COMPANION_BYTES)?);
            artifact.companions.push(Companion { path, name, contents });
        }
    } else if format == Format::OpenvinoIr {
        let path = path.with_extension("bin");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let contents = Arc::new(read_bounded(&path, MAX_COMPANION_BYTES)?);
        artifact.companions.push(Companion { path, name, contents });
    }
    check_and_seal(artifact)
}

fn model_refused(artifact: &Artifact, why: &guard::GuardError) -> BundleError {
    BundleError::Model {
        path: artifact.path.clone(),
        why: why.to_string(),
    }
}

/// The last check before an engine may see an artifact.
pub(super) fn check_and_seal(artifact: Artifact) -> Result<Verified<Artifact>, BundleError> {
    if artifact.format == Format::Onnx {
        let scan = guard::scan(&artifact.contents).map_err(|why| model_refused(&artifact, &why))?;
        guard::check_external(&scan, &artifact.companions).map_err(|why| model_refused(&artifact, &why))?;
    }
    Ok(Verified::new(artifact))
}
