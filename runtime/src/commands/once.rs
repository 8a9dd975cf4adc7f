//! `kerf-stage once`: inputs from files, answers to files or standard output.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use kerf_runtime::exit::{Exit, Failure, OrExit};
use kerf_runtime::job::Job;
use kerf_runtime::result::Answer;
use kerf_runtime::source::files::Files;
use kerf_runtime::source::{Input, Source, concatenate};
use kerf_runtime::stage::Answerer;
use kerf_runtime::step::Leaving;
use kerf_runtime::wire::InferenceResult;
use kerf_runtime::wire::result::HopTimes;

use super::target::{Ready, Target};
use super::tensors;

/// Run inputs from files through one part of a bundle, or through a whole model.
///
/// Without --output each answer is one line of JSON on standard output. With it, what leaves the part goes into a file
/// that the next part takes as its --input: .npz (named arrays) or .frame (as it would travel); into a folder of such
/// files where there are several inputs.
///
/// As a job of OSCAR it takes its input from INPUT_FILE_PATH and leaves KEY.json, or KEY.err.json, in TMP_OUTPUT_DIR.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage once --model lenet5.onnx --input digits.npz
  kerf-stage once --bundle bundle --part 0 --input photo.jpg --output head.npz
  kerf-stage once --bundle bundle --part 1 --input head.npz
  kerf-stage once --bundle bundle --part 0 --input photos/ --batch 8 --output heads/

A bundle must be signed by one of --keys. At the desk --allow-unsigned takes any.")]
pub(crate) struct Once {
    #[command(flatten)]
    target: Target,
    /// An image, .npy, .npz or .frame file, or a folder of them
    #[arg(short, long, value_name = "PATH")]
    input: Option<PathBuf>,
    /// .npz or .frame file; a folder where there are several inputs
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Join this many inputs along the first axis and run them together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
}

impl Once {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        if self.input.is_none()
            && let Some(job) = Job::from_environment(&variable)
        {
            return run_job(job, &self.target);
        }
        let mut ready = self.target.load()?;
        let input = self.input.or(ready.source.clone());
        let input =
            input.ok_or_else(|| Failure::usage("--input PATH is needed: an image, .npy, .npz or .frame file"))?;
        let mut files = Files::open(&input, ready.reader.clone())?;
        let several = files.len() > self.batch as usize;
        let answer = Answer::new(ready.labels());
        let mut number = 0;
        loop {
            let start = Instant::now();
            let Some(input) = next(&mut files, self.batch)? else {
                return Ok(());
            };
            let decode = start.elapsed();
            let place = Place::of(&ready);
            let leaving = ready.step.run(&input)?;
            log::debug!("event=run input={} run_us={}", input.label, leaving.run.as_micros());
            if let Some(answered) = leaving.answered_early() {
                // The answer is here: nothing goes on to the next part.
                log::info!(
                    "event=exit output={} input={}",
                    answered.exit.unwrap_or_default(),
                    input.label
                );
                print(&place, &answer, &input, &answered, decode)?;
                number += 1;
                continue;
            }
            match &self.output {
                None => print(&place, &answer, &input, &leaving, decode)?,
                Some(path) => {
                    let file = if several {
                        numbered(path, &input, number)?
                    } else {
                        path.clone()
                    };
                    tensors::write(&file, &leaving.values, place.crossing(number)?.as_ref())?;
                }
            }
            number += 1;
        }
    }
}

/// Whatever fails from here on is told by a file, loading included.
fn run_job(mut job: Job, target: &Target) -> Result<(), Failure> {
    let outcome = target.resident_for(&job.input).and_then(|mut resident| {
        job.loaded();
        Ok(resident.file(&job.input)?)
    });
    job.finish(outcome)
}

/// What a run's answer says of where it was made, taken before the engine is borrowed.
struct Place {
    part: usize,
    backend: Option<String>,
    model: kerf_runtime::wire::Digest,
    last: bool,
    warnings: Vec<String>,
    cut: Option<kerf_runtime::wire::manifest::Cut>,
}

impl Place {
    fn of(ready: &Ready) -> Self {
        let cut = |(bundle, part): &(kerf_runtime::bundle::Bundle, usize)| bundle.manifest().cuts.get(*part).cloned();
        Self {
            part: ready.part(),
            backend: ready.step.backend().map(str::to_owned),
            model: ready.model,
            last: ready.is_last(),
            warnings: ready.step.warnings().to_vec(),
            cut: ready.bundle.as_ref().and_then(cut),
        }
    }

    /// What a frame file says of itself; none behind the last part.
    fn crossing(&self, number: u64) -> Result<Option<tensors::Crossing>, Failure> {
        let cut = self
            .cut
            .as_ref()
            .map(|cut| cut.cut_id().or_exit(Exit::BundleRefused))
            .transpose()?;
        Ok(cut.map(|cut| tensors::Crossing {
            model: self.model,
            cut,
            sequence: number,
        }))
    }
}

fn next(files: &mut Files, batch: u32) -> Result<Option<Input>, Failure> {
    let mut inputs = Vec::new();
    while inputs.len() < batch as usize {
        match files.next()? {
            Some(input) => inputs.push(input),
            None => break,
        }
    }
    match inputs.len() {
        0 => Ok(None),
        1 => Ok(inputs.pop()),
        _ => Ok(Some(concatenate(&inputs)?)),
    }
}

/// A file in the output folder, named after the input.
fn numbered(dir: &Path, input: &Input, number: u64) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(dir)
        .or_exit(Exit::Usage)
        .map_err(|failure| failure.context(format!("output folder {}", dir.display())))?;
    let one = !input.label.contains([',', '/']);
    let stem = Path::new(&input.label).file_stem().and_then(|stem| stem.to_str());
    let name = stem.filter(|_| one).map_or(format!("batch-{number:06}"), str::to_owned);
    Ok(dir.join(format!("{name}.npz")))
}

fn print(
    place: &Place,
    answer: &Answer,
    input: &Input,
    leaving: &Leaving<'_>,
    decode: Duration,
) -> Result<(), Failure> {
    let answers = place.last || leaving.exit.is_some();
    let (top, outputs) = answer.answer(&leaving.values);
    let rows = leaving
        .values
        .first()
        .map(|(_, tensor)| answer.rows(tensor))
        .unwrap_or_default();
    let labels: Vec<&str> = input.label.split(',').collect();
    let result = InferenceResult {
        frame: input.label.clone(),
        model: place.model,
        top: if answers { top } else { Vec::new() },
        outputs,
        exit: leaving.exit.map(str::to_owned),
        hops: vec![HopTimes {
            part: u8::try_from(place.part).unwrap_or(u8::MAX),
            backend: place.backend.clone(),
            decode_ms: milliseconds(decode),
            run_ms: milliseconds(leaving.run),
            encode_ms: 0.0,
            together: None,
        }],
        warnings: place.warnings.clone(),
        error: None,
    };
    if rows.len() < 2 || rows.len() != labels.len() || !answers {
        return line(&result);
    }
    // A batch of named inputs: one line each, without the tensors of all.
    for (label, top) in labels.iter().zip(rows) {
        line(&InferenceResult {
            frame: (*label).to_owned(),
            top,
            outputs: Vec::new(),
            ..result.clone()
        })?;
    }
    Ok(())
}

fn line(result: &InferenceResult) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(result).or_exit(Exit::Bug)?);
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
