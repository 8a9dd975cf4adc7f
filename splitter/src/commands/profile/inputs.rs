//! What a profile needs inputs for: reading them, the length of an answer, and codecs on what flows inside the model.

use std::path::Path;
use std::time::{Duration, Instant};

use kerf_runtime::measure;
use kerf_runtime::result::Answer;
use kerf_runtime::source::Input;
use kerf_runtime::stage::Answerer as _;
use kerf_runtime::step::Step;
use kerf_wire::profile::{MeasuredInput, Sample};
use kerf_wire::result::HopTimes;
use kerf_wire::{CodecId, InferenceResult, Profile};

use super::super::ImageArgs;
use super::super::data::{DataArgs, Samples, is_picture};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::graph::Graph;
use crate::profile::{CodecJob, Loaded, measure_codecs};

/// Files that are read at most.
const MOST_FILES: usize = 8;
/// Waited before each, as a picture now and then finds the machine.
const PAUSE: Duration = Duration::from_millis(20);

/// Codecs and the data that they are measured on.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Codecs")]
pub struct CodecArgs {
    /// Measure these codecs on every value that could cross; repeated.
    #[arg(long = "codec", value_name = "NAME", default_values = ["raw", "raw+lz4", "f16", "f16+rans", "int8", "int8+rans"])]
    pub codecs: Vec<CodecId>,
    /// Measure no codecs.
    #[arg(long)]
    pub no_codecs: bool,
    /// Spend no more than this on codecs.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub codec_most: f64,
    /// Inputs; made up without them, and then no codec's ratio is that of real data.
    #[command(flatten)]
    pub data: DataArgs,
    /// How an image becomes the model's input.
    #[command(flatten)]
    pub image: ImageArgs,
}

/// The inputs' files, read as the model is measured: one before each run, as a frame is.
pub(super) struct Reads {
    samples: Samples,
    times: Vec<f64>,
    inputs: Vec<Input>,
    failed: Option<Failure>,
}

impl Reads {
    /// Nothing where no data was given.
    pub(super) fn new(model: &Path, args: &CodecArgs) -> Result<Option<Self>, Failure> {
        let samples = args.data.samples(model, &args.image)?;
        Ok(samples.map(|samples| Self {
            samples,
            times: Vec::new(),
            inputs: Vec::new(),
            failed: None,
        }))
    }

    fn files(&self) -> usize {
        self.samples.len().min(MOST_FILES)
    }

    /// Reads the first file, before a run that does not count.
    pub(super) fn warm_up(&mut self) {
        let first = self.samples.paths().first().map(|path| self.samples.read(path));
        if let Some(Err(why)) = first {
            self.failed = Some(why);
        }
    }

    /// Reads the next file, after the last the first again.
    pub(super) fn once(&mut self) {
        let Some(path) = self.samples.paths().get(self.times.len() % self.files().max(1)) else {
            return;
        };
        let start = Instant::now();
        match self.samples.read(path) {
            Ok(input) => {
                self.times.push(start.elapsed().as_secs_f64() * 1e3);
                if self.inputs.len() < self.files() {
                    self.inputs.push(input);
                }
            }
            Err(why) => self.failed = Some(why),
        }
    }

    /// What reading took, and the inputs.
    fn finish(mut self) -> Result<(Vec<Input>, MeasuredInput), Failure> {
        while self.inputs.len() < self.files() && self.failed.is_none() {
            std::thread::sleep(PAUSE);
            self.once();
        }
        if let Some(why) = self.failed {
            return Err(why);
        }
        let paths: Vec<_> = self.samples.paths().iter().take(MOST_FILES).collect();
        let bytes: u64 = paths.iter().map(|path| path.metadata().map_or(0, |m| m.len())).sum();
        let measured = MeasuredInput {
            file_bytes: bytes / (self.inputs.len() as u64).max(1),
            read_ms: Sample::of(&self.times),
            is_picture: paths.iter().all(|path| is_picture(path)),
        };
        Ok((self.inputs, measured))
    }
}

/// Enters what inputs show into a profile.
pub(super) fn enter(
    profile: &mut Profile,
    mut loaded: Loaded,
    model: &Path,
    graph: &Graph,
    (backend, args): (&str, &CodecArgs),
    reads: Option<Reads>,
) -> Result<(), Failure> {
    let inputs = match reads {
        Some(reads) => {
            let (inputs, measured) = reads.finish()?;
            profile.input = Some(measured);
            inputs
        }
        None => vec![made_up(loaded.step())?],
    };
    let Some(first) = inputs.first() else {
        return Err(Failure::usage("--data has no file"));
    };
    profile.answer_bytes = Some(answer_bytes(profile, loaded.step(), first)?);
    drop(loaded);
    if args.no_codecs {
        return Ok(());
    }
    let most = Duration::try_from_secs_f64(args.codec_most)
        .map_err(|why| Failure::usage(format!("--codec-most {}: {why}", args.codec_most)))?;
    let job = CodecJob {
        model,
        graph,
        backend,
        codecs: &args.codecs,
        inputs: &inputs,
        most,
    };
    profile.codecs = measure_codecs(&job).or_exit(Exit::RunFailed)?;
    Ok(())
}

fn made_up(step: &Step) -> Result<Input, Failure> {
    let tensors = measure::random_inputs(step.inputs(), 1).or_exit(Exit::ModelRefused)?;
    Ok(Input {
        label: "seed 1".into(),
        tensors: step
            .inputs()
            .iter()
            .map(|spec| spec.name.to_string())
            .zip(tensors)
            .collect(),
    })
}

fn answer_bytes(profile: &Profile, step: &mut Step, input: &Input) -> Result<u64, Failure> {
    let leaving = step.run(input)?;
    let hop = HopTimes {
        part: 0,
        backend: Some(profile.machine.backend.clone()),
        decode_ms: 0.123,
        run_ms: 12.345,
        encode_ms: 0.123,
        together: None,
    };
    let (top, outputs) = Answer::new(Vec::new()).answer(&leaving.values);
    let result = InferenceResult {
        frame: "device/0000000000000000/0".into(),
        model: profile.model.sha256,
        top,
        outputs,
        exit: None,
        hops: vec![hop.clone(), hop],
        warnings: Vec::new(),
        error: None,
    };
    Ok(serde_json::to_vec(&result).or_exit(Exit::Bug)?.len() as u64)
}
