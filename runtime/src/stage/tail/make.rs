//! What a stage makes of a frame: the next frame, or the answer.
//!
//! Owns: hops, times and the result's document. Must not know: links.

use std::time::Instant;

use bytes::Bytes;
use kerf_wire::result::HopTimes;
use kerf_wire::{FrameBuilder, Hop, InferenceResult, Outcome, Receipt};

use super::output::Taken;
use super::{Refusal, elapsed_us};
use crate::stage::dedupe::StoredAnswer;
use crate::stage::{Answerer, Crossing, micros};
use crate::step::Leaving;

/// A frame that has run.
pub(super) struct Ran<'a> {
    pub(super) taken: &'a Taken,
    pub(super) leaving: &'a Leaving<'a>,
    pub(super) hop: Hop,
    pub(super) backend: Option<&'static str>,
    /// Frames that ran together, this one included.
    pub(super) together: usize,
}

/// The frame for the next stage, under the same id; its tensors are in the builder.
pub(super) fn forward(builder: &mut FrameBuilder, taken: &Taken, hop: Hop, onward: Crossing) -> Result<Bytes, Refusal> {
    let mut hops = taken.hops.clone();
    hops.push(hop);
    let sealed = builder.seal(taken.id.clone(), onward.model, onward.cut, &hops)?;
    Ok(Bytes::copy_from_slice(sealed))
}

/// The result and its receipt.
pub(super) fn answer(ran: &Ran<'_>, answerer: &dyn Answerer, warnings: &[String]) -> Result<StoredAnswer, Refusal> {
    let begun = Instant::now();
    let (top, outputs) = answerer.answer(&ran.leaving.values);
    let mut hop = ran.hop;
    hop.encode_us = micros(begun.elapsed());
    let Taken { id, hops, at, .. } = ran.taken;
    let mut times: Vec<HopTimes> = hops.iter().map(|h| hop_times(h, None)).collect();
    times.push(HopTimes {
        together: u32::try_from(ran.together).ok().filter(|frames| *frames > 1),
        ..hop_times(&hop, ran.backend)
    });
    let result = InferenceResult {
        frame: id.to_string(),
        model: ran.taken.model,
        top,
        outputs,
        exit: ran.leaving.exit.map(str::to_owned),
        hops: times,
        warnings: warnings.to_vec(),
        error: None,
    };
    // The head's own hop is not away; those between it and this stage are.
    let between: u64 = hops.iter().skip(1).map(busy_us).sum();
    let receipt = Receipt {
        id: id.clone(),
        outcome: Outcome::Answered,
        away_us: between.saturating_add(elapsed_us(*at)),
    };
    Ok(StoredAnswer {
        result: Bytes::from(serde_json::to_vec(&result)?),
        receipt: Bytes::from(receipt.to_vec()?),
    })
}

/// What one stage did to a frame, µs.
fn busy_us(hop: &Hop) -> u64 {
    u64::from(hop.decode_us) + u64::from(hop.run_us) + u64::from(hop.encode_us)
}

/// A hop as a result tells it.
pub(in crate::stage) fn hop_times(hop: &Hop, backend: Option<&str>) -> HopTimes {
    let ms = |us: u32| f64::from(us) / 1e3;
    HopTimes {
        part: hop.part,
        backend: backend.map(str::to_owned),
        decode_ms: ms(hop.decode_us),
        run_ms: ms(hop.run_us),
        encode_ms: ms(hop.encode_us),
        together: None,
    }
}
