//! Inputs to frames: the thread that runs the part.
//!
//! Owns: running the part on each input and sealing what leaves it, or the answer where an early exit gives it, and by which
//! of two codecs. Must not know: links, keeps.

use std::time::Instant;

use bytes::Bytes;
use kerf_wire::codec::Coder;
use kerf_wire::{FrameBuilder, FrameId, Hop, InferenceResult, WireError};

use super::HeadConfig;
use super::gate::Gate;
use super::pace::Pace;
use crate::backend::RunError;
use crate::broker::Waker;
use crate::metrics::Metrics;
use crate::source::{Input, Source};
use crate::stage::coding::encode;
use crate::stage::handoff::Writer;
use crate::stage::tail::hop_times;
use crate::stage::{Answerer, Border, Crossing, Part, micros, unix_us};

/// A sealed frame, or an answer of our own, not yet accepted.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) sequence: u64,
    pub(super) input: String,
    /// When the input was taken.
    pub(super) begun: Instant,
    /// What is kept: the sealed frame, or the answer's JSON.
    pub(super) frame: Bytes,
    /// The answer, where an early exit gave it.
    pub(super) answer: Option<Box<InferenceResult>>,
}

/// What the keep gets, and the answer that it is where it is one.
type Kept = (Bytes, Option<Box<InferenceResult>>);

pub(super) struct Maker<'a> {
    part: &'a mut dyn Part,
    onward: &'a Border,
    answerer: &'a dyn Answerer,
    warnings: &'a [String],
    gate: &'a Gate,
    metrics: &'a Metrics,
    pace: Pace,
    next: u64,
    builder: FrameBuilder,
    coder: Coder,
}

/// Why an input gave no frame.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("answer does not encode: {0}")]
    Json(#[from] serde_json::Error),
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        part: &'a mut dyn Part,
        config: &'a HeadConfig,
        answerer: &'a dyn Answerer,
        gate: &'a Gate,
        metrics: &'a Metrics,
        first: u64,
    ) -> Self {
        Self {
            part,
            onward: &config.onward,
            answerer,
            warnings: &config.warnings,
            gate,
            metrics,
            pace: Pace::new(),
            next: first,
            builder: FrameBuilder::new(),
            coder: Coder::new(),
        }
    }

    /// Runs until the source ends or nobody takes frames any more; gives the number of inputs that failed.
    pub(super) fn run(
        mut self,
        source: &mut dyn Source,
        id: impl Fn(u64) -> FrameId,
        writer: &Writer<Made>,
        waker: &Waker,
    ) -> u64 {
        let mut failed = 0;
        loop {
            self.gate.enter();
            let asked = Instant::now();
            let input = match source.next() {
                Ok(Some(input)) => input,
                Ok(None) => return failed,
                Err(why) => {
                    log::error!("event=input_refused why={why:?}", why = why.to_string());
                    self.gate.leave();
                    failed += 1;
                    continue;
                }
            };
            let begun = source.begun().unwrap_or(asked);
            match self.frame(&input, begun, &id) {
                Ok((frame, answer)) => {
                    let bytes = frame.len();
                    let made = Made {
                        sequence: self.next,
                        input: input.label,
                        begun,
                        frame,
                        answer,
                    };
                    self.next = self.next.saturating_add(1);
                    if writer.put(made, bytes).is_err() {
                        return failed;
                    }
                    waker.wake();
                }
                Err(why) => {
                    let (input, why) = (input.label, why.to_string());
                    log::error!("event=input_failed input={input:?} why={why:?}");
                    self.gate.leave();
                    failed += 1;
                }
            }
        }
    }

    fn frame(&mut self, input: &Input, begun: Instant, id: impl Fn(u64) -> FrameId) -> Result<Kept, MakeError> {
        let read = Instant::now();
        let backend = self.part.backend();
        let leaving = self.part.run(input)?;
        let ran = Instant::now();
        let mut hop = Hop {
            part: 0,
            unix_us: unix_us(),
            decode_us: micros(read - begun),
            run_us: micros(ran - read),
            encode_us: 0,
        };
        let Crossing { model, cut } = self.onward.crossing;
        if let Some(early) = leaving.answered_early() {
            let (top, outputs) = self.answerer.answer(&early.values);
            hop.encode_us = micros(ran.elapsed());
            let result = InferenceResult {
                frame: id(self.next).to_string(),
                model,
                top,
                outputs,
                exit: early.exit.map(str::to_owned),
                hops: vec![hop_times(&hop, backend)],
                warnings: self.warnings.to_vec(),
                error: None,
            };
            return Ok((Bytes::from(serde_json::to_vec(&result)?), Some(Box::new(result))));
        }
        self.builder.clear();
        let codecs = if self.onward.coarser.is_empty() || !self.pace.is_coarser(self.metrics.waiting_frames(), ran) {
            &self.onward.codecs
        } else {
            self.metrics.coarser.add(1);
            &self.onward.coarser
        };
        encode(&mut self.builder, &mut self.coder, codecs, &leaving)?;
        hop.encode_us = micros(ran.elapsed());
        let sealed = self.builder.seal(id(self.next), model, cut, &[hop])?;
        Ok((Bytes::copy_from_slice(sealed), None))
    }
}
