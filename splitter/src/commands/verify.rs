//! `kerf verify`: do the parts give what the whole gives?

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kerf_runtime::backend;
use kerf_runtime::bundle::{Bundle, MANIFEST, digest, open_model};
use kerf_wire::Manifest;

use super::{parse_symbol, print};
use crate::emit;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::onnx::Model;
use crate::verify::{self, Comparison, Noise, Report};

/// Run the whole model and the parts on the same inputs, and compare.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf verify bundle\n  kerf verify bundle --model model.onnx --runs 10 --seed 7\n  \
    kerf verify bundle --backend tract --dim H=48 --dim W=192\n\n\
    Passes within 1e-4 (max|a-b| / max|b|) on one engine and 1e-3 across two, with the same argmax; else exit code 12.\n\
    Engines fuse the operators of a quantised model, and a cut parts what they fuse. Such a model must pass within 1e-4\n\
    run node by node as it is written (ONNX Runtime); as engines run it, its parts may differ by one step of the output's\n\
    scale, or by twice what half a step at the input moves the output, which is measured and printed.\n\n\
    What parts were converted to (kerf convert) is run too, on the self-test's input and within each file's own tolerance.\n\
    What it finds is written into the manifest, and a signature that is there is dropped: sign last."
)]
pub struct Args {
    /// The bundle's folder, a bundle set, or one manifest of it.
    pub bundle: PathBuf,
    /// The whole model; found by itself where it still lies where it was split.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Run on this engine; repeat it to compare engines. All that are there unless given.
    #[arg(long, value_name = "NAME")]
    pub backend: Vec<String>,
    /// How many random inputs.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Take this number for a symbolic dimension, e.g. --dim H=48.
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = parse_symbol)]
    pub dims: Vec<(String, u64)>,
    /// Allow this relative difference instead of 1e-4, 1e-3 and what a quantised model's rounding allows.
    #[arg(long, value_name = "NUMBER")]
    pub tolerance: Option<f64>,
    /// Leave the manifest as it is.
    #[arg(long)]
    pub no_proof: bool,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// Compares, prints, and writes the proof.
///
/// # Errors
/// Exit code 12 when the parts differ from the whole.
pub fn run(args: &Args) -> Result<(), Failure> {
    let set = args.bundle.join(emit::SET);
    if !set.is_file() {
        return one(args, &args.bundle);
    }
    let text = std::fs::read(&set).or_exit(Exit::BundleRefused)?;
    let mut listed: emit::Set = serde_json::from_slice(&text).or_exit(Exit::BundleRefused)?;
    for cut in &mut listed.cuts {
        let manifest = args.bundle.join(emit::manifest_file_of(&cut.id));
        print(&format!("{}  ", cut.values.join(" ")))?;
        one(args, &manifest).map_err(|e| e.context(format!("cut {}", cut.id)))?;
        cut.sha256 = digest(&std::fs::read(&manifest).or_exit(Exit::BundleRefused)?);
    }
    if args.no_proof {
        return Ok(());
    }
    // The proofs changed the manifests, and so their digests.
    let json = serde_json::to_string_pretty(&listed).or_exit(Exit::Bug)? + "\n";
    Ok(emit::replace_file(&set, json.as_bytes())?)
}

