//! A frame's way to the part and from it: fetched, checked and decoded, and made into what is published for it.
//!
//! Owns: the order of these, and the hop that tells their times. Must not know: deliveries, how anything is published, which
//! frames run together. Start at [`Work::take`], then [`Work::output`].

use std::sync::Arc;
use std::time::Instant;

use kerf_wire::codec::Coder;
use kerf_wire::{Digest, Envelope, Frame, FrameBuilder, FrameHeader, FrameId, Hop};

use super::{Refusal, TailConfig, make};
use crate::broker::Message;
use crate::metrics::Metrics;
use crate::source::Input;
use crate::stage::coding::{decode, encode};
use crate::stage::dedupe::StoredAnswer;
use crate::stage::envelope::Envelopes;
use crate::stage::{Answerer, Crossing, micros, unix_us};
use crate::step::Leaving;

/// What is to be published for one frame.
pub(super) enum Output {
    Onward(Message),
    Answer(StoredAnswer),
}

/// A frame that is ready to run.
#[derive(Debug)]
pub(super) struct Taken {
    /// Of its delivery, for the acknowledgement.
    pub(super) number: u64,
    /// When its delivery arrived.
    pub(super) at: Instant,
    pub(super) id: FrameId,
    pub(super) model: Digest,
    pub(super) hops: Vec<Hop>,
    pub(super) input: Input,
    /// From taking it up to the engine's turn, without waiting for it.
    decode_us: u32,
}

/// All that a stage behind the first does with a frame, but running it.
pub(super) struct Work {
    pub(super) envelopes: Envelopes,
    pub(super) answerer: Box<dyn Answerer>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) config: TailConfig,
    pub(super) builder: FrameBuilder,
    pub(super) coder: Coder,
}

impl Work {
    /// Fetches, checks and decodes a frame.
    pub(super) fn take(&mut self, envelope: Envelope<'_>, number: u64, at: Instant) -> Result<Taken, Refusal> {
        let begun = Instant::now();
        let body;
        let frame = match envelope {
            Envelope::Inline(frame) => frame,
            Envelope::Reference(reference) => {
                body = self.envelopes.fetch(&reference)?;
                self.metrics.health.store(None);
                Frame::parse(&body)?
            }
        };
        self.check(&frame.header)?;
        let input = decode(&mut self.coder, &self.config.before, &frame)?;
        let FrameHeader { id, model, hops, .. } = frame.header;
        Ok(Taken {
            number,
            at,
            id,
            model,
            hops: hops.to_vec(),
            input,
            decode_us: micros(begun.elapsed()),
        })
    }

    /// Counts one run of so many frames.
    pub(super) fn ran(&self, leaving: &Leaving<'_>, together: usize) {
        self.metrics.run.observe(leaving.run);
        self.metrics.together.observe(together);
    }

    /// What is published for a frame that has run, `together` frames at once.
    pub(super) fn output(
        &mut self,
        taken: &Taken,
        leaving: &Leaving<'_>,
        backend: Option<&'static str>,
        together: usize,
    ) -> Result<Output, Refusal> {
        let hop = Hop {
            part: self.config.part,
            unix_us: unix_us(),
            decode_us: taken.decode_us,
            run_us: micros(leaving.run),
            encode_us: 0,
        };
        let early = leaving.answered_early();
        if let Some(onward) = self.config.onward.as_ref().filter(|_| early.is_none()) {
            let begun = Instant::now();
            self.builder.clear();
            encode(&mut self.builder, &mut self.coder, &onward.codecs, leaving)?;
            let hop = Hop {
                encode_us: micros(begun.elapsed()),
                ..hop
            };
            let sealed = make::forward(&mut self.builder, taken, hop, onward.crossing)?;
            let Crossing { model, cut } = &onward.crossing;
            let topic = self.config.topics.frames(&taken.id.device, model, cut);
            let envelope = self.envelopes.wrap(&taken.id, &sealed)?;
            return Ok(Output::Onward(Message::new(topic, envelope)));
        }
        let ran = make::Ran {
            taken,
            leaving: early.as_ref().unwrap_or(leaving),
            hop,
            backend,
            together,
        };
        make::answer(&ran, self.answerer.as_ref(), &self.config.warnings).map(Output::Answer)
    }

    fn check(&self, header: &FrameHeader) -> Result<(), Refusal> {
        let theirs = Crossing {
            model: header.model,
            cut: header.cut,
        };
        let ours = self.config.before.crossing;
        if theirs != ours {
            return Err(Refusal::Unknown { ours, theirs });
        }
        let (expected, got) = (self.config.before.values.len(), header.tensors.len());
        if got != expected {
            return Err(Refusal::Count { expected, got });
        }
        Ok(())
    }
}
