//! `kerf codec decorrelate`: the model with components of a value between two convolutions.

use std::path::PathBuf;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::open_model;
use kerf_runtime::source::Input;
use kerf_runtime::step::Step;
use kerf_runtime::tensor::Tensor;
use prost::Message as _;

use super::progress;
use super::survey::open;
use crate::codec::decorrelate::{Decorrelation, Fitting, InsertError, fit, insert, runs};
use crate::codec::{Data, DataArgs, Trial, best_class, distance};
use crate::commands::image::ImageArgs;
use crate::commands::{find_values, print, read_graph, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::onnx::read_whole;

/// How a survey fits.
pub(super) const FITTING: Fitting = Fitting { inputs: 64, seed: 1 };
/// Most that the new model's output may move, relative to its norm: 32-bit floats through a matrix and back move it by 1e-6.
const MOST_MOVED: f64 = 1e-3;

/// Write the model with a 1 × 1 convolution on each side of a value, so that a cut between them takes fewer bits.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf codec decorrelate model.onnx --at block_14_add --data photos --mean 127.5 --scale 127.5 -o components.onnx\n  \
    kerf split components.onnx --at block_14_add_components -o bundle\n  \
    kerf codec fit bundle --data photos\n\n\
    The new model answers as the old one. Between its two new operators lie principal components of the value, weighted by\n\
    how the answer reacts to them, which `dct` codes in fewer bits: `kerf codec survey MODEL --at VALUE --decorrelate` says\n\
    how many. Each of --inputs takes one run a channel of what lies behind the value.\n\
    Exit codes: 11 no legal cut at the value, or no channels there; 12 the new model would answer otherwise.")]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// The value: 32-bit floats [batch, channels, …] at which the model can be cut.
    #[arg(long, value_name = "VALUE")]
    pub at: String,
    /// The model to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The inputs.
    #[command(flatten)]
    pub data: DataArgs,
    /// On this many inputs of those to fit on, the answer's reaction is measured.
    #[arg(long, value_name = "NUMBER", default_value_t = FITTING.inputs)]
    pub inputs: usize,
    /// The engine.
    #[arg(long, default_value = "tract")]
    pub backend: String,
    /// How an image becomes the model's input.
    #[command(flatten)]
    pub image: ImageArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.inputs == 0 {
        return Err(Failure::usage("--inputs is 0: at least one is needed"));
    }
    let (model, graph) = read_graph(&args.model, &crate::graph::shapes::Symbols::default())?;
    let preprocess = args.image.settings(&graph)?;
    let backends = [args.backend.clone()];
    let mut before = Step::of_model(&open_model(&args.model)?, &backends, &LoadOptions::default())?;
    let data = Data::read(&args.data, before.inputs(), preprocess.as_ref())?;
    let Some(&at) = find_values(&graph, std::slice::from_ref(&args.at))?.first() else {
        return Err(Failure::usage("--at names no value"));
    };
    let mut trial = open(&model, &graph, at, &backends, &data)?;
    let value = trial.values().iter().position(|name| *name == args.at);
    let value = value.ok_or_else(|| Failure::usage(format!("{:?} does not cross a cut at it", args.at)))?;
    let fitting = Fitting {
        inputs: args.inputs,
        seed: args.data.seed,
    };
    let transform = fitted(&mut trial, value, fitting)?;
    let rank = graph.value(at).shape.as_ref().map_or(0, Vec::len);
    let inserted = insert(read_whole(&args.model)?, &args.at, rank, &transform)?;

    let bytes = inserted.model.encode_to_vec();
    let folder = tempfile::tempdir().or_exit(Exit::DiskFull)?;
    let made = folder.path().join("components.onnx");
    write_whole(&made, &bytes)?;
    let mut after = Step::of_model(&open_model(&made)?, &backends, &LoadOptions::default())?;
    let judged = compare(&mut before, &mut after, &data)?;
    write_whole(&args.output, &bytes)?;
    print(&report(args, &transform, &inserted.components, &judged))
}

/// Fits with a bar that says how long it takes.
pub(super) fn fitted(trial: &mut Trial, value: usize, fitting: Fitting) -> Result<Decorrelation, Failure> {
    let name = trial.values().get(value).cloned().unwrap_or_default();
    let bar = progress(runs(trial, value, fitting), format!("how the answer reacts to {name}"));
    let transform = fit(trial, value, fitting, || bar.inc(1));
    bar.finish_and_clear();
    Ok(transform?)
}

/// What the new model answers on the inputs that judge.
#[derive(Debug, Default)]
struct Judged {
    inputs: usize,
    same_class: Option<usize>,
    most_moved: f64,
}

fn compare(before: &mut Step, after: &mut Step, data: &Data) -> Result<Judged, Failure> {
    let mut judged = Judged::default();
    for (input, _) in &data.judge {
        let (old, new) = (first(before, input)?, first(after, input)?);
        let (moved, power) = distance(&old, &new);
        let by = (moved / f64::max(power, f64::MIN_POSITIVE)).sqrt();
        // Not a number is no answer either.
        if !(0.0..=MOST_MOVED).contains(&by) {
            let text = format!(
                "{}: the new model's output moves by {by:.1e} of its norm, expected at most {MOST_MOVED:.0e}: nothing is written",
                input.label
            );
            return Err(Failure::new(Exit::PartsDiffer, anyhow::anyhow!(text)));
        }
        judged.inputs += 1;
        judged.most_moved = judged.most_moved.max(by);
        if let (Some(old), Some(new)) = (best_class(&old), best_class(&new)) {
            *judged.same_class.get_or_insert(0) += usize::from(old == new);
        }
    }
    Ok(judged)
}

fn first(step: &mut Step, input: &Input) -> Result<Tensor, Failure> {
    let leaving = step.run(input)?;
    let none = || Failure::new(Exit::ModelRefused, anyhow::anyhow!("the model has no output"));
    let (_, tensor) = leaving.values.first().ok_or_else(none)?;
    Tensor::copy_of(*tensor).or_exit(Exit::Bug)
}

fn report(args: &Args, transform: &Decorrelation, components: &str, judged: &Judged) -> String {
    let output = args.output.display();
    let classes = judged.same_class.map_or_else(String::new, |same| {
        format!("the best class stays on {same} of {} inputs, ", judged.inputs)
    });
    format!(
        "{}: {} channels become components, fitted on {} inputs\n\
         {output}: {classes}the output moves by at most {:.1e} of its norm\n\
         with the same image settings: kerf split {output} --at {components} -o bundle\n\
         then: kerf codec fit bundle --data {}\n",
        args.at,
        transform.means.len(),
        args.inputs,
        judged.most_moved,
        args.data.data.display(),
    )
}

impl From<InsertError> for Failure {
    fn from(error: InsertError) -> Self {
        let exit = match error {
            InsertError::NoProducer(_) | InsertError::IsOutput(_) | InsertError::InBody { .. } => Exit::NoCut,
            InsertError::Opset(_) => Exit::ModelRefused,
        };
        Self::new(exit, error)
    }
}
