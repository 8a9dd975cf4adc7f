//! What lies behind a cut, run on tensors as a codec gives them back.

use std::time::{Duration, Instant};

use kerf_runtime::backend::RunError;
use kerf_runtime::source::Input;
use kerf_runtime::step::Step;
use kerf_runtime::tensor::Tensor;
use kerf_wire::codec::{Codec, Coder};
use kerf_wire::{TensorRef, WireError};

use super::data::Data;
use super::tally::{Score, Tally};

/// One input on its way over the cut.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What the input was called.
    pub label: String,
    /// The crossing tensors, in the cut's order.
    pub crossing: Vec<Tensor>,
    /// The model's first output with raw tensors.
    pub output: Tensor,
    /// The right class, where it is known.
    pub class: Option<usize>,
}

/// Why a trial failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The engine did not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A codec did not encode or decode.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Nothing to fit or judge on.
    #[error("at least two inputs are needed: one to fit on, one to judge on")]
    NoSample,
    /// The samples' tensors are over the bound.
    #[error("the samples' crossing tensors take more than {limit} bytes: give fewer")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// The model gives nothing.
    #[error("the model has no output")]
    NoOutput,
}

/// Most bytes of crossing tensors kept at once.
const MAX_KEPT_BYTES: usize = 2 << 30;

/// The parts behind a cut, with samples of what crosses it.
pub struct Trial {
    parts: Vec<Step>,
    values: Vec<String>,
    /// Crossing tensors that tables are fitted on, one list an input.
    calibration: Vec<Vec<Tensor>>,
    samples: Vec<Sample>,
    coder: Coder,
}

