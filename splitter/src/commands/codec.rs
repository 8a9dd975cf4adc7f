//! `kerf codec`: what crosses a cut in fewer bytes, and what that costs in accuracy.

pub mod decorrelate;
mod entry;
mod equal;
pub mod fit;
mod of_cut;
mod plot;
mod report;
pub mod survey;

use indicatif::{ProgressBar, ProgressStyle};
use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::Bundle;
use kerf_runtime::step::Step;

use crate::codec::decorrelate::DecorrelateError;
use crate::codec::{Data, Trial, TrialError};
use crate::exit::{Exit, Failure, OrExit as _};

/// Fit codecs to what crosses a cut, and see what each costs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Fit tables for a bundle's crossing values and write the cheapest codec whose loss is allowed into the manifest.
    Fit(fit::Args),
    /// Write the model with a 1 × 1 convolution on each side of a value, so that a cut between them takes fewer bits.
    Decorrelate(decorrelate::Args),
    /// Bits, speed and accuracy of every codec at a model's best cuts, beside JPEG and the textbook's quantiser.
    Survey(survey::Args),
}

/// Fits or surveys.
///
/// # Errors
/// When the model or bundle is refused, the data does not fit, or a part does not run.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Fit(args) => fit::run(args),
        Command::Decorrelate(args) => decorrelate::run(args),
        Command::Survey(args) => survey::run(args),
    }
}

impl From<TrialError> for Failure {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Run(error) => error.into(),
            TrialError::Wire(_) => Self::new(Exit::RunFailed, error),
            TrialError::NoSample | TrialError::TooMany { .. } => Self::new(Exit::Usage, error),
            TrialError::NoOutput => Self::new(Exit::ModelRefused, error),
        }
    }
}

/// Cut `index` of a bundle, with the data run up to it.
fn trial(bundle: &Bundle, index: usize, backends: &[String], data: &Data) -> Result<Trial, Failure> {
    let load = |part: usize| Step::load(bundle, part, backends, &LoadOptions::default()).map_err(Failure::from);
    let before = (0..=index).map(load).collect::<Result<_, _>>()?;
    let behind = (index + 1..bundle.manifest().parts.len())
        .map(load)
        .collect::<Result<_, _>>()?;
    let cut = bundle
        .manifest()
        .cuts
        .get(index)
        .ok_or_else(|| Failure::usage("the bundle has no cut"))?;
    let runs = (data.calibration.len() + data.judge.len()) as u64;
    let bar = progress(runs, format!("running up to {}", cut.values.join(", ")));
    let trial = Trial::new(before, behind, cut.values.clone(), data, || bar.inc(1));
    bar.finish_and_clear();
    Ok(trial?)
}

fn progress(runs: u64, doing: String) -> ProgressBar {
    let bar = ProgressBar::new(runs);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} runs, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(doing);
    bar
}

impl From<DecorrelateError> for Failure {
    fn from(error: DecorrelateError) -> Self {
        match error {
            DecorrelateError::Trial(error) => error.into(),
            DecorrelateError::Value { .. } | DecorrelateError::Answer => Self::new(Exit::NoCut, error),
            DecorrelateError::NoReaction | DecorrelateError::Library(_) => Self::new(Exit::RunFailed, error),
        }
    }
}

fn parse_loss(text: &str) -> Result<f64, String> {
    let loss: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    match (0.0..=1.0).contains(&loss) {
        true => Ok(loss),
        false => Err(format!("{loss} is not from 0 to 1")),
    }
}

/// 97.4 %
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The manifest as it is written.
fn json(manifest: &kerf_wire::Manifest) -> Result<String, Failure> {
    manifest.to_json().or_exit(Exit::Bug)
}
