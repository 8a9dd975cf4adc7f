//! The stage that accepts inputs: runs part 0, keeps each frame until its receipt, sends it again where none comes.
//!
//! Owns: the threads of a head and what passes between them. Must not know: engines, packets, disks.
//! One thread makes frames ([`make`]); another ([`link`]) accepts, sends, and takes receipts, so that neither a slow
//! disk nor a dead network stops the engine before the keep is full; a third puts objects, for a store may be silent.

mod gate;
mod link;
mod make;
mod pace;

use std::num::NonZeroUsize;
use std::sync::Arc;

use kerf_wire::{DeviceId, FrameId, InferenceResult};
use serde::Serialize;

use super::envelope::Envelopes;
use super::keep::Keep;
use super::status::Status;
use super::tail::Confirm;
use super::{Answerer, Border, Part, handoff};
use crate::broker::topics::Topics;
use crate::broker::{Broker, BrokerError};
use crate::metrics::Metrics;
use crate::source::Source;

/// What a head needs to know.
#[derive(Debug, Clone)]
pub struct HeadConfig {
    /// Its name: the first part of every frame's id.
    pub device: DeviceId,
    /// Where it writes and reads.
    pub topics: Topics,
    /// The cut behind its part.
    pub onward: Border,
    /// Waits for each frame's result too, not for its receipt alone.
    pub results: bool,
    /// Its part can answer by itself, at an early exit.
    pub exits: bool,
    /// Who frees an answer that this head gives by itself: the broker that has it, or the reader.
    pub confirm: Confirm,
    /// Said in each such answer, e.g. that a backend stepped down.
    pub warnings: Vec<String>,
    /// Takes the next input only while fewer than these wait for their answers; without it, as the keep and the window allow.
    pub in_flight: Option<NonZeroUsize>,
}

/// An answered frame, as the head prints it: the result, and what only the head knows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// What the input was called; missing where the head was restarted since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Bytes of the sealed frame.
    pub frame_bytes: usize,
    /// Times that it was sent.
    pub sends: u32,
    /// (receipt − send on the head's clock) − the time away; missing where it was sent more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_ms: Option<f64>,
    /// From taking the input, before it was read, to its answer, on this machine's clock; missing where the stage was
    /// restarted since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<f64>,
    /// The result.
    #[serde(flatten)]
    pub result: InferenceResult,
}

/// What a head did until its source ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames accepted, those found in the keep at the start not counted.
    pub accepted: u64,
    /// Frames answered.
    pub answered: u64,
    /// Frames that the last stage refused.
    pub refused: u64,
    /// Inputs that could not be read or run.
    pub failed: u64,
    /// Frames dropped unanswered, by the keep's policy.
    pub dropped: u64,
    /// Times that a frame was sent again.
    pub resent: u64,
}

/// Subscribes to what the head waits for. Before [`run`], so that a refusal is told at the start.
///
/// # Errors
/// When the broker is not reachable or refuses.
pub fn subscribe(broker: &mut dyn Broker, config: &HeadConfig) -> Result<(), BrokerError> {
    broker.subscribe(&config.topics.receipt(&config.device))?;
    if config.results || config.exits {
        broker.subscribe(&config.topics.result(&config.device))?;
    }
    Ok(())
}

/// What a head is linked to.
pub struct HeadLinks {
    /// The broker, on which it has subscribed.
    pub broker: Box<dyn Broker>,
    /// Where accepted frames wait for their receipts.
    pub keep: Box<dyn Keep>,
    /// How frames travel.
    pub envelopes: Envelopes,
    /// Makes the answers of early exits.
    pub answerer: Box<dyn Answerer>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// What it tells of itself, where it does.
    pub status: Option<Status>,
}

/// Runs until the source has ended and every frame is answered; a source without an end runs for ever.
///
/// `answered` gets each answer once, in the order in which they come; without outputs where results are not waited for.
pub fn run(
    source: &mut dyn Source,
    part: &mut dyn Part,
    links: HeadLinks,
    config: &HeadConfig,
    answered: &mut (dyn FnMut(Answer) + Send),
) -> Summary {
    let (writer, reader) = handoff::handoff();
    let gate = gate::Gate::new(config.in_flight);
    let waker = links.broker.waker();
    let (boot, first) = (links.keep.boot(), links.keep.next_sequence());
    let HeadLinks {
        broker,
        keep,
        envelopes,
        answerer,
        metrics,
        status,
    } = links;
    let (posting, clerk) = link::posting(envelopes, waker.clone());
    let counted = Arc::clone(&metrics);
    let links = link::Ends {
        broker,
        keep,
        posting,
        metrics,
        status,
    };
    std::thread::scope(|scope| {
        scope.spawn(|| clerk.serve());
        let link = scope.spawn(|| link::Link::new(links, reader, config, &gate, answered).run());
        let id = |sequence| FrameId {
            device: config.device.clone(),
            boot,
            sequence,
        };
        let failed =
            make::Maker::new(part, config, answerer.as_ref(), &gate, &counted, first).run(source, id, &writer, &waker);
        drop(writer);
        waker.wake();
        let mut summary = link.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        summary.failed = failed;
        summary
    })
}
