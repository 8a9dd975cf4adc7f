//! `kerf run`: all parts of a bundle one after the other in this process, for trying; or the last one in a cloud.

mod cloud;
mod stages;

use std::path::PathBuf;
use std::time::Instant;

use kerf_runtime::bundle::Bundle;
use kerf_runtime::config::{BackendConfig, Config};
use kerf_runtime::result::Answer;
use kerf_runtime::source::files::Files;
use kerf_runtime::source::{Input, Reader, Source as _};
use kerf_runtime::stage::Answerer as _;
use kerf_runtime::step::Step;
use kerf_runtime::tensor::Tensor;
use kerf_wire::InferenceResult;
use kerf_wire::result::HopTimes;

use super::cluster::ClusterArgs;
use super::print;
use crate::exit::{Exit, Failure, OrExit as _};

/// Run every part of a bundle in this process, one line of JSON an input.
///
/// With --broker every part is a process of its own, as on the board and in the cloud, and frames go over the broker and the store.
/// With --oscar the last part runs as a job of an OSCAR cluster: the frame is uploaded, its event starts the job, and the
/// answer comes back with where the time went.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf run bundle --input photo.jpg\n  kerf run bundle --input photos/ | jq .top[0]\n  \
    kerf run bundle --input tensors.npz\n  kerf run bundle --input photos/ --broker mqtt://localhost:1883 --store file:///tmp/frames\n  \
    kerf run bundle --input photo.jpg --broker mqtts://broker:8883 --elsewhere -- --broker-ca ca.pem --device cam-1\n  \
    kerf run bundle --input photo.jpg --oscar oscar.toml --service my-tail\n\nOn the board and in the cloud the same parts run as `kerf-stage run`."
)]
pub struct Args {
    /// The bundle's folder, or one manifest of a bundle set.
    pub bundle: PathBuf,
    /// An image, .npy, .npz or .frame file, or a folder of them.
    #[arg(short, long, value_name = "PATH")]
    pub input: PathBuf,
    /// Engine, device, library: as `kerf-stage run` takes them.
    #[command(flatten)]
    pub backend: BackendConfig,
    /// Every part a process.
    #[command(flatten)]
    pub stages: stages::StagesArgs,
    /// The last part elsewhere.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs and prints.
///
/// # Errors
/// When the bundle or an input is refused, or an engine fails.
pub fn run(args: &Args) -> Result<(), Failure> {
    let bundle = Bundle::open(&args.bundle)?;
    let settings = Config {
        backend: args.backend.clone(),
        ..Config::default()
    };
    let backend = settings.resolve(None)?.backend;
    if let Some(broker) = &args.stages.broker {
        return stages::run(args, &bundle, broker);
    }
    if let Some(cluster) = args.cluster.connect()? {
        return cloud::run(&args.input, &bundle, &backend, &cluster);
    }
    let options = backend.options();
    let load = |index| Step::load(&bundle, index, &backend.names, &options);
    let mut steps = (0..bundle.manifest().parts.len())
        .map(load)
        .collect::<Result<Vec<_>, _>>()?;
    let answer = Answer::new(bundle.manifest().labels.clone());
    let mut files = Files::open(&args.input, Reader::of_bundle(&bundle, 0)?)?;
    loop {
        let start = Instant::now();
        let Some(input) = files.next()? else {
            return Ok(());
        };
        let decode_ms = start.elapsed().as_secs_f64() * 1e3;
        let result = one(&bundle, &mut steps, &answer, input, decode_ms)?;
        print(&(serde_json::to_string(&result).or_exit(Exit::Bug)? + "\n"))?;
    }
}

fn one(
    bundle: &Bundle,
    steps: &mut [Step],
    answer: &Answer,
    mut input: Input,
    mut decode_ms: f64,
) -> Result<InferenceResult, Failure> {
    let label = input.label.clone();
    let mut hops = Vec::with_capacity(steps.len());
    let mut exit = None;
    for (part, step) in steps.iter_mut().enumerate() {
        let backend = step.backend().map(str::to_owned);
        let leaving = step.run(&input)?;
        hops.push(HopTimes {
            part: u8::try_from(part).unwrap_or(u8::MAX),
            backend,
            decode_ms: std::mem::take(&mut decode_ms),
            run_ms: leaving.run.as_secs_f64() * 1e3,
            encode_ms: 0.0,
            together: None,
        });
        let own = |(name, tensor): (&str, kerf_wire::TensorRef<'_>)| {
            Ok((name.to_owned(), Tensor::copy_of(tensor).or_exit(Exit::RunFailed)?))
        };
        let leaving = leaving.answered_early().unwrap_or(leaving);
        exit = leaving.exit.map(str::to_owned);
        let tensors = leaving.values.into_iter().map(own).collect::<Result<_, Failure>>()?;
        input = Input {
            label: label.clone(),
            tensors,
        };
        if exit.is_some() {
            break;
        }
    }
    let outputs: Vec<_> = input
        .tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.view()))
        .collect();
    let (top, outputs) = answer.answer(&outputs);
    Ok(InferenceResult {
        frame: label,
        model: bundle.manifest().model.sha256,
        top,
        outputs,
        exit,
        hops,
        warnings: steps.iter().flat_map(|s| s.warnings().to_vec()).collect(),
        error: None,
    })
}
