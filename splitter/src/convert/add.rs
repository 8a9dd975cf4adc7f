//! Adds converted artifacts to a bundle that is there.

use std::path::Path;

use kerf_runtime::bundle::{Bundle, digest};
use kerf_runtime::source::npz;
use kerf_wire::Manifest;
use kerf_wire::manifest::{Artifact, Companion, Conversion, Format, Precision, SelfTest};

use super::samples::PartSamples;
use super::{ConvertError, Kind, Samples, at, compile, fixed, half, judge, python};
use crate::exit::{Exit, Failure, OrExit as _};

/// What one part is to become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Which part.
    pub part: usize,
    /// In this order: int8 TFLite before what is compiled from it.
    pub kinds: Vec<Kind>,
    /// Those of `kinds` without which the part still runs there: where it cannot become one, that is told.
    pub optional: Vec<Kind>,
    /// The backends that the manifest then names for the part; as they were where empty.
    pub backends: Vec<String>,
}

/// Converts parts of the bundle and writes files and manifest; nothing is changed where a conversion fails.
/// `real` says that the samples are data and no random numbers: then the first becomes the bundle's self-test, for what int8
/// does to numbers far from its calibration says nothing.
///
/// # Errors
/// When a converter is missing, refuses a part, or its result differs too much.
pub fn add(bundle: &Bundle, requests: &[Request], samples: &Samples, real: bool) -> Result<Manifest, Failure> {
    let work = tempfile::Builder::new()
        .prefix(".kerf-convert-")
        .tempdir_in(bundle.dir());
    let work = work.map_err(at(bundle.dir()))?;
    let mut manifest = bundle.manifest().clone();
    let mut files = Vec::new();
    for request in requests {
        let part = samples.part(bundle, request.part)?;
        let mut made: Vec<Artifact> = Vec::new();
        for kind in &request.kinds {
            match make(bundle, *kind, samples, &part, &made, work.path()) {
                Ok(artifact) => made.push(artifact),
                Err(why) if why.exit == Exit::ModelRefused && request.optional.contains(kind) => {
                    let hint = match part.engine {
                        "tract" => "; ONNX Runtime, where ORT_DYLIB_PATH names it, runs more of them",
                        _ => "",
                    };
                    log::warn!("event=left-as-cut part={} kind={kind}: {why}{hint}", request.part);
                }
                Err(why) => return Err(why),
            }
        }
        let entry = manifest.parts.get_mut(request.part);
        let entry = entry.ok_or_else(|| Failure::usage(format!("the bundle has no part {}", request.part)))?;
        entry
            .artifacts
            .retain(|old| !made.iter().any(|new| new.file == old.file));
        files.extend(made.iter().flat_map(names));
        entry.artifacts.extend(made);
        if !request.backends.is_empty() {
            entry.backends.clone_from(&request.backends);
        }
    }
    if let (true, Some(old)) = (real, &manifest.self_test) {
        let test = self_test(samples, work.path(), old)?;
        files.push(test.file.clone());
        manifest.self_test = Some(test);
    }
    // A proof is of the files that it was made with.
    manifest.proofs.clear();
    let json = manifest.to_json().or_exit(Exit::Bug)?;
    for name in files {
        let (from, to) = (work.path().join(&name), bundle.dir().join(&name));
        std::fs::rename(&from, &to).map_err(at(&to))?;
    }
    crate::emit::replace_manifest(&bundle.dir().join(crate::emit::MANIFEST), json.as_bytes())?;
    Ok(manifest)
}

fn names(artifact: &Artifact) -> Vec<String> {
    let companions = artifact.companions.iter().map(|c| c.file.clone());
    std::iter::once(artifact.file.clone()).chain(companions).collect()
}

