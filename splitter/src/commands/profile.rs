//! `kerf profile`: what a model costs on this machine.

mod host;
mod inputs;
mod link;
mod show;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kerf_runtime::backend::LoadOptions;
use kerf_runtime::measure::{self, Moment, Within};
use kerf_wire::Profile;

use super::{print, read_graph, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::profile::{Job, Loaded, ProfileRunError, attribute};

/// Measure what a model costs on this machine: the whole, and each of its nodes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf profile model.onnx -o desk.json\n  kerf profile model.onnx --layers\n  \
    kerf profile model.onnx --sweep --rep 5 -o sweep.json --csv time_table.csv\n  \
    kerf profile model.onnx --backend onnxruntime --threads 4 -o cloud.json\n  \
    kerf profile model.onnx --data photos --scale 255 -o desk.json  # real data\n  \
    kerf profile --link mqtt://broker:1883 -o link.json             # a link\n  \
    kerf profile --link mqtt://broker:1883 --store http://minio:9000 -o link.json\n  \
    kerf profile model.onnx --host me@board -o board.json           # over SSH\n\n\
    On a board by hand: kerf-stage bench --model model.onnx --out board.json\n\
    Then: kerf plan model.onnx --edge board.json --cloud cloud.json --link link.json"
)]
pub struct Args {
    /// The ONNX model; not needed with --link.
    #[arg(required_unless_present = "link")]
    pub model: Option<PathBuf>,
    /// Where the profile is written.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What each node takes, as a table.
    #[arg(long)]
    pub layers: bool,
    /// The profile as JSON on stdout.
    #[arg(long, conflicts_with = "layers")]
    pub json: bool,
    /// The engine.
    #[arg(long, default_value = "tract")]
    pub backend: String,
    /// Threads inside the engine.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Runs that count at most; half as many again with each kernel timed.
    #[arg(long, default_value_t = 50)]
    pub runs: u32,
    /// Runs before anything counts.
    #[arg(long, default_value_t = 5)]
    pub warm_up: u32,
    /// Begin no more runs after this many seconds.
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    pub most: f64,
    /// End earlier, once the median is known within this share of it (half a 95 % interval); 0 for all runs.
    #[arg(long, default_value_t = 0.05, value_name = "FRACTION")]
    pub within: f64,
    /// Or within so many milliseconds, where that is more.
    #[arg(long, default_value_t = 0.1, value_name = "MS")]
    pub within_ms: f64,
    /// Wait before each run, as a frame now and then finds the machine; 0 for frames without a pause.
    #[arg(long, default_value_t = 20.0, value_name = "MS")]
    pub pause_ms: f64,
    /// What you call this machine; its host name by default.
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Watts while computing and while waiting, where they cannot be measured, e.g. 5.1,1.9.
    #[arg(long, value_name = "ACTIVE,IDLE", value_parser = parse_watts)]
    pub watts: Option<(f64, f64)>,
    /// Where the system shows its sensors: RAPL, or INA on Jetson boards.
    #[arg(long, default_value = measure::SENSORS, value_name = "FOLDER")]
    pub sensors: PathBuf,
    /// Which codecs are measured, and on what.
    #[command(flatten)]
    pub codecs: inputs::CodecArgs,
    /// A link instead of a model.
    #[command(flatten)]
    pub link: link::LinkArgs,
    /// Another machine instead of this one.
    #[command(flatten)]
    pub host: host::HostArgs,
    /// Every split for real.
    #[command(flatten)]
    pub sweep: sweep::SweepArgs,
}

impl From<ProfileRunError> for Failure {
    fn from(error: ProfileRunError) -> Self {
        match error {
            ProfileRunError::Model(error) => error.into(),
            ProfileRunError::Load(error) => error.into(),
            ProfileRunError::Input(error) => Self::new(Exit::ModelRefused, error),
            ProfileRunError::Run(error) => error.into(),
        }
    }
}

