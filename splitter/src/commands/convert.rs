//! `kerf convert`: parts as vendors' runtimes load them.

mod requests;

use std::fmt::Write as _;
use std::path::PathBuf;

use kerf_runtime::bundle::Bundle;
use kerf_runtime::source::{Input, Reader};
use kerf_wire::Manifest;
use kerf_wire::manifest::Answers;

use super::{data, parse_symbol, print, read_graph};
use crate::convert::{self, ConvertError, Kind, Request, Samples, Tool};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::shapes::Symbols;
use crate::limits::MAX_CALIBRATION_SAMPLES;
use crate::verify;

pub(super) use requests::{ConvertArgs, check_operators};

/// Turn parts into what vendors' runtimes load: TFLite, OpenVINO IR, fp16, compiled blobs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf convert formats                                   what there is, and which converter makes it\n  \
    kerf convert setup tflite                              fetch a converter into the user's cache\n  \
    kerf convert bundle bundle --target coral-usb --data photos/\n  \
    kerf convert bundle bundle --format 1=openvino-ir      part 1; part 0 unless said\n\n\
    `kerf split … --target NAME` does the same while it splits.\n\
    Exit codes: 10 the converter refuses the part, 11 an operator that the backend lacks,\n\
    12 the result differs too much, 30 a converter is not there.")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what a part can become, the converter that makes it, and whether it is there.
    Formats,
    /// Fetch converters from PyPI, pinned, into a folder of their own in the user's cache (KERF_CONVERT_DIR).
    Setup(Setup),
    /// Add converted parts to a bundle. Its signature is dropped: sign last.
    Bundle(BundleArgs),
}

/// Which converters.
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// Which; all three where none is named.
    #[arg(value_enum)]
    pub tools: Vec<Tool>,
    /// Fetch again what is there already.
    #[arg(long)]
    pub again: bool,
}

/// What to convert.
#[derive(Debug, clap::Args)]
pub struct BundleArgs {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// Take this number for a symbolic dimension, e.g. --dim H=48.
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = parse_symbol)]
    pub dims: Vec<(String, u64)>,
    /// What to make, and of which data.
    #[command(flatten)]
    pub what: ConvertArgs,
}

/// Lists, installs or converts.
///
/// # Errors
/// When a converter is missing or refuses, or the result differs.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Formats => print(&formats()),
        Command::Setup(setup) => install(setup),
        Command::Bundle(args) => {
            if args.what.is_empty() {
                return Err(Failure::usage("nothing to make: give --target or --format"));
            }
            let bundle = Bundle::open(&args.bundle)?;
            let requests = args.what.requests()?;
            for request in &requests {
                let onnx = onnx_of(&bundle, request.part)?;
                let (_, graph) = read_graph(&onnx, &Symbols::new())?;
                check_operators(&graph, graph.node_ids(), request, &args.what)?;
            }
            let manifest = convert(&bundle, &args.what, &args.dims.iter().cloned().collect())?;
            print(&text(&manifest))
        }
    }
}

fn onnx_of(bundle: &Bundle, part: usize) -> Result<PathBuf, Failure> {
    let artifacts = &bundle.part(part)?.artifacts;
    let as_cut =
        |a: &&kerf_wire::manifest::Artifact| a.format == kerf_wire::manifest::Format::Onnx && a.conversion.is_none();
    let file = artifacts.iter().find(as_cut).map(|a| bundle.dir().join(&a.file));
    file.ok_or_else(|| Failure::usage(format!("part {part} has no ONNX file to convert")))
}

/// Converts what was asked for, in place.
pub(super) fn convert(bundle: &Bundle, what: &ConvertArgs, symbols: &Symbols) -> Result<Manifest, Failure> {
    let requests = what.requests()?;
    ready(&requests)?;
    let inputs = inputs(bundle, what, &requests, symbols)?;
    let samples = Samples::of(bundle, inputs)?;
    convert::add(bundle, &requests, &samples, what.data.is_some())
}

