//! `kerf exits`: how often an early exit would answer, and how often rightly.

use std::fmt::Write as _;
use std::path::PathBuf;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::open_model;
use kerf_runtime::exits::sureness;
use kerf_runtime::step::Step;
use kerf_wire::TensorRef;
use kerf_wire::manifest::ExitMeasure;
use serde::Serialize;

use super::data::{DataArgs, Samples};
use super::quantize::{best, floats};
use super::{ImageArgs, print, read_graph};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::exits::{self, Answered, Branch, Point};
use crate::graph::Graph;
use crate::graph::shapes::Symbols;

mod labels;

/// Print exit rate against accuracy of an early exit, and fit its threshold.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf exits branchy.onnx                                              where the exits are, found from the structure\n  \
    kerf exits branchy.onnx --data digits/ --labels digits/labels.csv --scale 255\n  \
    kerf exits branchy.onnx --data digits/ --labels labels.csv --scale 255 --measure max-prob --accuracy 0.98\n\n\
    LABELS holds one class index a line in the order of the files, or FILE,CLASS lines.\n\
    `kerf split --exit OUTPUT --exit-policy entropy:0.5` writes the bundle.")]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// This output only, instead of all that are exits.
    #[arg(long = "exit", value_name = "OUTPUT")]
    pub exits: Vec<String>,
    /// entropy (nat), max-prob or margin.
    #[arg(long, default_value = "entropy", value_parser = parse_measure)]
    pub measure: ExitMeasure,
    /// Fit the threshold so that at least this share of all answers is right; the whole model's own share unless given.
    #[arg(long, value_name = "SHARE")]
    pub accuracy: Option<f64>,
    /// Print these thresholds too, with commas.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub threshold: Vec<f64>,
    /// The class of each file.
    #[arg(long, value_name = "FILE", requires = "data")]
    pub labels: Option<PathBuf>,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
    /// The labelled inputs.
    #[command(flatten)]
    pub data: DataArgs,
    /// How an image becomes the model's input.
    #[command(flatten)]
    pub image: ImageArgs,
}

/// The JSON document; its keys are a promise.
#[derive(Debug, Serialize)]
struct Report {
    exits: Vec<ExitReport>,
}

/// One exit.
#[derive(Debug, Serialize)]
struct ExitReport {
    output: String,
    /// Nodes that only this output needs.
    nodes: usize,
    /// Values that its branch begins with.
    from: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
}

/// What the labelled inputs gave.
#[derive(Debug, Serialize)]
struct Measured {
    inputs: usize,
    measure: ExitMeasure,
    last_accuracy: f64,
    exit_accuracy: f64,
    curve: Vec<Point>,
    fitted: Option<Point>,
}

/// Finds the exits; with data, measures them.
///
/// # Errors
/// When the model has no exits, or the data does not fit it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (_, graph) = read_graph(&args.model, &Symbols::new())?;
    let branches = exits::branches(&graph, &args.exits).or_exit(Exit::NoCut)?;
    let samples = args.data.samples(&args.model, &args.image)?;
    let mut reports: Vec<ExitReport> = branches.iter().map(|branch| describe(&graph, branch)).collect();
    if let Some(samples) = samples {
        let labels = args
            .labels
            .as_deref()
            .ok_or_else(|| Failure::usage("--data needs --labels FILE"))?;
        let labels = labels::of(labels, samples.paths())?;
        let last = last_output(&graph, &branches)?;
        for (report, answers) in reports
            .iter_mut()
            .zip(measure(args, &graph, &branches, &last, &samples, &labels)?)
        {
            report.measured = Some(measured(args, &answers));
        }
    }
    let report = Report { exits: reports };
    if args.json {
        let text = serde_json::to_string_pretty(&report).or_exit(Exit::Bug)?;
        return print(&(text + "\n"));
    }
    print(&text(&report))
}

fn describe(graph: &Graph, branch: &Branch) -> ExitReport {
    ExitReport {
        output: graph.value(branch.output).name.clone(),
        nodes: branch.nodes.len(),
        from: branch.from.iter().map(|v| graph.value(*v).name.clone()).collect(),
        measured: None,
    }
}

/// The output that is no exit.
fn last_output(graph: &Graph, branches: &[Branch]) -> Result<String, Failure> {
    let is_exit = |id| branches.iter().any(|branch| branch.output == id);
    let last = graph.outputs().iter().rev().find(|id| !is_exit(**id));
    let last = last.ok_or_else(|| Failure::usage("every output is an exit: none is left to answer"))?;
    Ok(graph.value(*last).name.clone())
}

