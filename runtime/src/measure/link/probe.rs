//! Probes on their way: when each may leave, and how long each took.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{ANSWER_BYTES, PATIENCE, PAUSE, ProbeTopics};
use crate::broker::{Broker, BrokerError, Message};

/// Most probes on their way at once.
const MOST_UNDER_WAY: usize = 16;

/// One probe to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shot {
    /// What its time is entered under.
    label: usize,
    up: usize,
    down: usize,
}

impl Shot {
    /// So many bytes to the other end, and a short answer.
    pub(super) fn up(label: usize, bytes: usize) -> Self {
        Self {
            label,
            up: bytes,
            down: 0,
        }
    }

    /// A short question, and so many bytes back.
    pub(super) fn down(label: usize, bytes: usize) -> Self {
        Self {
            label,
            up: 0,
            down: bytes,
        }
    }
}

/// Sends probes and receives their answers.
pub(super) struct Probes<'a> {
    broker: &'a mut dyn Broker,
    topics: &'a ProbeTopics,
    /// True where another end answers; else a short message of our own comes back behind each.
    pub(super) is_answered: bool,
    /// About how fast the link is.
    pub(super) bytes_s: f64,
    next: u64,
    under_way: HashMap<[u8; 8], UnderWay>,
}

struct UnderWay {
    label: usize,
    since: Instant,
    /// Answers that are still to come.
    left: usize,
}

impl<'a> Probes<'a> {
    /// None sent yet.
    pub(super) fn new(broker: &'a mut dyn Broker, topics: &'a ProbeTopics, is_answered: bool) -> Self {
        Self {
            broker,
            topics,
            is_answered,
            bytes_s: f64::INFINITY,
            next: 0,
            under_way: HashMap::new(),
        }
    }

    /// One probe, alone on the link.
    pub(super) fn once(&mut self, shot: Shot) -> Result<Duration, BrokerError> {
        let all = self.fire(&[shot])?;
        Ok(all.first().map_or(Duration::ZERO, |(_, took)| *took))
    }

    /// All of them, each as soon as the link is free of the one before; gives what each took, under its label.
    pub(super) fn fire(&mut self, shots: &[Shot]) -> Result<Vec<(usize, Duration)>, BrokerError> {
        let mut took = Vec::new();
        let mut free = Instant::now() + PAUSE;
        for shot in shots {
            while Instant::now() < free || self.under_way.len() >= MOST_UNDER_WAY {
                let wait = free.saturating_duration_since(Instant::now());
                let wait = if wait.is_zero() { PATIENCE } else { wait };
                self.receive(wait, &mut took)?;
            }
            self.send(*shot)?;
            free = Instant::now() + PAUSE + self.occupied(*shot);
        }
        let until = Instant::now() + PATIENCE;
        while !self.under_way.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(nobody(format!("no answer to a probe within {PATIENCE:?}")));
            }
            self.receive(left, &mut took)?;
        }
        Ok(took)
    }

    /// How long a probe and its answer keep the link busy, with a quarter to spare.
    fn occupied(&self, shot: Shot) -> Duration {
        let bytes = (shot.up.max(shot.down)) as f64 * if self.is_answered { 1.0 } else { 2.0 };
        Duration::try_from_secs_f64(bytes * 1.25 / self.bytes_s).unwrap_or_default()
    }

    fn send(&mut self, shot: Shot) -> Result<(), BrokerError> {
        self.next += 1;
        let token = self.next.to_le_bytes();
        let since = Instant::now();
        let answers = if self.is_answered { 2 } else { 1 };
        let under_way = UnderWay {
            label: shot.label,
            since,
            left: answers,
        };
        self.under_way.insert(token, under_way);
        let mut payload = token.to_vec();
        if !self.is_answered && shot.down > 0 {
            payload.resize(shot.down.max(ANSWER_BYTES), 0);
            return self.publish(&self.topics.back, payload);
        }
        payload.extend(u32::try_from(shot.down).unwrap_or(u32::MAX).to_le_bytes());
        payload.resize(payload.len().max(shot.up), 0x5A);
        self.publish(&self.topics.there, payload)?;
        if !self.is_answered {
            let mut marker = token.to_vec();
            marker.resize(ANSWER_BYTES, 0);
            self.publish(&self.topics.back, marker)?;
        }
        Ok(())
    }

    fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BrokerError> {
        if self.broker.publish(&Message::new(topic, payload), PATIENCE)? {
            return Ok(());
        }
        Err(nobody(format!("it took nothing for {PATIENCE:?}")))
    }

    fn receive(&mut self, wait: Duration, took: &mut Vec<(usize, Duration)>) -> Result<(), BrokerError> {
        let Some(delivery) = self.broker.receive(wait)? else {
            return Ok(());
        };
        let token: Option<[u8; 8]> = delivery
            .message
            .payload
            .get(..8)
            .and_then(|token| token.try_into().ok());
        self.broker.ack(delivery.token)?;
        let Some(token) = token else { return Ok(()) };
        // An answer to a probe of a run that was broken off is nobody's.
        let Some(probe) = self.under_way.get_mut(&token) else {
            return Ok(());
        };
        probe.left -= 1;
        if probe.left == 0 {
            took.push((probe.label, delivery.at.saturating_duration_since(probe.since)));
            self.under_way.remove(&token);
        }
        Ok(())
    }
}

fn nobody(why: String) -> BrokerError {
    BrokerError::Unreachable {
        broker: "the broker".to_owned(),
        why,
    }
}
