//! What parts were converted to, each file on its own backend, against the bundle's self-test.
//!
//! Random inputs prove nothing of a converted part: int8 knows only numbers such as it was calibrated on. The self-test's
//! input is the first of that data, its expected values are what the parts as cut give, and each file has its own tolerance
//! from when it was compared.

use kerf_runtime::backend::{self, Backend, LoadOptions};
use kerf_runtime::bundle::Bundle;
use kerf_runtime::exit::Failure;
use kerf_runtime::self_test;
use kerf_runtime::step::LoadError;
use kerf_wire::manifest::{Artifact, Format};

use super::answers::Way;

/// A converted file that was run.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The file.
    pub file: String,
    /// What ran it, name and version.
    pub backend: String,
    /// max|a−b| / max|b| on the self-test's input.
    pub difference: f64,
    /// What the manifest allows it.
    pub tolerance: f64,
}

impl Converted {
    /// True within the tolerance.
    pub fn holds(&self) -> bool {
        self.difference <= self.tolerance
    }
}

/// Runs each converted file of a bundle on the first of these backends that takes it, or of all where none is named. What
/// cannot be run here is told in `skipped`.
///
/// # Errors
/// When a file is not what the manifest says, or a backend that is there refuses it or answers in another shape.
pub fn converted(bundle: &Bundle, backends: &[String], skipped: &mut Vec<String>) -> Result<Vec<Converted>, Failure> {
    let mut all = Vec::new();
    for (index, part) in bundle.manifest().parts.iter().enumerate() {
        for artifact in part.artifacts.iter().filter(|a| a.conversion.is_some()) {
            match one(bundle, index, artifact, backends)? {
                Ok(converted) => all.push(converted),
                Err(why) => skipped.push(format!("{}: {why}", artifact.file)),
            }
        }
    }
    Ok(all)
}

fn one(
    bundle: &Bundle,
    index: usize,
    artifact: &Artifact,
    backends: &[String],
) -> Result<Result<Converted, String>, Failure> {
    let backend = match first_there(artifact.format, backends) {
        Ok(backend) => backend,
        Err(why) => return Ok(Err(why)),
    };
    let precision = artifact.conversion.as_ref().map(|made| made.precision.as_str());
    let Some(verified) = bundle.artifact(index, &[artifact.format], precision)? else {
        return Ok(Err("the bundle does not give it".to_owned()));
    };
    if verified.sha256 != artifact.sha256 {
        return Ok(Err(
            "another file of the same format and precision comes before it".to_owned()
        ));
    }
    let doing = || format!("running {} on {}", artifact.file, backend.name());
    let fails = |why: LoadError| Failure::from(why).context(doing());
    let options = LoadOptions {
        precision: precision.filter(|_| is_hint(backend.name())).map(str::to_owned),
        ..LoadOptions::default()
    };
    let tolerance = verified.tolerance();
    let mut session = backend.load(verified, &options).map_err(|why| fails(why.into()))?;
    let outcome = self_test::measure(bundle, tolerance, backend.name(), session.as_mut()).map_err(fails)?;
    let Some(outcome) = outcome else {
        return Ok(Err("the bundle has no self-test".to_owned()));
    };
    let usual = Way {
        backend: backend.name(),
        literal: false,
    };
    let label = usual.label()?;
    Ok(Ok(Converted {
        file: artifact.file.clone(),
        backend: label,
        difference: outcome.difference,
        tolerance: outcome.tolerance,
    }))
}

/// Whether a backend computes in the precision that it is told, and not in its file's own.
fn is_hint(backend: &str) -> bool {
    backend == "tensorrt"
}

/// The first backend that loads this format and is there; the text of the last that is not.
fn first_there(format: Format, named: &[String]) -> Result<&'static dyn Backend, String> {
    let wanted = |b: &&&'static dyn Backend| {
        b.formats().contains(&format) && (named.is_empty() || named.iter().any(|name| name == b.name()))
    };
    let mut why = None;
    for backend in backend::all().iter().filter(wanted) {
        match backend.check(&LoadOptions::default()) {
            Ok(_) => return Ok(*backend),
            Err(missing) => why = Some(missing.to_string()),
        }
    }
    Err(why.unwrap_or_else(|| format!("no backend here that was asked for loads {format}")))
}
