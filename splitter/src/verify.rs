//! Proof that the parts of a bundle give what the whole model gives.
//!
//! Owns: inputs to compare on, running whole and parts on the backends, the differences and what they prove.
//! Must not know: how a bundle was made. Start at [`verify`].
//!
//! Two engines may both be right and differ in the last digits, and one engine may be wrong in both whole and parts: so
//! each engine's parts are compared with its own whole, and with the whole of every other engine. What a quantised model
//! may differ by is [`Quantised`]'s to say.

mod answers;
mod compare;
mod converted;
mod inputs;
mod noise;

use kerf_runtime::backend::{Artifact, Verified};
use kerf_runtime::bundle::{Bundle, digest};
use kerf_runtime::exit::Failure;
use kerf_runtime::source::Input;
use kerf_wire::manifest::{Manifest, Proof};

use answers::{Answers, Way};
pub use compare::Difference;
pub(crate) use compare::{argmax, numbers};
pub use converted::{Converted, converted};
pub use inputs::{InputError, random};
use noise::{Allowed, nudged};
pub use noise::{Noise, Quantised};

/// Largest max|a−b| / max|b| on one engine.
pub const TOLERANCE_SAME: f64 = 1e-4;
/// Largest max|a−b| / max|b| across two engines.
pub const TOLERANCE_ACROSS: f64 = 1e-3;
/// It computes quantised operators one by one, in floats: a cut changes nothing there, and nothing more is allowed.
const UNFUSED: &str = "tract";

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
    /// What is allowed, as max|a−b| / max|b|.
    pub tolerance: f64,
    /// Or, of a quantised model, for each output as max|a−b|.
    pub allowed: Allowed,
}

impl Comparison {
    /// True when every output is within what is allowed and every argmax agrees that could be told apart.
    pub fn holds(&self) -> bool {
        let d = &self.difference;
        d.beyond <= self.tolerance && d.argmax_agree + d.argmax_close == d.argmax_of
    }
}

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every comparison made.
    pub comparisons: Vec<Comparison>,
    /// How sharp a quantised model's answers are, by engine and output.
    pub noise: Vec<Noise>,
    /// Every converted file that was run.
    pub converted: Vec<Converted>,
    /// Engines that do not take the model and converted files that nothing here runs, with the reason.
    pub skipped: Vec<String>,
}

/// The whole on one engine, and how far its answers move by rounding alone.
struct Whole {
    answers: Answers,
    allowed: Allowed,
}

/// Compares a bundle's parts with the whole model on these backends; `tolerance` replaces all default ones. `quantised`
/// says what is known of a quantised model.
///
/// # Errors
/// When no backend takes the whole model, or one takes the whole and not a part.
pub fn verify(
    bundle: &Bundle,
    model: &Verified<Artifact>,
    backends: &[String],
    inputs: &[Input],
    tolerance: Option<f64>,
    quantised: Option<&Quantised>,
) -> Result<Report, Failure> {
    let quantised = quantised.filter(|_| tolerance.is_none());
    let mut report = Report::default();
    let wholes = wholes(model, backends, inputs, quantised, &mut report)?;
    let judge = |whole: &Whole, other: &Answers, allowed: Allowed, of_wholes: bool| {
        let same = whole.answers.way.backend == other.way.backend;
        let default = if same { TOLERANCE_SAME } else { TOLERANCE_ACROSS };
        compare(&whole.answers, other, of_wholes, tolerance.unwrap_or(default), allowed)
    };
    for (index, a) in wholes.iter().enumerate() {
        let later = wholes.iter().skip(index + 1);
        // As it is written is for comparison with the same engine.
        for b in later.filter(|b| !a.answers.way.literal || a.answers.way.backend == b.answers.way.backend) {
            if !b.answers.way.literal {
                let allowed = a.allowed.sharper(&b.allowed);
                report.comparisons.push(judge(a, &b.answers, allowed, true));
            }
        }
    }
    let mut ran: Vec<(Answers, &Allowed)> = Vec::new();
    for whole in &wholes {
        for format in whole.answers.way.forms(bundle) {
            ran.push((whole.answers.way.parts(bundle, format, inputs)?, &whole.allowed));
        }
    }
    for (parts, allowed) in &ran {
        for whole in wholes.iter().filter(|w| w.answers.way.literal == parts.way.literal) {
            let same = whole.answers.way == parts.way;
            let allowed = match same && (parts.way.literal || parts.way.backend == UNFUSED) {
                true => Allowed::default(),
                false => whole.allowed.sharper(allowed),
            };
            report.comparisons.push(judge(whole, parts, allowed, false));
        }
    }
    Ok(report)
}

/// Runs the whole model on every backend that takes it.
fn wholes(
    model: &Verified<Artifact>,
    backends: &[String],
    inputs: &[Input],
    quantised: Option<&Quantised>,
    report: &mut Report,
) -> Result<Vec<Whole>, Failure> {
    let nudged = quantised.map(|_| nudged(inputs)).unwrap_or_default();
    let lists: Vec<&[Input]> = std::iter::once(inputs)
        .chain(nudged.iter().map(Vec::as_slice))
        .collect();
    let mut wholes = Vec::new();
    let mut first = None;
    for backend in backends {
        for way in Way::all(backend, quantised.is_some())? {
            let mut all = match way.whole(model, &lists) {
                Ok(all) => all.into_iter(),
                Err(failure) => {
                    report.skipped.push(format!("{backend}: {failure}"));
                    first.get_or_insert(failure);
                    break;
                }
            };
            let Some(answers) = all.next() else { continue };
            let (noise, allowed) = noise::of(quantised, &answers, all.as_slice());
            report.noise.extend(noise);
            wholes.push(Whole { answers, allowed });
        }
    }
    match (wholes.is_empty(), first) {
        (true, Some(failure)) => Err(failure.context("running the whole model")),
        _ => Ok(wholes),
    }
}

impl Report {
    /// The converted files that differ too much.
    pub fn broken_files(&self) -> impl Iterator<Item = &Converted> {
        self.converted.iter().filter(|c| !c.holds())
    }

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

fn compare(whole: &Answers, other: &Answers, of_wholes: bool, tolerance: f64, allowed: Allowed) -> Comparison {
    let mut difference = Difference::default();
    for (want, got) in whole.outputs.iter().zip(&other.outputs) {
        for (name, want) in want {
            let got = got.iter().find(|(n, _)| n == name).map(|(_, t)| t);
            difference.add(name, got, want, allowed.of(name));
        }
    }
    Comparison {
        whole: whole.label.clone(),
        parts: other.label.clone(),
        of_wholes,
        difference,
        tolerance,
        allowed,
    }
}