fn make(
    bundle: &Bundle,
    kind: Kind,
    samples: &Samples,
    part: &PartSamples<'_>,
    before: &[Artifact],
    work: &Path,
) -> Result<Artifact, Failure> {
    let unfit = |why: &str| ConvertError::Unfit {
        kind,
        part: part.index,
        why: why.to_owned(),
    };
    let artifacts = &bundle.part(part.index)?.artifacts;
    let as_cut = artifacts
        .iter()
        .find(|a| a.format == Format::Onnx && a.conversion.is_none());
    let as_cut = as_cut.ok_or_else(|| unfit("the bundle has no ONNX of it"))?;
    let model = bundle.dir().join(&as_cut.file);
    let output = work.join(kind.file(part.index));
    let fixed = work.join(format!("fixed-{}.onnx", part.index));
    log::info!("event=convert kind={kind} part={}", part.index);
    let made = match kind {
        Kind::OnnxF16 => half::convert(part, &model, &output)?,
        Kind::OpenvinoIr | Kind::OpenvinoIrF16 | Kind::Tflite | Kind::TfliteInt8 => {
            fixed::write(kind, part, &model, &fixed)?;
            python::convert(kind, part, &fixed, &output)?
        }
        Kind::MyriadBlob => {
            fixed::write(kind, part, &model, &fixed)?;
            let made = compile::myriad(part.index, &fixed, &output)?;
            return entry(kind, &output, made.conversion, Some(made.compiled_for));
        }
        Kind::Edgetpu => {
            let file = Kind::TfliteInt8.file(part.index);
            let int8 = before
                .iter()
                .find(|a| a.file == file)
                .and_then(|a| a.conversion.as_ref());
            let int8 = int8.ok_or_else(|| unfit("it is compiled from tflite-int8: ask for that too"))?;
            let made = compile::edgetpu(part.index, &work.join(&file), int8, &output)?;
            return entry(kind, &output, made.conversion, Some(made.compiled_for));
        }
    };
    let mut conversion = made.conversion;
    if let Some(comparison) = &mut conversion.comparison {
        comparison.answers = Some(samples.answers_after(bundle, part.index, &made.got)?);
        let precision = judge::precision(kind, &std::fs::read(&model).map_err(at(&model))?);
        judge::judge(kind, part.index, precision, comparison)?;
        if precision == Precision::Int8 && !kind.needs_data() {
            let tolerance = Kind::TfliteInt8.tolerance(Some(comparison.difference_relative));
            conversion.tolerance = Some(tolerance);
        }
    }
    entry(kind, &output, conversion, None)
}

/// The manifest's entry of a file, and of the `.bin` beside an `.xml`.
fn entry(kind: Kind, file: &Path, conversion: Conversion, compiled_for: Option<String>) -> Result<Artifact, Failure> {
    let describe = |path: &Path| -> Result<Companion, ConvertError> {
        let bytes = std::fs::read(path).map_err(at(path))?;
        Ok(Companion {
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: digest(&bytes),
            bytes: bytes.len() as u64,
        })
    };
    let own = describe(file)?;
    let weights = file.with_extension("bin");
    let is_ir = kind.format() == Format::OpenvinoIr;
    Ok(Artifact {
        file: own.file,
        format: kind.format(),
        sha256: own.sha256,
        bytes: own.bytes,
        companions: if is_ir { vec![describe(&weights)?] } else { Vec::new() },
        compiled_for,
        conversion: Some(conversion),
    })
}

/// The first sample in the place of the self-test's own input.
fn self_test(samples: &Samples, work: &Path, old: &SelfTest) -> Result<SelfTest, Failure> {
    let file = work.join(&old.file);
    let values = samples.first();
    let out = std::fs::File::create(&file).map_err(at(&file))?;
    let views = values.iter().map(|(name, tensor)| (name.as_str(), tensor.view()));
    npz::write(views, std::io::BufWriter::new(out)).or_exit(Exit::DiskFull)?;
    let bytes = std::fs::read(&file).map_err(at(&file))?;
    Ok(SelfTest {
        sha256: digest(&bytes),
        bytes: bytes.len() as u64,
        ..old.clone()
    })
}
