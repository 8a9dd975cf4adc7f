//! `kerf calibrate`: teach a predictor what this machine takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kerf_runtime::backend::LoadOptions;
use kerf_runtime::measure;
use kerf_wire::Profile;

use super::profile::host_name;
use super::table::{ms, table};
use super::{print, read_graph, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::Graph;
use crate::graph::shapes::Symbols;
use crate::predict::{FORMAT, FitError, HeldOut, Observation, Predictor, generate, hold_out, observe};
use crate::profile::{Job, attribute, profile_model};

/// Teach a predictor what this machine takes, with made-up networks and the models that you have.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf calibrate *.onnx -o board.predictor.json\n  kerf calibrate --generated 60 a.onnx b.onnx -o desk.json\n  \
    kerf predict other.onnx --with desk.json -o other-on-desk.json\n\n\
    Takes minutes. Each model is left out once and predicted by the others: the table says how far off that was, beside how \
    much the machine itself varied."
)]
pub struct Args {
    /// Models that are measured too; at least two, so that one can be left out.
    #[arg(num_args = 2.., required = true)]
    pub models: Vec<PathBuf>,
    /// Made-up networks.
    #[arg(long, default_value_t = 40)]
    pub generated: u64,
    /// Where the predictor is written.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The engine.
    #[arg(long, default_value = "tract")]
    pub backend: String,
    /// Runs of each model.
    #[arg(long, default_value_t = 20)]
    pub runs: u32,
    /// Begin no more runs of a model after this many seconds.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    pub most: f64,
    /// What you call this machine; its host name by default.
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
}

impl From<FitError> for Failure {
    fn from(error: FitError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

/// Measures, fits, judges and writes.
///
/// # Errors
/// When a model is refused or does not run, or nothing can be fitted.
pub fn run(args: &Args) -> Result<(), Failure> {
    let bar = ProgressBar::new(args.generated + args.models.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} models, {elapsed} gone, {eta} left") {
        bar.set_style(style);
    }
    let mut observations = Vec::new();
    let mut noise = Vec::new();
    let mut machine = None;
    let folder = tempfile::tempdir().or_exit(Exit::DiskFull)?;
    let generated = (0..args.generated).map(|seed| {
        let file = folder.path().join(format!("generated-{seed}.onnx"));
        std::fs::write(&file, generate::network(seed)).or_exit(Exit::DiskFull)?;
        Ok::<PathBuf, Failure>(file)
    });
    for file in generated.chain(args.models.iter().cloned().map(Ok)) {
        let file = file?;
        let (graph, profile) = measure_model(args, &file)?;
        noise.push((profile.model.name.clone(), profile.run_ms.relative_noise()));
        observations.extend(observations_of(&graph, &profile));
        machine.get_or_insert(profile.machine);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let (held_out, errors) = hold_out(&observations)?;
    let machine = machine.ok_or_else(|| Failure::usage("no model was measured"))?;
    let predictor = Predictor {
        format: FORMAT,
        tool: concat!("kerf ", env!("CARGO_PKG_VERSION")).into(),
        machine,
        observations,
        errors,
    };
    write_whole(&args.output, predictor.to_json().or_exit(Exit::Bug)?.as_bytes())?;
    print(&text(&held_out, &noise))
}

fn measure_model(args: &Args, file: &Path) -> Result<(Graph, Profile), Failure> {
    let (_, graph) = read_graph(file, &Symbols::default())?;
    let most =
        Duration::try_from_secs_f64(args.most).map_err(|why| Failure::usage(format!("--most {}: {why}", args.most)))?;
    let job = Job {
        model: file,
        backend: &args.backend,
        options: LoadOptions::default(),
        plan: measure::Plan {
            warm_up: 3,
            runs: args.runs,
            most,
            ..measure::Plan::default()
        },
        machine: args.machine.clone().unwrap_or_else(host_name),
        watts: None,
    };
    let doing = || format!("measuring {}", file.display());
    let profile = profile_model(&job, |_, _| ())
        .map_err(|e| Failure::from(e).context(doing()))?
        .0;
    Ok((graph, profile))
}

/// The nodes of a measured model, each with its time.
fn observations_of(graph: &Graph, profile: &Profile) -> Vec<Observation> {
    let times = attribute(graph, profile).ms;
    let timed = |(id, mut o): (crate::graph::NodeId, Observation)| {
        o.ms = times.get(id.index()).copied().unwrap_or(0.0);
        o
    };
    observe(graph, &profile.model.name).into_iter().map(timed).collect()
}

fn text(held_out: &[HeldOut], noise: &[(String, f64)]) -> String {
    let rows: Vec<[String; 6]> = held_out
        .iter()
        .map(|held| {
            let noise = noise
                .iter()
                .find(|(name, _)| *name == held.model)
                .map_or(0.0, |(_, noise)| *noise);
            [
                held.model.clone(),
                ms(held.measured_ms),
                ms(held.predicted_ms),
                format!("{:.1} %", held.relative_error() * 100.0),
                format!("{:.1} %", noise * 100.0),
                format!("{:.0} % of {}", held.covered * 100.0, held.node_errors.len()),
            ]
        })
        .collect();
    let head = [
        "LEFT OUT",
        "MEASURED MS",
        "PREDICTED",
        "OFF BY",
        "RUN-TO-RUN",
        "NODES IN 90 %",
    ];
    let mut errors: Vec<f64> = held_out.iter().map(HeldOut::relative_error).collect();
    errors.sort_by(f64::total_cmp);
    let median = errors.get(errors.len() / 2).copied().unwrap_or(0.0);
    let nodes: usize = held_out.iter().map(|held| held.node_errors.len()).sum();
    let covered: f64 = held_out
        .iter()
        .map(|held| held.covered * held.node_errors.len() as f64)
        .sum();
    format!(
        "{}median error of whole models {:.1} %; {:.1} % of {nodes} left-out nodes within their 90 % intervals\n",
        table(head, &rows, 1),
        median * 100.0,
        covered / nodes.max(1) as f64 * 100.0
    )
}
