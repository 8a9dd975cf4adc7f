//! `kerf plan`: the best cut for a device, a link and a cloud, or that none pays.

pub(crate) mod carry_out;
mod codecs;
mod inputs;
mod jobs;
mod show;

use std::path::PathBuf;

use kerf_wire::Profile;

use super::{find_values, parse_symbol, print, read_graph, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::{Graph, ValueId};
use crate::plan::case::Tier;
use crate::plan::choose::Constraints;
use crate::plan::document::PlannedModel;
use crate::plan::network::PlanError;
use crate::plan::of_graph::{Machine, Pins, case_of};
use crate::plan::{Goal, Question, plan};
use crate::profile::attribute;

/// Find the best cut, or that none pays, for a device, a link and a cloud.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf plan model.onnx --edge board.json --cloud cloud.json --link link.json\n  \
    kerf plan model.onnx --edge board.json --cloud-speed 10 \\\n      \
    --uplink-kbit-s 8000 --rtt-ms 30 --photo-bytes 120000 -o plan.json\n  \
    kerf plan model.onnx --edge board.json --cloud cloud.json --link link.json \\\n      \
    --goal energy --latency-ms 100\n  \
    kerf split model.onnx --plan plan.json -o bundle\n\n\
    Profiles come from `kerf profile` and `kerf-stage bench`, links from\n\
    `kerf profile --link`. All legal cuts are searched,\n\
    cuts through several values included."
)]
pub struct Args {
    /// The ONNX model.
    pub model: PathBuf,
    /// Profile of the device.
    #[arg(long, value_name = "PROFILE")]
    pub edge: PathBuf,
    /// Profile of a machine between device and cloud; repeated, in the order of flow.
    #[arg(long, value_name = "PROFILE")]
    pub via: Vec<PathBuf>,
    /// Profile of the cloud.
    #[arg(
        long,
        value_name = "PROFILE",
        required_unless_present = "cloud_speed",
        conflicts_with = "cloud_speed"
    )]
    pub cloud: Option<PathBuf>,
    /// Without a profile of the cloud: it is this many times as fast as the device.
    #[arg(long, value_name = "FACTOR")]
    pub cloud_speed: Option<f64>,
    /// A link as `kerf profile --link` measured it; repeated where there are several, the device's first.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["uplink_kbit_s", "rtt_ms", "frame_ms"])]
    pub link: Vec<PathBuf>,
    /// Speed of the link upwards; repeated where there are several links, the device's first.
    #[arg(long, required_unless_present = "link", value_name = "KBIT/S")]
    pub uplink_kbit_s: Vec<f64>,
    /// Time there and back; repeated as the speed.
    #[arg(long, required_unless_present = "link", value_name = "MS")]
    pub rtt_ms: Vec<f64>,
    /// How uncertain the link's speed is, as a fraction.
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION")]
    pub uplink_noise: f64,
    /// What is to be best.
    #[arg(long, value_enum, default_value_t = Goal::Latency)]
    pub goal: Goal,
    /// Also print the trade-offs with this goal.
    #[arg(long, value_enum, value_name = "GOAL")]
    pub against: Option<Goal>,
    /// No slower than this.
    #[arg(long, value_name = "MS")]
    pub latency_ms: Option<f64>,
    /// No more bytes a frame than this.
    #[arg(long, value_name = "BYTES")]
    pub payload_bytes: Option<u64>,
    /// Weights on the device take no more than this.
    #[arg(long, value_name = "BYTES")]
    pub edge_memory_bytes: Option<u64>,
    /// This value, and all that it is computed from, stays on the device; repeated.
    #[arg(long, value_name = "VALUE")]
    pub keep_on_device: Vec<String>,
    /// This value must cross the (first) link; repeated.
    #[arg(long, value_name = "VALUE")]
    pub cut_at: Vec<String>,
    /// This value must not cross; repeated.
    #[arg(long, value_name = "VALUE")]
    pub no_cut_at: Vec<String>,
    /// The device cannot run this operator; repeated.
    #[arg(long, value_name = "OP")]
    pub edge_lacks: Vec<String>,
    /// The device is this board: it cannot run the operators that its first backend lacks.
    #[arg(long, value_name = "NAME")]
    pub edge_target: Option<String>,
    /// Length of a photo as it comes, so that sending it whole is weighed too.
    #[arg(long, value_name = "BYTES")]
    pub photo_bytes: Option<u64>,
    /// Time to decode and preprocess the photo: on the device, then on each machine behind.
    #[arg(long, value_name = "MS", requires = "photo_bytes", value_delimiter = ',')]
    pub read_ms: Vec<f64>,
    /// A job or pod that starts for every frame in the cloud takes this long; 0 for a tail that stays up.
    #[arg(long, default_value_t = 0.0, value_name = "MS")]
    pub job_ms: f64,
    /// Take that time from a sweep in a cluster (`kerf profile --sweep --oscar …`): all of a call but transfers and answer.
    #[arg(long, value_name = "SWEEP", conflicts_with = "job_ms")]
    pub jobs: Option<PathBuf>,
    /// What every frame costs on the link beside RTT and its bytes.
    #[arg(long, default_value_t = 0.0, value_name = "MS")]
    pub frame_ms: f64,
    /// Watts of the device while it sends; those while computing and waiting come with its profile.
    #[arg(long, default_value_t = 0.0, value_name = "WATTS")]
    pub send_watts: f64,
    /// Price of an hour of the cloud.
    #[arg(long, default_value_t = 0.0, value_name = "MONEY")]
    pub price_hour: f64,
    /// Price of 10⁹ bytes sent.
    #[arg(long, default_value_t = 0.0, value_name = "MONEY")]
    pub price_gb: f64,
    /// Price of a million requests.
    #[arg(long, default_value_t = 0.0, value_name = "MONEY")]
    pub price_million_frames: f64,
    /// Which codecs are taken.
    #[command(flatten)]
    pub codecs: codecs::CodecArgs,
    /// Count with this number for a symbolic dimension, e.g. --dim N=8.
    #[arg(long = "dim", value_name = "NAME=NUMBER", value_parser = parse_symbol)]
    pub dims: Vec<(String, u64)>,
    /// Where the plan is written.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The plan as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let exit = match error {
            PlanError::NoneFits(_) => Exit::NoCut,
            PlanError::OverLimit { .. } => Exit::Usage,
            PlanError::Malformed(_) => Exit::Bug,
        };
        Self::new(exit, error)
    }
}