/// Says what is missing before anything is done.
pub(super) fn ready(requests: &[Request]) -> Result<(), Failure> {
    let kinds = requests.iter().flat_map(|r| &r.kinds);
    kinds.copied().try_for_each(convert::ready).map_err(Failure::from)
}

fn inputs(bundle: &Bundle, what: &ConvertArgs, requests: &[Request], symbols: &Symbols) -> Result<Vec<Input>, Failure> {
    let Some(path) = &what.data else {
        if let Some(kind) = requests.iter().flat_map(|r| &r.kinds).find(|k| k.needs_data()) {
            return Err(Failure::usage(format!(
                "{kind} needs calibration data: give --data with images, .npy or .npz of what the model will see"
            )));
        }
        return verify::random(bundle.manifest(), symbols, 1, 3).or_exit(Exit::Usage);
    };
    let most = what.samples.clamp(1, MAX_CALIBRATION_SAMPLES);
    let paths = data::files(path)?;
    let step = paths.len().div_ceil(most).max(1);
    let reader = Reader::of_bundle(bundle, 0)?;
    let read = |path: &PathBuf| reader.read(path).map_err(Failure::from);
    paths.iter().step_by(step).map(read).collect()
}

/// What was made, a line a file.
pub(super) fn text(manifest: &Manifest) -> String {
    let mut text = String::new();
    for (index, part) in manifest.parts.iter().enumerate() {
        for artifact in &part.artifacts {
            let Some(made) = &artifact.conversion else { continue };
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "part {index}  {}  {} bytes  {}",
                artifact.file, artifact.bytes, made.tool
            );
            let _ = match &made.comparison {
                Some(c) => writeln!(
                    text,
                    "\n        max|a-b| / max|b| {:.2e}{} against {} on {} input(s){}",
                    c.difference_relative,
                    c.difference_rms.map_or(String::new(), |rms| format!(", RMS {rms:.2e}")),
                    c.against,
                    c.inputs,
                    c.answers.as_ref().map_or(String::new(), answers)
                ),
                None => writeln!(
                    text,
                    "\n        not compared: only its own device runs it; the self-test will, at load"
                ),
            };
        }
    }
    text
}

/// What becomes of the model's answers.
fn answers(answers: &Answers) -> String {
    if answers.of == 0 {
        return format!(
            "; the model's answers are then off by RMS {:.2e}",
            answers.difference_rms
        );
    }
    format!(
        "; {} of {} answers name the model's class, {} of the {} of which it is sure",
        answers.agree, answers.of, answers.sure_agree, answers.sure_of
    )
}

fn formats() -> String {
    let mut text = String::from("format           runs on          made by\n");
    for kind in Kind::ALL {
        let by = match kind.tool() {
            None => "kerf".to_owned(),
            Some(tool) if convert::is_there(tool) => {
                format!("converter {}, in {}", tool.name(), tool.place().display())
            }
            Some(tool) => format!(
                "converter {}, not there: `kerf convert setup {}` ({})",
                tool.name(),
                tool.name(),
                tool.weight()
            ),
        };
        let also = if kind == Kind::Edgetpu {
            ", then edgetpu_compiler of coral.ai"
        } else {
            ""
        };
        let _ = writeln!(text, "{:<16} {:<16} {by}{also}", kind.name(), kind.backend());
    }
    text
}

fn install(args: &Setup) -> Result<(), Failure> {
    let tools = if args.tools.is_empty() {
        Tool::ALL.to_vec()
    } else {
        args.tools.clone()
    };
    for tool in tools {
        if convert::is_there(tool) && !args.again {
            print(&format!("{}  is there: {}\n", tool.name(), tool.place().display()))?;
            continue;
        }
        eprintln!(
            "kerf: installing {} from PyPI into {} (about {})",
            tool.requirements().join(" "),
            tool.place().display(),
            tool.weight()
        );
        convert::setup(tool).map_err(|e: ConvertError| Failure::from(e))?;
        print(&format!("{}  installed: {}\n", tool.name(), tool.place().display()))?;
    }
    Ok(())
}
