//! `kerf quantize`: a smaller model, and how often it still agrees.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use kerf_runtime::source::Input;
use prost::Message as _;
use serde::Serialize;

use super::data::{DataArgs, Samples};
use super::{ImageArgs, print, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::onnx::proto::ModelProto;
use crate::onnx::read_whole;
use crate::quantize::{self, Dynamic, Integer, Kept, QuantizeError, Quantized, Static, StaticOptions};

mod compare;

use compare::{Agreement, compare, load};
pub(super) use compare::{best, floats};

/// Write a smaller model: int8 weights, int8 throughout, or fp16.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf quantize model.onnx --type qint8 -o small.onnx                          int8 weights, activations at run time\n  \
    kerf quantize model.onnx --type qint8 --static --data photos/ -o int8.onnx   int8 throughout, ranges from photos\n  \
    kerf quantize net.onnx --type qint8 --static --data photos/ --crop centre:0.875 \\\n      \
    --resize bicubic --mean 127 --scale 128 -o int8.onnx\n  \
    kerf quantize model.onnx --type fp16 --data digits/ -o half.onnx\n\n\
    With --data it prints how often the new model's best class is the float model's.\n\
    TensorRT and most NPUs want: --static --activations qint8 --symmetric.\n\
    Exit codes: 10 model refused, or nothing in it to quantize.")]
#[allow(clippy::struct_excessive_bools, reason = "one a flag of the command line")]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// What the weights become.
    #[arg(long = "type", value_enum, ignore_case = true)]
    pub kind: Kind,
    /// The model to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Quantize activations too, with ranges from --data; without it they are quantized at each run.
    #[arg(long = "static", requires = "data")]
    pub calibrated: bool,
    /// With --static: what activations become.
    #[arg(
        long,
        value_enum,
        default_value = "quint8",
        ignore_case = true,
        requires = "calibrated"
    )]
    pub activations: IntegerKind,
    /// With --static: activations around zero, as TensorRT and most NPUs want them.
    #[arg(long, requires = "calibrated")]
    pub symmetric: bool,
    /// With --static: leave out this share of the largest and smallest activations; 100 is min-max.
    #[arg(long, value_name = "PER CENT", default_value_t = 99.999, requires = "calibrated")]
    pub percentile: f64,
    /// With --static: the same as --percentile 100.
    #[arg(long, conflicts_with = "percentile", requires = "calibrated")]
    pub min_max: bool,
    /// With --static: leave this node in float, by its name or its output; repeat for more.
    #[arg(long = "keep", value_name = "NODE", requires = "calibrated")]
    pub keep: Vec<String>,
    /// One scale a weight instead of one a channel.
    #[arg(long)]
    pub per_tensor: bool,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
    /// The calibration data.
    #[command(flatten)]
    pub data: DataArgs,
    /// How an image becomes the model's input.
    #[command(flatten)]
    pub image: ImageArgs,
}

/// What weights become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// 8-bit integers around zero.
    Qint8,
    /// 8-bit integers with a zero point.
    Quint8,
    /// 16-bit floats.
    Fp16,
}

/// What activations become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IntegerKind {
    /// −128…127.
    Qint8,
    /// 0…255.
    Quint8,
}

/// The JSON document; its keys are a promise.
#[derive(Debug, Serialize)]
struct Report {
    bytes_before: u64,
    bytes_after: u64,
    nodes_converted: usize,
    kept: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<Agreement>,
}

/// Quantizes, writes, compares.
///
/// # Errors
/// When the model is refused or the data does not fit it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let bytes_before =
        std::fs::metadata(&args.model).map(|m| m.len()).unwrap_or_default() + external_bytes(&args.model);
    let whole =
        read_whole(&args.model).map_err(|e| Failure::from(e).context(format!("reading {}", args.model.display())))?;
    let samples = args.data.samples(&args.model, &args.image)?;
    let made = quantized(args, whole, samples.as_ref())?;
    let bytes = made.model.encode_to_vec();
    let bytes_after = bytes.len() as u64;
    write_whole(&args.output, &bytes)?;
    let agreement = samples
        .map(|samples| compare(&args.model, &args.output, &samples))
        .transpose()?;
    let report = Report {
        bytes_before,
        bytes_after,
        nodes_converted: made.nodes_converted,
        kept: made
            .kept
            .iter()
            .map(|Kept { node, why }| format!("{node}: {why}"))
            .collect(),
        agreement,
    };
    if args.json {
        let text = serde_json::to_string_pretty(&report).or_exit(Exit::Bug)?;
        return print(&(text + "\n"));
    }
    print(&text(&report))
}