fn measure(
    args: &Args,
    graph: &Graph,
    branches: &[Branch],
    last: &str,
    samples: &Samples,
    labels: &[Option<usize>],
) -> Result<Vec<Vec<Answered>>, Failure> {
    let artifact = open_model(&args.model)?;
    let mut step = Step::of_model(&artifact, &[], &LoadOptions::default())?;
    let mut answers = vec![Vec::with_capacity(labels.len()); branches.len()];
    let bar = samples.progress("running");
    let mut index = 0;
    samples.each(&mut |input| {
        let label = labels.get(index).copied().flatten();
        index += 1;
        bar.inc(1);
        if label.is_none() {
            return Ok(());
        }
        let leaving = step.run(input).map_err(Failure::from)?;
        let row = |name: &str| -> Result<Vec<f32>, Failure> {
            let found = leaving
                .values
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, tensor)| single(*tensor));
            found.ok_or_else(|| Failure::usage(format!("the model gives no output {name:?}")))?
        };
        let right = |row: &[f32]| best(row) == label;
        let last_right = right(&row(last)?);
        for (branch, answers) in branches.iter().zip(&mut answers) {
            let own = row(&graph.value(branch.output).name)?;
            let sureness = sureness(args.measure, &own);
            answers.push(Answered {
                sureness,
                exit_right: right(&own),
                last_right,
            });
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(answers)
}

/// The only row of an output.
fn single(tensor: TensorRef<'_>) -> Result<Vec<f32>, Failure> {
    let rows: u32 = tensor.shape.iter().rev().skip(1).product();
    if rows != 1 {
        let text = format!(
            "an exit is measured input by input; this output is {:?}: give files with one input each",
            tensor.shape
        );
        return Err(Failure::usage(text));
    }
    Ok(floats(tensor))
}

fn measured(args: &Args, answers: &[Answered]) -> Measured {
    let share = |count: usize| count as f64 / answers.len().max(1) as f64;
    let last_accuracy = share(answers.iter().filter(|a| a.last_right).count());
    let mut thresholds = match args.measure {
        ExitMeasure::Entropy => vec![0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5],
        ExitMeasure::MaxProb | ExitMeasure::Margin => vec![0.999, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5],
    };
    thresholds.extend(&args.threshold);
    Measured {
        inputs: answers.len(),
        measure: args.measure,
        last_accuracy,
        exit_accuracy: share(answers.iter().filter(|a| a.exit_right).count()),
        curve: exits::curve(answers, args.measure, &thresholds),
        fitted: exits::fit(answers, args.measure, args.accuracy.unwrap_or(last_accuracy)),
    }
}

pub(super) fn parse_measure(text: &str) -> Result<ExitMeasure, String> {
    match text {
        "entropy" => Ok(ExitMeasure::Entropy),
        "max-prob" => Ok(ExitMeasure::MaxProb),
        "margin" => Ok(ExitMeasure::Margin),
        _ => Err("expected entropy, max-prob or margin".to_owned()),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    for exit in &report.exits {
        let _infallible = writeln!(
            text,
            "exit {}  {} nodes of its own, from {}",
            exit.output,
            exit.nodes,
            exit.from.join(" ")
        );
        let Some(m) = &exit.measured else { continue };
        let _infallible = writeln!(
            text,
            "  {} inputs; always leaving here is right for {:.2} %, never for {:.2} %\n  THRESHOLD  EXIT RATE  ACCURACY  OF THOSE THAT EXIT",
            m.inputs,
            m.exit_accuracy * 100.0,
            m.last_accuracy * 100.0
        );
        let line = |p: &Point| {
            let own = p
                .exit_accuracy
                .map_or_else(|| "-".to_owned(), |a| format!("{:.2} %", a * 100.0));
            format!(
                "{:>9.4}  {:>7.2} %  {:>6.2} %  {own:>17}\n",
                p.threshold,
                p.exit_rate * 100.0,
                p.accuracy * 100.0
            )
        };
        for point in &m.curve {
            text.push_str("  ");
            text.push_str(&line(point));
        }
        match &m.fitted {
            Some(point) => {
                text.push_str("  fitted:\n  ");
                text.push_str(&line(point));
            }
            None => text.push_str("  no threshold reaches the accuracy that was asked for\n"),
        }
    }
    text
}