fn one(args: &Args, place: &Path) -> Result<(), Failure> {
    let bundle = Bundle::open(place)?;
    let manifest = bundle.manifest();
    let file = whole(args, bundle.dir(), manifest)?;
    let model = open_model(&file)?;
    if model.sha256 != manifest.model.sha256 {
        let (path, got, want) = (model.path.display(), model.sha256, manifest.model.sha256);
        return Err(Failure::usage(format!(
            "{path} is not the model of this bundle: SHA-256 {got}, expected {want}"
        )));
    }
    let backends = if args.backend.is_empty() {
        present()
    } else {
        args.backend.clone()
    };
    let symbols = args.dims.iter().cloned().collect();
    let inputs = verify::random(manifest, &symbols, args.seed, args.runs).or_exit(Exit::Usage)?;
    let quantised = verify::Quantised::of(&Model::read(&file)?);
    // A backend of another format is there for converted parts alone.
    let runs_models = |name: &&String| backend::named(name).map_or(true, |b| b.formats().contains(&model.format));
    let general: Vec<String> = backends.iter().filter(runs_models).cloned().collect();
    let mut report = verify::verify(&bundle, &model, &general, &inputs, args.tolerance, quantised.as_ref())?;
    report.converted = verify::converted(&bundle, &args.backend, &mut report.skipped)?;
    if report.comparisons.is_empty() && report.converted.is_empty() {
        let said = report.skipped.join("; ");
        return Err(Failure::usage(format!("nothing to compare on these backends: {said}")));
    }
    print(&if args.json { json(&report)? } else { text(&report) })?;
    if let Some(worst) = report.broken().next() {
        return Err(Failure::new(Exit::PartsDiffer, anyhow::anyhow!("{}", broken(worst))));
    }
    if let Some(worst) = report.broken_files().next() {
        let (file, backend, got, most) = (&worst.file, &worst.backend, worst.difference, worst.tolerance);
        let text = format!("{file} on {backend} differs from its part by {got:.3e} (allowed {most:.0e})");
        return Err(Failure::new(Exit::PartsDiffer, anyhow::anyhow!(text)));
    }
    if args.no_proof || report.comparisons.is_empty() {
        return Ok(());
    }
    let input = format!("{} random, seed {}", args.runs, args.seed);
    let file = if place.is_file() {
        place.to_path_buf()
    } else {
        place.join(MANIFEST)
    };
    keep(&file, manifest, &report, &input)
}

/// The whole model: as given, or where it was when it was split.
fn whole(args: &Args, dir: &Path, manifest: &Manifest) -> Result<PathBuf, Failure> {
    if let Some(model) = &args.model {
        return Ok(model.clone());
    }
    let hint = std::fs::read_to_string(dir.join(emit::MODEL_PATH)).unwrap_or_default();
    let path = Path::new(hint.trim());
    if path.is_file() {
        return Ok(path.to_path_buf());
    }
    let (name, digest) = (&manifest.model.name, manifest.model.sha256);
    Err(Failure::usage(format!(
        "the whole model is not where it was when it was split: give --model FILE ({name}.onnx, SHA-256 {digest})"
    )))
}

/// The engines that run ONNX on this machine.
fn present() -> Vec<String> {
    let runs_onnx = |b: &&&dyn backend::Backend| b.formats().contains(&kerf_wire::manifest::Format::Onnx);
    let there = |b: &&&dyn backend::Backend| b.check(&backend::LoadOptions::default()).is_ok();
    let general = |b: &&&dyn backend::Backend| matches!(b.name(), "tract" | "onnxruntime");
    backend::all()
        .iter()
        .filter(general)
        .filter(runs_onnx)
        .filter(there)
        .map(|b| b.name().to_owned())
        .collect()
}

fn broken(c: &Comparison) -> String {
    let what = if c.of_wholes {
        format!(
            "{} and {} differ on the whole model: one of the engines is wrong",
            c.whole, c.parts
        )
    } else {
        format!("the parts on {} differ from the whole on {}", c.parts, c.whole)
    };
    let (d, within) = (&c.difference, c.allowed.of(&c.difference.output));
    let allowed = match within > 0.0 {
        true => format!("{:.0e}, or {within:.3e} in all", c.tolerance),
        false => format!("{:.0e}", c.tolerance),
    };
    format!(
        "{what}; at output {:?} by {:.3e} (allowed {allowed}), argmax agrees on {} of {}",
        d.output, d.relative, d.argmax_agree, d.argmax_of
    )
}