/// Plans and prints.
///
/// # Errors
/// When a file is refused, a value is unknown, or nothing fits.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (model, graph) = read_graph(&args.model, &args.dims.iter().cloned().collect())?;
    let digest = model.digest().or_exit(Exit::ModelRefused)?;
    let mut notes = Vec::new();
    let profiles = inputs::profiles(args)?;
    let machines = machines(args, &graph, digest, &profiles, &mut notes)?;
    let links = inputs::links(args, &profiles, machines.len(), &mut notes)?;
    let photo = inputs::photo(args, &profiles, machines.len())?;
    let case = case_of(&graph, &machines, &links, photo.as_ref(), &pins(args, &graph)?)?;
    let question = Question {
        goal: args.goal,
        constraints: Constraints {
            latency_ms: args.latency_ms,
            payload_bytes: args.payload_bytes,
            energy_j: None,
        },
        against: args.against,
        model: Some(PlannedModel {
            name: model.name.clone(),
            sha256: digest,
        }),
        notes,
    };
    let mut plan = plan(&case, &question)?;
    codecs::tables(&mut plan, &profiles);
    let text = plan.to_json().or_exit(Exit::Bug)?;
    if let Some(path) = &args.output {
        write_whole(path, text.as_bytes())?;
    }
    print(&if args.json { text } else { show::text(&plan) })
}

fn machines(
    args: &Args,
    graph: &Graph,
    model: kerf_wire::Digest,
    profiles: &[Profile],
    notes: &mut Vec<String>,
) -> Result<Vec<Machine>, Failure> {
    let mut machines = Vec::new();
    for profile in profiles {
        if profile.model.sha256 != model {
            notes.push(format!(
                "the profile of {} is of another model ({}): its figures are taken by name",
                profile.machine.name, profile.model.name
            ));
        }
        let mut machine = machine(graph, profile, notes);
        machine.codecs = args.codecs.of(profile);
        machines.push(machine);
    }
    if let Some(factor) = args.cloud_speed {
        let cloud = faster(&machines[0], factor).ok_or_else(|| Failure::usage("--cloud-speed must be above 0"))?;
        notes.push(format!(
            "the cloud was not measured: taken as {factor} times as fast as the device"
        ));
        machines.push(cloud);
    }
    machines[0].tier.memory_bytes = args.edge_memory_bytes;
    if let Some(cloud) = machines.last_mut() {
        cloud.tier.start_ms = match &args.jobs {
            Some(file) => jobs::start_ms(file, notes)?,
            None => args.job_ms,
        };
        cloud.tier.price_hour = args.price_hour;
    }
    Ok(machines)
}

/// A machine as its profile says.
pub(crate) fn machine(graph: &Graph, profile: &Profile, notes: &mut Vec<String>) -> Machine {
    let attribution = attribute(graph, profile);
    if attribution.is_guess {
        notes.push(format!(
            "{} was measured without kernel times: its run is spread over the nodes by MACs and bytes",
            profile.machine.name
        ));
    }
    let mut tier = Tier::named(&profile.machine.name);
    tier.noise = profile.run_ms.relative_noise();
    if let Some(energy) = &profile.energy {
        tier.active_watts = energy.run_joules / (profile.run_ms.median * 1e-3);
        tier.idle_watts = energy.idle_watts;
    }
    Machine {
        tier,
        ms: attribution.ms,
        noise_ms: attribution.noise_ms,
        codecs: Vec::new(),
    }
}

/// A machine like this one, this many times as fast.
pub(crate) fn faster(machine: &Machine, factor: f64) -> Option<Machine> {
    let scaled = |figures: &[f64]| figures.iter().map(|ms| ms / factor).collect();
    (factor.is_finite() && factor > 0.0).then(|| Machine {
        tier: Tier {
            name: "cloud".into(),
            noise: machine.tier.noise,
            ..Tier::named("cloud")
        },
        ms: scaled(&machine.ms),
        noise_ms: scaled(&machine.noise_ms),
        codecs: machine.codecs.iter().map(|codec| codec.faster(factor)).collect(),
    })
}

fn pins(args: &Args, graph: &Graph) -> Result<Pins, Failure> {
    let values = |names: &[String]| -> Result<Vec<ValueId>, Failure> { find_values(graph, names) };
    Ok(Pins {
        keep: values(&args.keep_on_device)?,
        cut_at: values(&args.cut_at)?,
        no_cut_at: values(&args.no_cut_at)?,
        unsupported: lacking(args, graph)?.into_iter().map(|op| (0, op)).collect(),
    })
}

/// Operators that the device cannot run: those named, and those that the board's first backend has not.
fn lacking(args: &Args, graph: &Graph) -> Result<Vec<String>, Failure> {
    let mut lacking = args.edge_lacks.clone();
    if let Some(name) = &args.edge_target {
        let board = crate::target::find(name).or_exit(Exit::Usage)?;
        let first = board.backends.first().map(String::as_str).unwrap_or_default();
        lacking.extend(crate::support::lacking_operators(graph, first));
    }
    Ok(lacking)
}