impl Trial {
    /// Runs each input through the parts before the cut and, those that judge, raw through the parts behind it.
    ///
    /// # Errors
    /// When a part does not run, there is no input to fit on or to judge on, or the tensors take too much memory.
    pub fn new(
        mut before: Vec<Step>,
        behind: Vec<Step>,
        values: Vec<String>,
        data: &Data,
        mut progress: impl FnMut(),
    ) -> Result<Self, TrialError> {
        let mut trial = Self {
            parts: behind,
            values,
            calibration: Vec::new(),
            samples: Vec::new(),
            coder: Coder::new(),
        };
        let mut kept = 0_usize;
        let mut cross = |input: &Input| {
            progress();
            let crossing = chain(&mut before, input.clone())?;
            kept += crossing.iter().map(|t| t.bytes().len()).sum::<usize>();
            match kept > MAX_KEPT_BYTES {
                true => Err(TrialError::TooMany { limit: MAX_KEPT_BYTES }),
                false => Ok(crossing),
            }
        };
        for (input, _) in &data.calibration {
            trial.calibration.push(cross(input)?);
        }
        for (input, class) in &data.judge {
            let crossing = cross(input)?;
            let output = trial.output(&input.label, crossing.clone())?;
            trial.samples.push(Sample {
                label: input.label.clone(),
                crossing,
                output,
                class: *class,
            });
        }
        if trial.samples.is_empty() || trial.calibration.is_empty() {
            return Err(TrialError::NoSample);
        }
        Ok(trial)
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The crossing values' names.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// The tensors of one crossing value that judge.
    pub fn tensors(&self, value: usize) -> Vec<&Tensor> {
        self.samples.iter().filter_map(|s| s.crossing.get(value)).collect()
    }

    /// The tensors of one crossing value that tables are fitted on.
    pub fn calibration(&self, value: usize) -> Vec<&Tensor> {
        self.calibration.iter().filter_map(|c| c.get(value)).collect()
    }

    /// All crossing tensors of one calibration input.
    pub fn calibration_input(&self, input: usize) -> Option<&[Tensor]> {
        self.calibration.get(input).map(Vec::as_slice)
    }

    /// The first output for crossing tensors.
    ///
    /// # Errors
    /// When a part does not run.
    pub fn output(&mut self, label: &str, crossing: Vec<Tensor>) -> Result<Tensor, TrialError> {
        let input = Input {
            label: label.to_owned(),
            tensors: self.values.iter().cloned().zip(crossing).collect(),
        };
        chain(&mut self.parts, input)?
            .into_iter()
            .next()
            .ok_or(TrialError::NoOutput)
    }

    /// Encodes, decodes and runs every sample with these codecs, one a crossing value.
    ///
    /// # Errors
    /// When a codec refuses a tensor, or a part does not run.
    pub fn score(&mut self, codecs: &[Codec]) -> Result<Score, TrialError> {
        let mut coder = std::mem::take(&mut self.coder);
        let score = self.judge(|tensors| pass(&mut coder, codecs, tensors));
        self.coder = coder;
        score
    }

    /// As [`Trial::score`] for codecs that give back the same tensors as others whose score is known: they are encoded and
    /// decoded, and what the parts behind the cut say is taken from `judged`.
    ///
    /// # Errors
    /// When a codec refuses a tensor.
    pub fn repacked(&mut self, codecs: &[Codec], judged: &Score) -> Result<Score, TrialError> {
        let mut tally = Tally::default();
        for sample in &self.samples {
            tally.crossing(sample, &pass(&mut self.coder, codecs, &sample.crossing)?);
        }
        Ok(Score {
            agreement: judged.agreement,
            accuracy: judged.accuracy,
            output_error: judged.output_error,
            ..tally.score()
        })
    }

    /// As [`Trial::score`] for anything that turns crossing tensors into others at a price.
    ///
    /// # Errors
    /// When `pass` fails, or a part does not run.
    pub fn judge(
        &mut self,
        mut pass: impl FnMut(&[Tensor]) -> Result<Passed, TrialError>,
    ) -> Result<Score, TrialError> {
        let samples = std::mem::take(&mut self.samples);
        let mut tally = Tally::default();
        let result = samples.iter().try_for_each(|sample| {
            let passed = pass(&sample.crossing)?;
            tally.crossing(sample, &passed);
            let output = self.output(&sample.label, passed.tensors)?;
            tally.output(sample, &output);
            Ok(())
        });
        self.samples = samples;
        result.map(|()| tally.score())
    }
}

/// Crossing tensors as they arrive.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    /// One a crossing value.
    pub tensors: Vec<Tensor>,
    /// What they took on the way.
    pub payload_bits: f64,
    /// Time to encode.
    pub encode: Duration,
    /// Time to decode.
    pub decode: Duration,
}

pub(super) fn pass(coder: &mut Coder, codecs: &[Codec], tensors: &[Tensor]) -> Result<Passed, TrialError> {
    let mut passed = Passed::default();
    let mut payload = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let raw = Codec::RAW;
        let codec = codecs.get(index).unwrap_or(&raw);
        payload.clear();
        let start = Instant::now();
        let header = coder.encode(codec, &tensor.view(), &mut payload)?;
        passed.encode += start.elapsed();
        let mut back = Tensor::zeros(tensor.dtype(), tensor.shape())?;
        let start = Instant::now();
        coder.decode(codec, &header, &payload, back.bytes_mut())?;
        passed.decode += start.elapsed();
        passed.payload_bits += payload.len() as f64 * 8.0;
        passed.tensors.push(back);
    }
    Ok(passed)
}

/// Runs parts one after the other; gives what leaves the last.
fn chain(parts: &mut [Step], input: Input) -> Result<Vec<Tensor>, TrialError> {
    let mut input = input;
    for part in parts {
        let leaving = part.run(&input)?;
        let copy = |(name, tensor): &(&str, TensorRef<'_>)| Ok((name.to_string(), Tensor::copy_of(*tensor)?));
        let tensors = leaving.values.iter().map(copy).collect::<Result<_, WireError>>()?;
        input = Input {
            label: input.label,
            tensors,
        };
    }
    Ok(input.tensors.into_iter().map(|(_, tensor)| tensor).collect())
}