/// e.g. `0.0431 (11 steps)`.
fn in_steps(difference: f64, step: Option<f64>) -> String {
    match step {
        Some(step) => format!("{difference:.3e} ({:.0} steps)", difference / step),
        None => format!("{difference:.3e}"),
    }
}

fn noise_text(noise: &Noise) -> String {
    let Noise {
        engine, output, moved, ..
    } = noise;
    let (moved, allowed) = (in_steps(*moved, noise.step), in_steps(noise.allowed, noise.step));
    format!(
        "quantised: half a step at the input moves output {output:?} by {moved} on {engine}; {allowed} is allowed\n"
    )
}

fn text(report: &Report) -> String {
    let mut text: String = report.noise.iter().map(noise_text).collect();
    for c in &report.comparisons {
        let d = &c.difference;
        let who = if c.of_wholes {
            format!("whole on {} and on {}", c.whole, c.parts)
        } else {
            format!("parts on {}, whole on {}", c.parts, c.whole)
        };
        let close = match d.argmax_close {
            0 => String::new(),
            close => format!(", {close} too close to tell"),
        };
        let _infallible = writeln!(
            text,
            "{}  {who}: largest difference {:.3e}, relative {:.3e}, argmax agrees on {} of {}{close}",
            if c.holds() { "equal " } else { "DIFFER" },
            d.max,
            d.relative,
            d.argmax_agree,
            d.argmax_of
        );
    }
    for c in &report.converted {
        let verdict = if c.holds() { "equal " } else { "DIFFER" };
        let (file, backend, got, most) = (&c.file, &c.backend, c.difference, c.tolerance);
        let _infallible = writeln!(
            text,
            "{verdict}  {file} on {backend}: relative {got:.3e} of {most:.0e} allowed, on the self-test's input"
        );
    }
    for skipped in &report.skipped {
        let _infallible = writeln!(text, "skipped {skipped}");
    }
    text
}

fn json(report: &Report) -> Result<String, Failure> {
    let one = |c: &Comparison| {
        serde_json::json!({
            "whole": c.whole, "parts": c.parts, "of_wholes": c.of_wholes, "holds": c.holds(),
            "difference_max": c.difference.max, "difference_relative": c.difference.relative,
            "output": c.difference.output, "argmax_agreement": c.difference.argmax_agreement(),
            "tolerance": c.tolerance, "allowed": c.allowed.of(&c.difference.output),
        })
    };
    let noise = |n: &Noise| {
        serde_json::json!({
            "engine": n.engine, "output": n.output, "moved": n.moved, "step": n.step, "allowed": n.allowed,
        })
    };
    let noise: Vec<_> = report.noise.iter().map(noise).collect();
    let comparisons: Vec<_> = report.comparisons.iter().map(one).collect();
    let file = |c: &verify::Converted| {
        serde_json::json!({
            "file": c.file, "backend": c.backend, "holds": c.holds(), "difference_relative": c.difference,
            "tolerance": c.tolerance,
        })
    };
    let converted: Vec<_> = report.converted.iter().map(file).collect();
    let document = serde_json::json!({
        "comparisons": comparisons, "quantised": noise, "converted": converted, "skipped": report.skipped,
    });
    Ok(serde_json::to_string_pretty(&document).or_exit(Exit::Bug)? + "\n")
}

/// Writes the proofs into the manifest, in the place of those of the same engines.
fn keep(file: &Path, manifest: &Manifest, report: &Report, input: &str) -> Result<(), Failure> {
    let mut manifest = manifest.clone();
    let proofs = report.proofs(&manifest, input);
    let replaced = |p: &kerf_wire::manifest::Proof| proofs.iter().any(|n| n.whole == p.whole && n.parts == p.parts);
    manifest.proofs.retain(|p| !replaced(p));
    manifest.proofs.extend(proofs);
    let json = manifest.to_json().or_exit(Exit::Bug)?;
    Ok(emit::replace_manifest(file, json.as_bytes())?)
}
