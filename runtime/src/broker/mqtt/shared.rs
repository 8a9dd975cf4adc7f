//! What the socket's thread and its callers share: one lock, one condition.
//!
//! Owns: the connection's state as callers see it. Must not know: packets.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rumqttc::v5::AsyncClient;

use crate::broker::{BrokerError, Delivery};

/// How long nothing is published after the broker denied it: an ACL does not change by asking often.
pub(super) const DENIED_WAIT: Duration = Duration::from_secs(30);

/// The slowest uplink that is not taken for a dead one, bytes a second: 32 kbit/s, a poor cell's.
const SLOWEST_LINK_BYTES_S: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) changed: Condvar,
}

/// The connection as callers see it.
#[derive(Debug, Default)]
pub(super) enum Link {
    /// No answer yet.
    #[default]
    Connecting,
    /// Usable.
    Up { client: AsyncClient },
    /// Waiting to try again.
    Down(Fault),
}

/// Why the connection is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Unreachable(String),
    Unauthorised(String),
}

impl Fault {
    pub(super) fn error(&self, broker: &str) -> BrokerError {
        let broker = broker.to_owned();
        match self.clone() {
            Self::Unreachable(why) => BrokerError::Unreachable { broker, why },
            Self::Unauthorised(why) => BrokerError::Unauthorised { broker, why },
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) link: Link,
    /// Grows with each connection; a delivery of an older one cannot be acknowledged any more.
    pub(super) epoch: u64,
    /// Connections that were opened to callers.
    pub(super) connections: u64,
    /// Ends the wait for a delivery.
    pub(super) woken: bool,
    pub(super) filters: Vec<String>,
    /// Subscriptions that the broker has granted.
    pub(super) subscribed: u64,
    pub(super) deliveries: VecDeque<Delivery>,
    /// The broker's packet limit, bytes.
    pub(super) packet_bytes_max: usize,
    /// Messages handed over on this connection, and acknowledged by the broker, which does so in the same order (MQTT 5.0
    /// section 4.6).
    pub(super) published: u64,
    pub(super) acknowledged: u64,
    /// Bytes of each message handed over and not acknowledged, oldest first.
    pub(super) outstanding: VecDeque<usize>,
    /// When a publish was last denied.
    pub(super) denied_at: Option<Instant>,
    pub(super) closing: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            link: Link::default(),
            epoch: 0,
            connections: 0,
            woken: false,
            filters: Vec::new(),
            subscribed: 0,
            deliveries: VecDeque::new(),
            packet_bytes_max: usize::MAX,
            published: 0,
            acknowledged: 0,
            outstanding: VecDeque::new(),
            denied_at: None,
            closing: false,
        }
    }
}

impl State {
    /// A message was handed over.
    pub(super) fn handed_over(&mut self, bytes: usize) {
        self.published += 1;
        self.outstanding.push_back(bytes);
    }

    /// The broker has the oldest message.
    pub(super) fn acknowledge(&mut self) {
        self.acknowledged += 1;
        self.outstanding.pop_front();
    }

    /// How long the broker may be silent only because we are still sending: its next word is the acknowledgement of the
    /// oldest message, which needs its bytes' time on the line.
    pub(super) fn sending_time(&self) -> Duration {
        let bytes = self.outstanding.front().copied().unwrap_or(0);
        Duration::from_secs((bytes / SLOWEST_LINK_BYTES_S) as u64)
    }

    /// The fault while a denial is fresh.
    pub(super) fn denied(&self) -> Option<Fault> {
        self.denied_at.filter(|at| at.elapsed() < DENIED_WAIT).map(|_| {
            Fault::Unauthorised("a publish was denied: check the broker's access list for this device".to_owned())
        })
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'s>(&self, state: MutexGuard<'s, State>, wait: Duration) -> MutexGuard<'s, State> {
        self.changed
            .wait_timeout(state, wait)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}
