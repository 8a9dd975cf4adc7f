//! Proof that the parts of a bundle give what the whole model gives.
//!
//! Owns: inputs to compare on, running whole and parts on the backends, the differences and what they prove.
//! Must not know: how a bundle was made. Start at [`verify`].
//!
//! Two engines may both be right and differ in the last digits, and one engine may be wrong in both whole and parts: so
//! each engine's parts are compared with its own whole, and with the whole of every other engine.

mod compare;
mod inputs;

use kerf_runtime::backend::{Artifact, LoadOptions, Verified, named};
use kerf_runtime::bundle::{Bundle, digest};
use kerf_runtime::exit::Failure;
use kerf_runtime::source::Input;
use kerf_runtime::step::{Choice, Step};
use kerf_runtime::tensor::Tensor;
use kerf_wire::manifest::{Format, Manifest, Proof};

pub use compare::Difference;
pub use inputs::{InputError, random};

/// Largest max|a−b| / max|b| on one engine.
pub const TOLERANCE_SAME: f64 = 1e-4;
/// Largest max|a−b| / max|b| across two engines.
pub const TOLERANCE_ACROSS: f64 = 1e-3;

/// What one engine gave for every input.
struct Answers {
    backend: &'static str,
    /// Name and version.
    label: String,
    /// For each input, each output of the model.
    outputs: Vec<Vec<(String, Tensor)>>,
}

/// One comparison.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What ran the whole, e.g. `tract 0.23.9`.
    pub whole: String,
    /// What ran the parts; the whole again where two engines are compared with each other.
    pub parts: String,
    /// True where both ran the whole model: not the cut but an engine is judged.
    pub of_wholes: bool,
    /// The largest differences.
    pub difference: Difference,
    /// What is allowed.
    pub tolerance: f64,
}

impl Comparison {
    /// True when it is within the tolerance and every argmax agrees.
    pub fn holds(&self) -> bool {
        self.difference.relative <= self.tolerance && self.difference.argmax_agree == self.difference.argmax_of
    }
}

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every comparison made.
    pub comparisons: Vec<Comparison>,
    /// Engines that do not take the model, with the reason.
    pub skipped: Vec<String>,
}

/// Compares a bundle's parts with the whole model on these backends; `tolerance` replaces both default ones.
///
/// # Errors
/// When no backend takes the whole model, or one takes the whole and not a part.
pub fn verify(
    bundle: &Bundle,
    model: &Verified<Artifact>,
    backends: &[String],
    inputs: &[Input],
    tolerance: Option<f64>,
) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut wholes: Vec<Answers> = Vec::new();
    let mut first = None;
    for backend in backends {
        match whole(model, backend, inputs) {
            Ok(answers) => wholes.push(answers),
            Err(failure) => {
                report.skipped.push(format!("{backend}: {failure}"));
                first.get_or_insert(failure);
            }
        }
    }
    if let (true, Some(failure)) = (wholes.is_empty(), first) {
        return Err(failure.context("running the whole model"));
    }
    for (index, a) in wholes.iter().enumerate() {
        let across = tolerance.unwrap_or(TOLERANCE_ACROSS);
        for b in wholes.iter().skip(index + 1) {
            report.comparisons.push(compare(a, b, true, across));
        }
    }
    let mut ran: Vec<Answers> = Vec::new();
    for whole in &wholes {
        for format in forms(bundle, whole.backend) {
            ran.push(parts(bundle, whole.backend, format, inputs)?);
        }
    }
    for parts in &ran {
        for whole in &wholes {
            let same = whole.backend == parts.backend;
            let default = if same { TOLERANCE_SAME } else { TOLERANCE_ACROSS };
            report
                .comparisons
                .push(compare(whole, parts, false, tolerance.unwrap_or(default)));
        }
    }
    Ok(report)
}

impl Report {
    /// The comparisons that do not hold.
    pub fn broken(&self) -> impl Iterator<Item = &Comparison> {
        self.comparisons.iter().filter(|c| !c.holds())
    }

