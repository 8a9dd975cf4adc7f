//! `kerf predict`: what a model would take on a machine where it was never run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kerf_wire::Profile;
use kerf_wire::profile::{Kernel, MeasuredModel, Sample};

use super::table::ms;
use super::{parse_symbol, print, read_graph, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::{Graph, NodeId};
use crate::onnx::Model;
use crate::predict::{Fitted, MAX_PREDICTOR_BYTES, Observation, Predicted, Predictor, observe};

/// Say what a model would take on a machine where it was never run, as a profile that `kerf plan` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kerf predict model.onnx --with board.predictor.json\n  \
    kerf predict model.onnx --with board.predictor.json -o board.json\n  kerf plan model.onnx --edge board.json --cloud desk.json …\n\n\
    A predictor comes from `kerf calibrate` on that machine, once for all models.")]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// What `kerf calibrate` wrote on the machine.
    #[arg(long, value_name = "PREDICTOR")]
    pub with: PathBuf,
    /// Where the profile is written.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Count with this number for a symbolic dimension, e.g. --dim N=8.
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = parse_symbol)]
    pub dims: Vec<(String, u64)>,
}

/// Predicts, writes and says how sure it is.
///
/// # Errors
/// When the model or the predictor is refused.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (model, graph) = read_graph(&args.model, &args.dims.iter().cloned().collect())?;
    let predictor = read(&args.with)?;
    let fitted = Fitted::new(predictor.observations.iter())?;
    let nodes = observe(&graph, &model);
    let observations: Vec<&Observation> = nodes.iter().map(|(_, o)| o).collect();
    let predicted = fitted.predict(&observations, &predictor.errors)?;
    let profile = profile(&model, &graph, &predictor, &nodes, &predicted)?;
    if let Some(file) = &args.output {
        write_whole(file, profile.to_json().or_exit(Exit::Bug)?.as_bytes())?;
    }
    let run = &profile.run_ms;
    let known = |o: &&&Observation| predictor.observations.iter().any(|seen| seen.kind == o.kind);
    let unknown: Vec<&str> = observations
        .iter()
        .filter(|o| !known(o))
        .map(|o| o.kind.as_str())
        .collect();
    let mut text = format!(
        "{} on {}: {} ms a run, predicted (models left out while calibrating: {} … {} ms)\n",
        model.name,
        predictor.machine.name,
        ms(run.median),
        ms(run.low),
        ms(run.high)
    );
    if let Some(first) = unknown.first() {
        text = format!(
            "{text}{} nodes are of kinds that were never measured there, e.g. {first}\n",
            unknown.len()
        );
    }
    print(&text)
}

fn read(path: &std::path::Path) -> Result<Predictor, Failure> {
    let doing = || format!("reading {}", path.display());
    let long = std::fs::metadata(path)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))?
        .len();
    if long > MAX_PREDICTOR_BYTES as u64 {
        return Err(Failure::usage(format!(
            "{} has {long} bytes, at most {MAX_PREDICTOR_BYTES}",
            path.display()
        )));
    }
    let bytes = std::fs::read(path)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))?;
    Predictor::parse(&bytes)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))
}

/// A profile whose kernels are the graph's nodes.
fn profile(
    model: &Model,
    graph: &Graph,
    predictor: &Predictor,
    nodes: &[(NodeId, Observation)],
    predicted: &[Predicted],
) -> Result<Profile, Failure> {
    let sum: f64 = predicted.iter().map(|p| p.ms).sum();
    let [low, high] = predictor.errors.model;
    let kernel = |((id, o), p): (&(NodeId, Observation), &Predicted)| {
        let node = graph.node(*id);
        let name = node
            .makes()
            .next()
            .map_or_else(|| node.label(), |v| graph.value(v).name.clone());
        Kernel {
            covers: vec![name.clone()],
            name,
            op: o.kind.clone(),
            ms: sample(p.ms, p.low_ms, p.high_ms),
        }
    };
    let mut machine = predictor.machine.clone();
    machine.device = format!("{}, predicted", machine.device);
    Ok(Profile {
        format: kerf_wire::profile::FORMAT,
        tool: concat!("kerf ", env!("CARGO_PKG_VERSION")).into(),
        machine,
        model: MeasuredModel {
            name: model.name.clone(),
            sha256: model.digest().or_exit(Exit::ModelRefused)?,
            bytes: model.bytes(),
        },
        load_ms: 0.0,
        first_run_ms: sum,
        run_ms: sample(sum, sum * low.exp(), sum * high.exp()),
        kernels: nodes.iter().zip(predicted).map(kernel).collect(),
        timed_run_ms: None,
        memory_bytes: None,
        energy: None,
        input: None,
        answer_bytes: None,
        codecs: BTreeMap::new(),
    })
}

/// Nothing was run: no runs, and the upper end for the 95th percentile.
fn sample(median: f64, low: f64, high: f64) -> Sample {
    Sample {
        runs: 0,
        median,
        p95: high,
        low,
        high,
    }
}
