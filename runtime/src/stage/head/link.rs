//! The thread that owns a head's links: accepts frames into the keep, sends them, takes receipts and results.
//!
//! Owns: when a frame is sent, sent again and freed. Must not know: engines, packets, disks.
//! Start at [`Link::run`]. Nothing here ends the stage: a dead broker and a full disk are waited for, and logged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::make::Made;
use super::{Answer, HeadConfig, Summary};
use crate::alive::Alive;
use crate::broker::Broker;
use crate::metrics::Metrics;
use crate::stage::flights::Flights;
use crate::stage::handoff::Reader;
use crate::stage::keep::Keep;
use crate::stage::status::Status;

mod own;
mod posting;
mod receive;
mod refused;
mod send;

use posting::Posting;
pub(super) use posting::posting;

/// How long to wait before trying again what the disk or the broker refused.
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// Names of inputs that are remembered until the answer; beyond, answers come without.
const MAX_LABELS: usize = 65_536;
/// The same trouble is logged no more often.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// What this thread takes of the head's links.
pub(super) struct Ends {
    pub(super) broker: Box<dyn Broker>,
    pub(super) keep: Box<dyn Keep>,
    pub(super) posting: Posting,
    pub(super) metrics: Arc<Metrics>,
    pub(super) status: Option<Status>,
}

pub(super) struct Link<'a> {
    broker: Box<dyn Broker>,
    keep: Box<dyn Keep>,
    posting: Posting,
    metrics: Arc<Metrics>,
    status: Option<Status>,
    alive: Alive,
    reader: Reader<Made>,
    config: &'a HeadConfig,
    gate: &'a Gate,
    answered: &'a mut (dyn FnMut(Answer) + Send),
    topic: String,
    receipt_topic: String,
    flights: Flights,
    /// Taken from the reader, not yet accepted.
    group: Vec<Made>,
    /// The last frame taken from the keep into the window.
    pulled: Option<u64>,
    /// What each input was called and when it was taken.
    labels: HashMap<u64, (String, Instant)>,
    /// Answers of our own that were told and are not freed.
    told: HashSet<u64>,
    connections: u64,
    boot: u64,
    /// The first sequence of this run.
    first: u64,
    summary: Summary,
    refused_at: Option<Instant>,
    said_at: Option<Instant>,
}

impl<'a> Link<'a> {
    pub(super) fn new(
        links: Ends,
        reader: Reader<Made>,
        config: &'a HeadConfig,
        gate: &'a Gate,
        answered: &'a mut (dyn FnMut(Answer) + Send),
    ) -> Self {
        let crossing = config.onward.crossing;
        links.metrics.health.watch(links.broker.probe());
        Self {
            connections: links.broker.connections(),
            boot: links.keep.boot(),
            first: links.keep.next_sequence(),
            broker: links.broker,
            keep: links.keep,
            posting: links.posting,
            metrics: links.metrics,
            status: links.status,
            alive: Alive::new(),
            reader,
            config,
            gate,
            answered,
            topic: config.topics.frames(&config.device, &crossing.model, &crossing.cut),
            receipt_topic: config.topics.receipt(&config.device),
            flights: Flights::new(),
            group: Vec::new(),
            pulled: None,
            labels: HashMap::new(),
            told: HashSet::new(),
            summary: Summary::default(),
            refused_at: None,
            said_at: None,
        }
    }

    pub(super) fn run(mut self) -> Summary {
        loop {
            self.alive.tick();
            self.accept();
            self.fill_window();
            let wait = self.send();
            self.metrics.waiting(self.keep.frames(), self.keep.bytes());
            if self.group.is_empty() && self.reader.is_over() && self.keep.frames() == 0 {
                if let Err(why) = self.keep.flush() {
                    log::warn!("event=not_flushed why={:?}", why.to_string());
                }
                return self.summary;
            }
            let mut wait = wait.min(self.alive.longest_wait());
            if let Some(status) = &mut self.status {
                status.tick(self.broker.as_mut(), &self.metrics);
                wait = wait.min(status.wait());
            }
            self.receive(wait);
        }
    }

    /// Accepts what the maker has made, as one group: one disk sync serves all of it.
    fn accept(&mut self) {
        if self.group.is_empty() {
            self.group = self.reader.take();
        }
        let too_soon = self.refused_at.is_some_and(|at| at.elapsed() < RETRY_WAIT);
        if self.group.is_empty() || too_soon {
            return;
        }
        let frames: Vec<_> = self.group.iter().map(|m| (m.sequence, m.frame.clone())).collect();
        match self.keep.accept(&frames) {
            Ok(dropped) => {
                if self.refused_at.take().is_some() {
                    self.metrics.health.spool(None);
                }
                self.summary.accepted += frames.len() as u64;
                self.metrics.accepted.add(frames.len() as u64);
                for made in std::mem::take(&mut self.group) {
                    if let Some(result) = made.answer {
                        self.tell_own(made.sequence, Some((made.input, made.begun)), *result);
                    } else if self.labels.len() < MAX_LABELS {
                        self.labels.insert(made.sequence, (made.input, made.begun));
                    }
                }
                self.note_dropped(&dropped);
            }
            Err(why) => {
                self.refused_at = Some(Instant::now());
                self.metrics.health.spool(Some((why.exit(), why.to_string())));
                self.say(|| format!("event=not_accepted code={} why={:?}", why.exit() as u8, why.to_string()));
            }
        }
    }

    fn note_dropped(&mut self, dropped: &[u64]) {
        for &sequence in dropped {
            if let Some(flight) = self.flights.remove(sequence) {
                self.posting.discard(sequence, flight.frame);
            }
            self.forget(sequence);
            self.told.remove(&sequence);
        }
        if !dropped.is_empty() {
            self.summary.dropped += dropped.len() as u64;
            self.metrics.dropped.add(dropped.len() as u64);
            let (count, total) = (dropped.len(), self.summary.dropped);
            self.say(|| format!("event=dropped_oldest frames={count} total={total}"));
        }
    }

    /// Moves kept frames into the window, oldest first.
    fn fill_window(&mut self) {
        while self.flights.has_room() {
            match self.keep.next_after(self.pulled) {
                Ok(Some((sequence, frame))) => {
                    self.pulled = Some(sequence);
                    self.flights.add(sequence, frame, Instant::now());
                }
                Ok(None) => return,
                Err(why) => {
                    self.say(|| {
                        format!(
                            "event=keep_unreadable code={} why={:?}",
                            why.exit() as u8,
                            why.to_string()
                        )
                    });
                    return;
                }
            }
        }
    }

    fn free(&mut self, sequence: u64) {
        if let Err(why) = self.keep.free(sequence) {
            self.say(|| format!("event=not_freed code={} why={:?}", why.exit() as u8, why.to_string()));
        }
    }

    /// What the input of a frame that is done with was called, and when it was taken; another may be taken in its place.
    fn forget(&mut self, sequence: u64) -> Option<(String, Instant)> {
        // Frames that an earlier run left in the keep never entered; answers of our own have left.
        if sequence >= self.first && !self.told.contains(&sequence) {
            self.gate.leave();
        }
        self.labels.remove(&sequence)
    }

    /// Warns, no more than once a minute.
    fn say(&mut self, text: impl FnOnce() -> String) {
        if self.said_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.said_at = Some(Instant::now());
            log::warn!("{}", text());
        }
    }
}