    /// The comparisons of parts with a whole, as a manifest keeps them.
    pub fn proofs(&self, manifest: &Manifest, input: &str) -> Vec<Proof> {
        let digests = manifest.parts.iter().flat_map(|p| &p.artifacts);
        let files: Vec<u8> = digests.flat_map(|a| a.sha256.0).collect();
        let proof = |c: &Comparison| Proof {
            whole: c.whole.clone(),
            parts: c.parts.clone(),
            input: input.to_owned(),
            files: digest(&files),
            difference_max: c.difference.max,
            difference_relative: c.difference.relative,
            argmax_agreement: c.difference.argmax_agreement(),
        };
        let of_parts = self.comparisons.iter().filter(|c| !c.of_wholes);
        of_parts.map(proof).collect()
    }
}

fn label(backend: &str) -> Result<(&'static str, String), Failure> {
    let backend = named(backend)?;
    let about = backend.check(&LoadOptions::default())?;
    let has_name = about.version.starts_with(backend.name());
    let label = if has_name {
        about.version
    } else {
        format!("{} {}", backend.name(), about.version)
    };
    Ok((backend.name(), label))
}

fn whole(model: &Verified<Artifact>, backend: &str, inputs: &[Input]) -> Result<Answers, Failure> {
    let (name, label) = label(backend)?;
    let mut step = Step::of_model(model, &[name.to_owned()], &LoadOptions::default())?;
    let mut outputs = Vec::with_capacity(inputs.len());
    for input in inputs {
        outputs.push(run(&mut step, input)?);
    }
    Ok(Answers {
        backend: name,
        label,
        outputs,
    })
}

/// The formats that this backend would load parts from: each is proven, for another stage may load another.
fn forms(bundle: &Bundle, backend: &str) -> Vec<Format> {
    let artifacts = || bundle.manifest().parts.iter().flat_map(|part| &part.artifacts);
    let formats = named(backend).map_or(&[][..], |b| b.formats());
    let mut forms: Vec<Format> = formats.to_vec();
    forms.retain(|format| artifacts().any(|a| a.format == *format));
    if forms.is_empty() {
        // A bundle whose parts pass everything on.
        forms.push(Format::Onnx);
    }
    forms
}

/// Runs the parts, each from its artifact of this format; a part that has none in it, from its best.
fn parts(bundle: &Bundle, backend: &str, format: Format, inputs: &[Input]) -> Result<Answers, Failure> {
    let (name, mut label) = label(backend)?;
    if format != Format::Onnx {
        label = format!("{label} from {format}");
    }
    let mut here: Vec<Vec<(String, Tensor)>> = inputs.iter().map(|i| i.tensors.clone()).collect();
    for index in 0..bundle.manifest().parts.len() {
        let doing = || format!("running part {index} on {name}");
        let has = |part: &kerf_wire::manifest::Part| part.artifacts.iter().any(|a| a.format == format);
        let how = Choice {
            format: bundle.part(index).is_ok_and(has).then_some(format),
            unproven: true,
        };
        let step = Step::load_as(bundle, index, &[name.to_owned()], &LoadOptions::default(), how);
        let mut step = step.map_err(|e| Failure::from(e).context(doing()))?;
        for tensors in &mut here {
            let input = Input {
                label: String::new(),
                tensors: std::mem::take(tensors),
            };
            *tensors = run(&mut step, &input).map_err(|e| e.context(doing()))?;
        }
    }
    Ok(Answers {
        backend: name,
        label,
        outputs: here,
    })
}

fn run(step: &mut Step, input: &Input) -> Result<Vec<(String, Tensor)>, Failure> {
    let leaving = step.run(input)?;
    let own = |(name, tensor): (&str, kerf_wire::TensorRef<'_>)| {
        let tensor = Tensor::copy_of(tensor).map_err(|e| Failure::new(crate::exit::Exit::RunFailed, e))?;
        Ok((name.to_owned(), tensor))
    };
    leaving.values.into_iter().map(own).collect()
}

fn compare(whole: &Answers, other: &Answers, of_wholes: bool, tolerance: f64) -> Comparison {
    let mut difference = Difference::default();
    for (want, got) in whole.outputs.iter().zip(&other.outputs) {
        for (name, want) in want {
            let got = got.iter().find(|(n, _)| n == name).map(|(_, t)| t);
            difference.add(name, got, want);
        }
    }
    Comparison {
        whole: whole.label.clone(),
        parts: other.label.clone(),
        of_wholes,
        difference,
        tolerance,
    }
}
