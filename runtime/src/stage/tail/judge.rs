//! What a delivery is: a frame for the part, one that was answered already, or nothing for this stage.
//!
//! Owns: who may say what, and why a frame is refused. Must not know: what is published. Start at [`Tail::judge`].

use kerf_wire::{Envelope, FrameId, WireError};

use super::Tail;
use super::output::Taken;
use crate::backend::RunError;
use crate::broker::Delivery;
use crate::stage::Crossing;
use crate::stage::dedupe::StoredAnswer;
use crate::stage::envelope::EnvelopeError;

/// Why a frame is not answered, ever.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no part here for {theirs}: this stage takes {ours}")]
    Unknown { ours: Crossing, theirs: Crossing },
    #[error("expected {expected} tensors, got {got}")]
    Count { expected: usize, got: usize },
    #[error("frame of device {id} came on the topic of device {topic}")]
    Forged { id: String, topic: String },
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("result does not encode: {0}")]
    Json(#[from] serde_json::Error),
}

/// What a delivery is, before anything runs.
pub(super) enum Verdict {
    /// No frame, or another device's: nobody is told, for a receipt would go to a device that has sent nothing.
    Silent,
    Repeat(FrameId, StoredAnswer),
    Refused(FrameId, Refusal),
    Ready(Taken),
}

impl Tail {
    pub(super) fn judge(&mut self, number: u64, delivery: &Delivery) -> Verdict {
        let message = &delivery.message;
        let parsed = Envelope::parse(&message.payload).map_err(Refusal::from);
        let checked = parsed.and_then(|envelope| self.check_sender(envelope.id(), &message.topic).map(|()| envelope));
        let envelope = match checked {
            Ok(envelope) => envelope,
            Err(why) => {
                log::warn!("event=frame_refused topic={} why={:?}", message.topic, why.to_string());
                return Verdict::Silent;
            }
        };
        let id = envelope.id().clone();
        if let Some(stored) = self.answers.find(&id).cloned() {
            return Verdict::Repeat(id, stored);
        }
        match self.work.take(envelope, number, delivery.at) {
            Ok(frame) => Verdict::Ready(frame),
            Err(why) => Verdict::Refused(id, why),
        }
    }

    /// A device may speak in its own name only; the broker's access list holds it to its own topic.
    fn check_sender(&self, id: &FrameId, topic: &str) -> Result<(), Refusal> {
        let of_topic = self.work.config.topics.device_of(topic).unwrap_or_default();
        if of_topic == id.device.as_str() {
            return Ok(());
        }
        Err(Refusal::Forged {
            id: id.device.to_string(),
            topic: of_topic.to_owned(),
        })
    }
}
