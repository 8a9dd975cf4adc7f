//! A frame's way through the part: fetched, checked, decoded, run, and made into what is published for it.
//!
//! Owns: the order of these, and the hop that tells their times. Must not know: deliveries, how anything is published.
//! Start at [`Tail::output`].

use std::time::Instant;

use kerf_wire::{Envelope, Frame, Hop};

use super::{Refusal, Tail, make};
use crate::broker::Message;
use crate::stage::coding::{decode, encode};
use crate::stage::dedupe::StoredAnswer;
use crate::stage::{Crossing, micros, unix_us};

/// What is to be published for one frame.
pub(super) enum Output {
    Onward(Message),
    Answer(StoredAnswer),
}

impl Tail {
    pub(super) fn output(&mut self, envelope: &Envelope<'_>, at: Instant) -> Result<Output, Refusal> {
        let begun = Instant::now();
        let (body, fetched);
        let frame = match envelope {
            Envelope::Inline(frame) => frame,
            Envelope::Reference(reference) => {
                body = self.envelopes.fetch(reference)?;
                self.metrics.health.store(None);
                fetched = Frame::parse(&body)?;
                &fetched
            }
        };
        self.check_frame(frame)?;
        let reaching = decode(&mut self.coder, &self.config.before, frame)?;
        let decoded = Instant::now();
        let backend = self.part.backend();
        let leaving = self.part.run(&reaching)?;
        self.metrics.run.observe(leaving.run);
        let hop = Hop {
            part: self.config.part,
            unix_us: unix_us(),
            decode_us: micros(decoded - begun),
            run_us: micros(leaving.run),
            encode_us: 0,
        };
        let early = leaving.answered_early();
        if let Some(onward) = self.config.onward.as_ref().filter(|_| early.is_none()) {
            let begun = Instant::now();
            self.builder.clear();
            encode(&mut self.builder, &mut self.coder, onward, &leaving)?;
            let hop = Hop {
                encode_us: micros(begun.elapsed()),
                ..hop
            };
            let sealed = make::forward(&mut self.builder, frame, hop, onward.crossing)?;
            let id = &frame.header.id;
            let topic = self
                .config
                .topics
                .frames(&id.device, &onward.crossing.model, &onward.crossing.cut);
            let envelope = self.envelopes.wrap(id, &sealed)?;
            return Ok(Output::Onward(Message::new(topic, envelope)));
        }
        let ran = make::Ran {
            frame,
            leaving: early.as_ref().unwrap_or(&leaving),
            hop,
            backend,
            at,
        };
        make::answer(&ran, self.answerer.as_ref(), &self.config.warnings).map(Output::Answer)
    }

    fn check_frame(&self, frame: &Frame<'_>) -> Result<(), Refusal> {
        let header = &frame.header;
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
