//! `kerf split`: a model into parts, as a bundle.

mod every;
mod targets;

use std::path::PathBuf;

use kerf_runtime::bundle::Bundle;
use kerf_wire::manifest::{ExitMeasure, ExitPolicy};

use super::chain::Chain;
use super::convert::{self, ConvertArgs};
use super::image::ImageArgs;
use super::{parse_symbol, print, read_graph};
use crate::cut::{Cut, Cutter};
use crate::emit::{self, BundleOptions};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::{Graph, ValueId};
use crate::prepare::{self, Preparing};

/// Split a model into parts at values, and write the bundle that stages run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf split model.onnx --at /Relu_2_output_0 -o bundle\n  \
    kerf split unet.onnx --at down skip1 skip2 -o bundle    # one cut, 3 values\n  \
    kerf split model.onnx --at a --at b -o bundle           # three parts\n  \
    kerf split model.onnx -o bundle                         # one part, edge only\n  \
    kerf split model.onnx --all -o set                      # weights only once\n  \
    kerf split net.onnx --exit exit1 --exit final -o bundle # early exits\n  \
    kerf split model.onnx --plan plan.json -o bundle        # where a plan says\n  \
    kerf split net.onnx --at v -o bundle --target coral-usb --data photos/\n  \
    kerf split net.onnx --at v -o bundle --labels names.txt --colour rgb \\\n      \
    --crop centre:0.875 --resize bicubic --mean 127 --scale 128\n\n\
    Exit codes: 2 wrong value name, 10 model refused, 11 no legal cut there, or one\n\
    whose head the target does not run, 12 a converted part answers otherwise,\n\
    30 a converter is missing.")]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// Where to cut.
    #[command(flatten)]
    pub chain: Chain,
    /// Cut where this plan says; it goes into the manifest.
    #[arg(long, value_name = "FILE", conflicts_with = "at")]
    pub plan: Option<PathBuf>,
    /// Every legal cut at one value, as a bundle set: one folder, one file of weights.
    #[arg(long, conflicts_with_all = ["at", "plan"])]
    pub all: bool,
    /// Part the model so that a stage can answer at this graph output; repeat it for each exit.
    #[arg(long = "exit", value_name = "OUTPUT", conflicts_with_all = ["at", "plan", "all"])]
    pub exits: Vec<String>,
    /// When the early exits answer: max-prob:P, margin:M (at least) or entropy:NAT (at most).
    #[arg(long, value_name = "RULE", requires = "exits", value_parser = parse_policy)]
    pub exit_policy: Option<ExitPolicy>,
    /// Which files: bundle, or reference (those of DNN ONNX Profiler, without a manifest).
    #[arg(long, value_enum, default_value_t = FileLayout::Bundle, conflicts_with = "plan")]
    pub layout: FileLayout,
    /// The bundle's folder; a bundle that is there is replaced.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Class names, one a line, in the order of the output's last axis.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// The self-test's input: an image, .npy or .npz, read as the stage will read it. Seeded numbers unless given.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "no_self_test"])]
    pub self_test: Option<PathBuf>,
    /// Write no self-test: a stage then starts without proving that its engine answers right.
    #[arg(long)]
    pub no_self_test: bool,
    /// Write each part for tract as NNEF too, where that gives the same: large graphs then load sooner.
    #[arg(long, conflicts_with = "all")]
    pub prepare: bool,
    /// Release number: a board refuses to go back.
    #[arg(long, default_value_t = 0)]
    pub release: u64,
    /// Count bytes with this number for a symbolic dimension, e.g. --dim N=8.
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = parse_symbol)]
    pub dims: Vec<(String, u64)>,
    /// What vendors' runtimes load.
    #[command(flatten)]
    pub convert: ConvertArgs,
    /// How an image becomes the model's input.
    #[command(flatten)]
    pub image: ImageArgs,
}

/// Which files a split writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileLayout {
    /// Parts and a manifest.
    Bundle,
    /// first_half.onnx, second_half.onnx …
    Reference,
}

