//! A stage with the whole model: answers by itself.
//!
//! Owns: input to result where nothing crosses a cut. Must not know: links, engines.

use std::time::Instant;

use kerf_wire::{DeviceId, Digest, FrameId, Hop, InferenceResult};

use super::head::{Answer, Summary};
use super::tail::hop_times;
use super::{Answerer, Part, micros, unix_us};
use crate::backend::RunError;
use crate::broker::backoff::random;
use crate::source::{Input, Source};

/// What a stage of one part needs to know.
#[derive(Debug, Clone)]
pub struct SoloConfig {
    /// Its name: the first part of every answer's id.
    pub device: DeviceId,
    /// The model.
    pub model: Digest,
    /// Said in every result, e.g. that a backend stepped down.
    pub warnings: Vec<String>,
}

/// Runs until the source has ended; `answered` gets each result.
pub fn run(
    source: &mut dyn Source,
    part: &mut dyn Part,
    answerer: &dyn Answerer,
    config: &SoloConfig,
    answered: &mut dyn FnMut(Answer),
) -> Summary {
    let mut summary = Summary::default();
    let boot = random();
    loop {
        let asked = Instant::now();
        let input = match source.next() {
            Ok(Some(input)) => input,
            Ok(None) => return summary,
            Err(why) => {
                log::error!("event=input_refused why={:?}", why.to_string());
                summary.failed += 1;
                continue;
            }
        };
        let id = FrameId {
            device: config.device.clone(),
            boot,
            sequence: summary.accepted,
        };
        summary.accepted += 1;
        let begun = source.begun().unwrap_or(asked);
        match answer(&input, begun, part, answerer, &id, config) {
            Ok(result) => {
                summary.answered += 1;
                answered(Answer {
                    input: Some(input.label),
                    frame_bytes: 0,
                    sends: 0,
                    transfer_ms: None,
                    total_ms: Some(begun.elapsed().as_secs_f64() * 1e3),
                    result,
                });
            }
            Err(why) => {
                log::error!("event=input_failed input={:?} why={:?}", input.label, why.to_string());
                summary.failed += 1;
            }
        }
    }
}

fn answer(
    input: &Input,
    begun: Instant,
    part: &mut dyn Part,
    answerer: &dyn Answerer,
    id: &FrameId,
    config: &SoloConfig,
) -> Result<InferenceResult, RunError> {
    let read = Instant::now();
    let backend = part.backend();
    let leaving = part.run(input)?;
    let ran = Instant::now();
    let (top, outputs) = answerer.answer(&leaving.values);
    let hop = Hop {
        part: 0,
        unix_us: unix_us(),
        decode_us: micros(read - begun),
        run_us: micros(leaving.run),
        encode_us: micros(ran.elapsed()),
    };
    Ok(InferenceResult {
        frame: id.to_string(),
        model: config.model,
        top,
        outputs,
        exit: None,
        hops: vec![hop_times(&hop, backend)],
        warnings: config.warnings.clone(),
        error: None,
    })
}
