//! `kerf calibrate`: teach a predictor what this machine takes.

mod kept;
mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kerf_runtime::backend::LoadOptions;
use kerf_runtime::measure;

use super::profile::host_name;
use super::{print, read_graph, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::shapes::Symbols;
use crate::predict::{FORMAT, FitError, GENERATED, Observation, Predictor, generate, hold_out, observe};
use crate::profile::{Job, Steady, attribute, profile_in_rounds};

/// Teach a predictor what this machine takes, with made-up networks and the models that you have.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf calibrate *.onnx -o board.predictor.json\n  kerf calibrate --generated 60 a.onnx b.onnx -o desk.json\n  \
    kerf predict other.onnx --with desk.json -o other-on-desk.json\n\n\
    Takes minutes; models that the engine refuses are left out. Each model is left out once and predicted by the others: the table says how far off that was, beside how \
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
    /// Turns of each model: what counts is the one in which nothing else was in the way.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Runs of each model a turn.
    #[arg(long, default_value_t = 7)]
    pub runs: u32,
    /// Begin no more runs of a turn after this many seconds.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub most: f64,
    /// Wait before each run, as `kerf profile` does; 0 for frames without a pause.
    #[arg(long, default_value_t = 20.0, value_name = "MS")]
    pub pause_ms: f64,
    /// Keep the made-up networks and every model's profile in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// Measure nothing: take the made-up networks and the profiles that --keep has left in this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "keep")]
    pub measured: Option<PathBuf>,
    /// What you call this machine; its host name by default.
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
}

/// A model that was measured.
struct Seen {
    /// Its nodes, each with its time.
    observations: Vec<Observation>,
    steady: Steady,
}

impl From<FitError> for Failure {
    fn from(error: FitError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

/// Measures, fits, judges and writes.
///
/// # Errors
/// When fewer than two models run, or nothing can be fitted.
pub fn run(args: &Args) -> Result<(), Failure> {
    let measured = match &args.measured {
        Some(folder) => kept::read(folder, &args.models)?,
        None => measure_new(args)?,
    };
    let observations: Vec<Observation> = measured.iter().flat_map(|seen| seen.observations.clone()).collect();
    let (held_out, errors) = hold_out(&observations)?;
    let Some(first) = measured.first() else {
        return Err(Failure::usage("no model was measured"));
    };
    let predictor = Predictor {
        format: FORMAT,
        tool: concat!("kerf ", env!("CARGO_PKG_VERSION")).into(),
        machine: first.steady.profile.machine.clone(),
        observations,
        errors,
    };
    write_whole(&args.output, predictor.to_json().or_exit(Exit::Bug)?.as_bytes())?;
    print(&show::table_of(&held_out, &measured))
}

/// The made-up networks and the models, measured now and kept where that is asked for.
fn measure_new(args: &Args) -> Result<Vec<Seen>, Failure> {
    let folder = tempfile::tempdir().or_exit(Exit::DiskFull)?;
    let kept = args.keep.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(kept).or_exit(Exit::DiskFull)?;
    let mut files = Vec::new();
    for seed in 0..args.generated {
        let file = kept.join(format!("{GENERATED}-{seed}.onnx"));
        std::fs::write(&file, generate::network(seed)).or_exit(Exit::DiskFull)?;
        files.push(file);
    }
    files.extend(args.models.iter().cloned());
    let measured = measure_all(args, &files)?;
    if let Some(folder) = &args.keep {
        for seen in &measured {
            kept::write(folder, &seen.steady)?;
        }
    }
    Ok(measured)
}

/// Every model in turn, round after round; those that the engine refuses are left out and named.
fn measure_all(args: &Args, files: &[PathBuf]) -> Result<Vec<Seen>, Failure> {
    let seconds =
        |name: &str, s: f64| Duration::try_from_secs_f64(s).map_err(|why| Failure::usage(format!("{name} {s}: {why}")));
    let plan = measure::Plan {
        warm_up: 2,
        runs: args.runs,
        most: seconds("--most", args.most)?,
        pause: seconds("--pause-ms", args.pause_ms * 1e-3)?,
        ..measure::Plan::default()
    };
    let job = |file| Job {
        model: file,
        backend: &args.backend,
        options: LoadOptions::default(),
        plan: plan.clone(),
        machine: args.machine.clone().unwrap_or_else(host_name),
        watts: None,
    };
    let jobs: Vec<Job<'_>> = files.iter().map(|file| job(file)).collect();
    let bar = ProgressBar::new(jobs.len() as u64 * u64::from(args.rounds));
    let style = "{bar:30} {pos}/{len} measurements, {elapsed} gone, {eta} left, {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let (steady, refused) = profile_in_rounds(&jobs, args.rounds, |job| {
        bar.set_message(job.model.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    for (index, why) in refused {
        let file = files
            .get(index)
            .map_or_else(String::new, |file| file.display().to_string());
        log::warn!("event=left-out model={file} {why}");
    }
    let mut measured = Vec::new();
    for (file, steady) in files.iter().zip(steady) {
        if let Some(steady) = steady {
            measured.push(Seen::new(file, steady)?);
        }
    }
    let given = measured
        .iter()
        .filter(|seen| !seen.steady.profile.model.name.starts_with(GENERATED));
    if given.count() < 2 {
        return Err(Failure::usage(
            "fewer than two models could be measured, so none can be left out",
        ));
    }
    Ok(measured)
}

impl Seen {
    /// Reads the model again, for what its nodes are.
    fn new(file: &Path, steady: Steady) -> Result<Self, Failure> {
        let (model, graph) = read_graph(file, &Symbols::default())?;
        let times = attribute(&graph, &steady.profile).ms;
        let timed = |(id, mut o): (crate::graph::NodeId, Observation)| {
            o.ms = times.get(id.index()).copied().unwrap_or(0.0);
            o
        };
        let observations = observe(&graph, &model).into_iter().map(timed).collect();
        Ok(Self { observations, steady })
    }
}
