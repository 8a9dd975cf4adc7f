//! `kerf show`: a bundle or a whole model, as text or JSON.

mod model;

use std::path::{Path, PathBuf};

use kerf_runtime::bundle::{Bundle, read_bounded};
use kerf_wire::Manifest;
use kerf_wire::manifest::{self, Axis, Crop, ExitMeasure, MAX_MANIFEST_BYTES, Value};

use super::{print, read_graph};
use crate::emit;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::shapes::Symbols;

/// Show what a bundle or a model holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kerf show bundle\n  kerf show bundle --json\n  kerf show model.onnx | less")]
pub struct Args {
    /// A bundle's folder, a bundle set, one manifest of it, or an ONNX model.
    pub path: PathBuf,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// Prints it.
///
/// # Errors
/// When the bundle or the model is refused.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.path.join(emit::SET).is_file() {
        return show_set(args);
    }
    if args.path.is_dir() || args.path.extension().is_some_and(|ending| ending == "json") {
        let bundle = Bundle::open(&args.path)?;
        let text = match args.json {
            true => bundle.manifest().to_json().or_exit(Exit::Bug)?,
            false => bundle_text(bundle.manifest(), &args.path),
        };
        return print(&text);
    }
    let (model, graph) = read_graph(&args.path, &Symbols::default())?;
    if args.json {
        let text = serde_json::to_string_pretty(&model::json(&model, &graph)).or_exit(Exit::Bug)?;
        return print(&(text + "\n"));
    }
    print(&model::text(&model, &graph))
}

/// A bundle set: its cuts, each a manifest that other commands take as a bundle.
fn show_set(args: &Args) -> Result<(), Failure> {
    let file = args.path.join(emit::SET);
    let bytes = read_bounded(&file, MAX_MANIFEST_BYTES as u64)?;
    if args.json {
        return print(&String::from_utf8_lossy(&bytes));
    }
    let set: emit::Set = serde_json::from_slice(&bytes).or_exit(Exit::BundleRefused)?;
    let mut text = format!(
        "{}  {} cuts, each a bundle by its manifest's name\n",
        args.path.display(),
        set.cuts.len()
    );
    for cut in &set.cuts {
        line(&mut text, &format!("  {}  {}", cut.manifest, cut.values.join(" ")));
    }
    print(&text)
}

/// A bundle as a person reads it.
pub(crate) fn bundle_text(manifest: &Manifest, dir: &Path) -> String {
    let mut text = String::new();
    let names = |names: &[String]| {
        let spec = |name: &String| {
            format!(
                "{name} {}",
                manifest.values.get(name).map_or_else(String::new, value_text)
            )
        };
        names.iter().map(spec).collect::<Vec<_>>().join(", ")
    };
    let model = &manifest.model;
    line(
        &mut text,
        &match manifest.parts.len() {
            1 => format!("{}  {} in one part", dir.display(), model.name),
            parts => format!("{}  {} in {parts} parts", dir.display(), model.name),
        },
    );
    line(
        &mut text,
        &format!("  model  {} bytes, SHA-256 {}", model.bytes, model.sha256),
    );
    for (index, part) in manifest.parts.iter().enumerate() {
        line(&mut text, &format!("  part {index}"));
        line(&mut text, &format!("    needs {}", names(&part.inputs)));
        line(&mut text, &format!("    makes {}", names(&part.outputs)));
        for artifact in &part.artifacts {
            let (file, format, bytes) = (&artifact.file, artifact.format, artifact.bytes);
            line(&mut text, &format!("    {file}  {format}, {bytes} bytes"));
        }
        if part.artifacts.is_empty() {
            line(&mut text, "    passes its inputs on");
        }
        if let Some(cut) = manifest.cuts.get(index) {
            line(&mut text, &format!("  cut {}  {}", cut.id, names(&cut.values)));
        }
    }
    about(&mut text, manifest);
    text
}

/// What a bundle says beside its parts.
fn about(text: &mut String, manifest: &Manifest) {
    if !manifest.labels.is_empty() {
        line(text, &format!("  labels {}", manifest.labels.len()));
    }
    if let Some(p) = &manifest.preprocess {
        let word = |name: String| name.to_lowercase();
        let (colour, resize) = (word(format!("{:?}", p.colour)), word(format!("{:?}", p.resize)));
        let crop = match p.crop {
            Crop::Stretch => "stretched".to_owned(),
            Crop::Centre { fraction } => format!("the centre {fraction} of the short side"),
            Crop::Letterbox { fill } => format!("letterboxed with {fill}"),
        };
        line(
            text,
            &format!(
                "  image  {colour} {}x{}, {resize}, {crop}, to {}",
                p.width, p.height, p.input
            ),
        );
    }
    for exit in &manifest.exits {
        line(
            text,
            &format!(
                "  exit   {} in part {}{}",
                exit.output,
                exit.part,
                exit_text(manifest, exit)
            ),
        );
    }
    if let Some(test) = &manifest.self_test {
        line(
            text,
            &format!(
                "  test   {} of {} bytes, each part may differ by {}",
                test.file, test.bytes, test.tolerance
            ),
        );
    }
    for proof in &manifest.proofs {
        line(
            text,
            &format!(
                "  proof  parts on {} against the whole on {}: {:.3e} relative, argmax agrees on {:.1} %",
                proof.parts,
                proof.whole,
                proof.difference_relative,
                100.0 * proof.argmax_agreement
            ),
        );
    }
}

/// When an exit answers, in words.
fn exit_text(manifest: &Manifest, exit: &manifest::Exit) -> String {
    if usize::from(exit.part) + 1 == manifest.parts.len() {
        return ", the end of the model".to_owned();
    }
    let Some(policy) = &exit.policy else {
        return ", which never answers by itself: no rule".to_owned();
    };
    let (measure, bound) = match policy.measure {
        ExitMeasure::MaxProb => ("its largest probability", "at least"),
        ExitMeasure::Margin => ("its largest probability less the second", "at least"),
        ExitMeasure::Entropy => ("its entropy in nat", "at most"),
    };
    format!(", answers where {measure} is {bound} {}", policy.threshold)
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn axes_text(axes: &[Axis]) -> String {
    let axis = |axis: &Axis| match axis {
        Axis::Fixed(n) => n.to_string(),
        Axis::Symbol(name) => name.clone(),
    };
    format!("[{}]", axes.iter().map(axis).collect::<Vec<_>>().join(", "))
}

fn value_text(value: &Value) -> String {
    format!("{} {}", value.dtype, axes_text(&value.shape))
}