/// Writes the bundle and says what crosses.
///
/// # Errors
/// When the model or the cut is refused, or the bundle cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    let symbols = args.dims.iter().cloned().collect();
    let (model, graph) = read_graph(&args.model, &symbols)?;
    targets::goes_with(args)?;
    if args.all {
        return every::run(args, &model, &graph);
    }
    let exits = super::find_values(&graph, &args.exits)?;
    let planned = args.plan.as_deref().map(super::plan::carry_out::read).transpose()?;
    let cuts = match &planned {
        Some(plan) => super::plan::carry_out::cuts(plan, &model, &graph)?,
        None if !exits.is_empty() => exit_cuts(&graph, &exits)?,
        None => args.chain.cuts(&graph)?,
    };
    if args.layout == FileLayout::Reference {
        let files = match exits.is_empty() {
            true => emit::reference::chain(&model, &graph, cuts, &args.output)?,
            false => emit::reference::early_exits(&model, &graph, &exits, &cuts, &args.output)?,
        };
        return print(&format!("{}: {}\n", args.output.display(), files.join(", ")));
    }
    let mut options = options(args, &graph)?;
    options.exits = args.exits.iter().map(|e| (e.clone(), args.exit_policy)).collect();
    options.codecs = planned.as_ref().map(super::plan::carry_out::codecs).unwrap_or_default();
    options.plan = planned
        .as_ref()
        .map(serde_json::to_value)
        .transpose()
        .or_exit(Exit::Bug)?;
    let requests = targets::check(args, &graph, &cuts)?;
    let mut draft = emit::draft(&model, &graph, cuts, &options, &args.output)?;
    let preparing = Preparing {
        self_test: !args.no_self_test,
        nnef: args.prepare,
        input: args.self_test.as_deref(),
        symbols: &symbols,
        quantised: is_quantised(&graph),
    };
    prepare::prepare(&mut draft, &preparing)?;
    if !requests.is_empty() {
        let bundle = Bundle::open(draft.staged()?)?;
        draft.manifest = convert::convert(&bundle, &args.convert, &symbols)?;
    }
    let manifest = draft.finish()?;
    print(&super::show::bundle_text(&manifest, &args.output))?;
    print(&convert::text(&manifest))
}

/// True where some values are integers of 8 bits.
fn is_quantised(graph: &Graph) -> bool {
    let quantised = |op: &str| op.contains("Quantize") || op.starts_with("QLinear") || op.ends_with("Integer");
    graph.nodes().iter().any(|node| quantised(&node.op))
}

fn options(args: &Args, graph: &Graph) -> Result<BundleOptions, Failure> {
    Ok(BundleOptions {
        preprocess: args.image.settings(graph)?,
        labels: args.labels.as_deref().map(read_labels).transpose()?.unwrap_or_default(),
        release: args.release,
        ..BundleOptions::default()
    })
}

/// The cuts behind the branches of these outputs.
fn exit_cuts(graph: &Graph, exits: &[ValueId]) -> Result<Vec<Cut>, Failure> {
    if let Some(inner) = exits.iter().find(|e| !graph.value(**e).is_output) {
        let outputs: Vec<&str> = graph.outputs().iter().map(|o| graph.value(*o).name.as_str()).collect();
        return Err(Failure::usage(format!(
            "{:?} is no output of this model; its outputs are {}",
            graph.value(*inner).name,
            outputs.join(", ")
        )));
    }
    Ok(Cutter::new(graph).exits(exits)?)
}

fn parse_policy(text: &str) -> Result<ExitPolicy, String> {
    let wrong = || "expected max-prob:0.9, margin:0.5 or entropy:0.5".to_owned();
    let (measure, threshold) = text.split_once(':').ok_or_else(wrong)?;
    let measure = match measure {
        "max-prob" => ExitMeasure::MaxProb,
        "margin" => ExitMeasure::Margin,
        "entropy" => ExitMeasure::Entropy,
        _ => return Err(wrong()),
    };
    let threshold: f64 = threshold.parse().map_err(|_| wrong())?;
    if threshold.is_finite() && threshold >= 0.0 {
        Ok(ExitPolicy { measure, threshold })
    } else {
        Err("a threshold is a number from 0".to_owned())
    }
}

fn read_labels(file: &std::path::Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(file).or_exit(Exit::Usage);
    let text = text.map_err(|e| e.context(format!("reading {}", file.display())))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}