fn quantized(args: &Args, model: ModelProto, samples: Option<&Samples>) -> Result<Quantized, Failure> {
    let weights = match args.kind {
        Kind::Fp16 if args.calibrated => return Err(Failure::usage("--static is for integers; fp16 needs no ranges")),
        Kind::Fp16 => return refused(quantize::half(model)),
        Kind::Qint8 => Integer::Int8,
        Kind::Quint8 => Integer::Uint8,
    };
    let per_channel = !args.per_tensor;
    let Some(samples) = samples.filter(|_| args.calibrated) else {
        return refused(quantize::dynamic(model, Dynamic { weights, per_channel }));
    };
    let options = StaticOptions {
        weights,
        activations: match args.activations {
            IntegerKind::Qint8 => Integer::Int8,
            IntegerKind::Quint8 => Integer::Uint8,
        },
        symmetric: args.symmetric,
        per_channel,
        percentile: if args.min_max { 100.0 } else { args.percentile },
        keep_float: args.keep.iter().cloned().collect::<BTreeSet<_>>(),
    };
    let plan = refused(Static::new(model, options))?;
    let ranges = calibrate(&plan, samples)?;
    refused(plan.finish(&ranges))
}

fn refused<T>(outcome: Result<T, QuantizeError>) -> Result<T, Failure> {
    outcome.map_err(|why| {
        let exit = if matches!(why, QuantizeError::Option { .. }) {
            Exit::Usage
        } else {
            Exit::ModelRefused
        };
        Failure::new(exit, why)
    })
}

/// Runs the prepared float model on every sample and notes what its values reach.
fn calibrate(plan: &Static, samples: &Samples) -> Result<quantize::Ranges, Failure> {
    let folder = tempfile::tempdir().or_exit(Exit::Bug)?;
    let file = folder.path().join("observed.onnx");
    std::fs::write(&file, plan.observed_model().encode_to_vec()).or_exit(Exit::DiskFull)?;
    let mut step = load(&file)?;
    let mut ranges = plan.ranges();
    let bar = samples.progress("calibrating");
    samples.each(&mut |input: &Input| {
        let batch = input
            .tensors
            .first()
            .and_then(|(_, t)| t.shape().first())
            .map_or(1, |n| *n as usize);
        let leaving = step.run(input).map_err(Failure::from)?;
        for observed in plan.observed() {
            let found = leaving.values.iter().find(|(name, _)| *name == observed.output);
            if let Some((_, tensor)) = found {
                ranges.observe(&observed.value, batch, &floats(*tensor));
            }
        }
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(ranges)
}

/// Bytes of the weights that lie beside the model.
fn external_bytes(model: &Path) -> u64 {
    let read = crate::onnx::Model::read(model);
    read.map(|m| m.sources.iter().skip(1).map(crate::onnx::Source::len).sum())
        .unwrap_or_default()
}

fn text(report: &Report) -> String {
    let times = report.bytes_before as f64 / report.bytes_after.max(1) as f64;
    let mut text = format!(
        "size       {} bytes before, {} after: {times:.2} times smaller\nnodes      {} converted, {} kept in float\n",
        report.bytes_before,
        report.bytes_after,
        report.nodes_converted,
        report.kept.len()
    );
    for kept in &report.kept {
        let _ = writeln!(text, "           {kept}");
    }
    match report.agreement {
        Some(a) => {
            let _ = writeln!(
                text,
                "agreement  {:.2} % of {} rows have the same best class; largest difference {:.3} of the largest output",
                a.top1 * 100.0,
                a.rows,
                a.difference_relative_max
            );
        }
        None => text.push_str("agreement  not measured: give --data with images or tensors\n"),
    }
    text
}
