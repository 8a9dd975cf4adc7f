//! Inputs to frames: the thread that runs the part.
//!
//! Owns: running the part on each input and sealing what leaves it. Must not know: links, keeps.

use std::time::Instant;

use bytes::Bytes;
use kerf_wire::codec::Coder;
use kerf_wire::{FrameBuilder, FrameId, Hop, WireError};

use crate::backend::RunError;
use crate::broker::Waker;
use crate::source::{Input, Source};
use crate::stage::coding::encode;
use crate::stage::handoff::Writer;
use crate::stage::{Border, Crossing, Part, micros, unix_us};

/// A sealed frame, not yet accepted.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) sequence: u64,
    pub(super) input: String,
    pub(super) frame: Bytes,
}

pub(super) struct Maker<'a> {
    part: &'a mut dyn Part,
    onward: &'a Border,
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
}

impl<'a> Maker<'a> {
    pub(super) fn new(part: &'a mut dyn Part, onward: &'a Border, first: u64) -> Self {
        Self {
            part,
            onward,
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
            let begun = Instant::now();
            let input = match source.next() {
                Ok(Some(input)) => input,
                Ok(None) => return failed,
                Err(why) => {
                    log::error!("event=input_refused why={why:?}", why = why.to_string());
                    failed += 1;
                    continue;
                }
            };
            match self.frame(&input, begun, &id) {
                Ok(frame) => {
                    let bytes = frame.len();
                    let made = Made {
                        sequence: self.next,
                        input: input.label,
                        frame,
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
                    failed += 1;
                }
            }
        }
    }

    fn frame(&mut self, input: &Input, begun: Instant, id: impl Fn(u64) -> FrameId) -> Result<Bytes, MakeError> {
        let read = Instant::now();
        let leaving = self.part.run(input)?;
        let ran = Instant::now();
        self.builder.clear();
        encode(&mut self.builder, &mut self.coder, self.onward, &leaving)?;
        let hop = Hop {
            part: 0,
            unix_us: unix_us(),
            decode_us: micros(read - begun),
            run_us: micros(ran - read),
            encode_us: micros(ran.elapsed()),
        };
        let Crossing { model, cut } = self.onward.crossing;
        let sealed = self.builder.seal(id(self.next), model, cut, &[hop])?;
        Ok(Bytes::copy_from_slice(sealed))
    }
}