/// Measures and writes.
///
/// # Errors
/// When the model is refused, or does not run.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.link.link.is_some() {
        return link::run(&args.link, args.output.as_deref());
    }
    let Some(model) = &args.model else {
        return Err(Failure::usage("a model is needed"));
    };
    if let Some(host) = &args.host.host {
        return host::run(args, model, host);
    }
    if args.sweep.sweep {
        return sweep::run(model, &args.backend, args.output.as_deref(), &args.sweep);
    }
    let (_, graph) = read_graph(model, &crate::graph::shapes::Symbols::default())?;
    let most =
        Duration::try_from_secs_f64(args.most).map_err(|why| Failure::usage(format!("--most {}: {why}", args.most)))?;
    let pause = Duration::try_from_secs_f64(args.pause_ms * 1e-3)
        .map_err(|why| Failure::usage(format!("--pause-ms {}: {why}", args.pause_ms)))?;
    let job = Job {
        model,
        backend: &args.backend,
        options: LoadOptions {
            threads: args.threads,
            ..LoadOptions::default()
        },
        plan: measure::Plan {
            warm_up: args.warm_up,
            runs: args.runs,
            most,
            within: (args.within > 0.0).then_some(Within {
                share: args.within,
                ms: args.within_ms,
            }),
            pause,
            sensors: args.sensors.clone(),
        },
        machine: args.machine.clone().unwrap_or_else(host_name),
        watts: args.watts,
    };
    let mut reads = inputs::Reads::new(model, &args.codecs)?;
    let mut loaded = Loaded::new(&job)?;
    let mut profile = profile_with_bar(&mut loaded, &job, |moment| match (&mut reads, moment) {
        (Some(reads), Moment::WarmUp) => reads.warm_up(),
        (Some(reads), Moment::Before) => reads.once(),
        _ => {}
    })?;
    inputs::enter(
        &mut profile,
        loaded,
        model,
        &graph,
        (&args.backend, &args.codecs),
        reads,
    )?;
    let attribution = attribute(&graph, &profile);
    let text = profile.to_json().or_exit(Exit::Bug)?;
    if let Some(path) = &args.output {
        write_whole(path, text.as_bytes())?;
    }
    if args.json {
        return print(&text);
    }
    if args.layers {
        print(&show::layers_table(&graph, &attribution))?;
    }
    print(&show::summary(&profile, &attribution))
}

/// Profiles with a progress bar on stderr, where that is a terminal; before each run that counts, this is done.
fn profile_with_bar(loaded: &mut Loaded, job: &Job<'_>, mut before: impl FnMut(Moment)) -> Result<Profile, Failure> {
    let bar = ProgressBar::new(u64::from(job.plan.runs));
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} runs, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(format!("measuring {}", job.model.display()));
    let measured = loaded.profile(job, |moment| match moment {
        Moment::WarmUp | Moment::Before => before(moment),
        Moment::Done(done, total) => {
            bar.set_length(u64::from(total));
            bar.set_position(u64::from(done));
        }
    });
    bar.finish_and_clear();
    Ok(measured?.0)
}

/// Reads a profile.
///
/// # Errors
/// Exit code 2 when the file is missing or is none.
pub(crate) fn read_profile(path: &Path) -> Result<Profile, Failure> {
    let bytes = std::fs::read(path).map_err(|why| Failure::usage(format!("{}: {why}", path.display())))?;
    Profile::parse(&bytes).map_err(|why| Failure::usage(format!("{}: {why}", path.display())))
}

fn parse_watts(text: &str) -> Result<(f64, f64), String> {
    let (active, idle) = text.split_once(',').ok_or("expected ACTIVE,IDLE, e.g. 5.1,1.9")?;
    let watts = |text: &str| match text.trim().parse::<f64>() {
        Ok(watts) if watts.is_finite() && watts >= 0.0 => Ok(watts),
        _ => Err(format!("{text:?} is no number of watts")),
    };
    Ok((watts(active)?, watts(idle)?))
}

pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() {
        "this machine".to_owned()
    } else {
        name.trim().to_owned()
    }
}
