//! `kerf split`: a model into parts, as a bundle.

use std::path::PathBuf;

use super::chain::Chain;
use super::image::ImageArgs;
use super::{parse_symbol, print, read_graph};
use crate::emit::{self, BundleOptions};
use crate::exit::{Exit, Failure, OrExit as _};

/// Split a model into parts at values, and write the bundle that stages run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf split model.onnx --at /Relu_2_output_0 -o bundle\n  \
    kerf split unet.onnx --at down skip1 skip2 -o bundle            one cut that three values cross\n  \
    kerf split model.onnx --at a --at b -o bundle                   three parts\n  \
    kerf split model.onnx -o bundle                                 one part, edge only\n  \
    kerf split model.onnx --plan plan.json -o bundle                where `kerf plan` says\n  \
    kerf split net.onnx --at v -o bundle --labels names.txt --colour rgb --crop centre:0.875 \\\n      \
    --resize bicubic --mean 127 --scale 128\n\n\
    Exit codes: 2 wrong value name, 10 model refused, 11 no legal cut there.")]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// Where to cut.
    #[command(flatten)]
    pub chain: Chain,
    /// Cut where this plan says; it goes into the manifest.
    #[arg(long, value_name = "FILE", conflicts_with = "at")]
    pub plan: Option<PathBuf>,
    /// The bundle's folder; a bundle that is there is replaced.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Class names, one a line, in the order of the output's last axis.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Release number: a board refuses to go back.
    #[arg(long, default_value_t = 0)]
    pub release: u64,
    /// Count bytes with this number for a symbolic dimension, e.g. --dim N=8.
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = parse_symbol)]
    pub dims: Vec<(String, u64)>,
    /// How an image becomes the model's input.
    #[command(flatten)]
    pub image: ImageArgs,
}

/// Writes the bundle and says what crosses.
///
/// # Errors
/// When the model or the cut is refused, or the bundle cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    let symbols = args.dims.iter().cloned().collect();
    let (model, graph) = read_graph(&args.model, &symbols)?;
    let planned = args.plan.as_deref().map(super::plan::carry_out::read).transpose()?;
    let cuts = match &planned {
        Some(plan) => super::plan::carry_out::cuts(plan, &model, &graph)?,
        None => args.chain.cuts(&graph)?,
    };
    let options = BundleOptions {
        preprocess: args.image.settings(&graph)?,
        labels: args.labels.as_deref().map(read_labels).transpose()?.unwrap_or_default(),
        release: args.release,
        plan: planned
            .as_ref()
            .map(serde_json::to_value)
            .transpose()
            .or_exit(Exit::Bug)?,
        ..BundleOptions::default()
    };
    let manifest = emit::bundle(&model, &graph, cuts, &options, &args.output)?;
    print(&super::show::bundle_text(&manifest, &args.output))
}

fn read_labels(file: &std::path::Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(file).or_exit(Exit::Usage);
    let text = text.map_err(|e| e.context(format!("reading {}", file.display())))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}
