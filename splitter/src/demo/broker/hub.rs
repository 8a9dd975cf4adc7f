//! Sessions and routing of the desk broker.
//!
//! Owns: who subscribed to what, what waits for whom, what is retained. Must not know: sockets.
//! A session lives as long as the broker, connected or not, so a client that comes back finds what it missed.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kerf_runtime::broker::topics::matches;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, SubAck, Subscribe, SubscribeReasonCode};

mod session;

use session::{Session, Subscription};

/// Most unacknowledged messages on the way to one client that names no number of its own.
const DEFAULT_RECEIVE_MAX: u16 = 64;

/// The broker's memory.
#[derive(Default)]
pub(super) struct Hub {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<String, Publish>,
    /// Grows by one a connection: tells a writer that its connection is over.
    connections: u64,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change under the lock is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client id that no client has.
    pub(super) fn fresh_name(&self) -> String {
        let mut state = self.lock();
        state.connections += 1;
        format!("desk-{}", state.connections)
    }

    /// Opens or resumes a session; gives the connection's number and whether there was a session.
    pub(super) fn open(&self, client: &str, clean: bool, receive_max: Option<u16>) -> (u64, bool) {
        let mut state = self.lock();
        state.connections += 1;
        let connection = state.connections;
        if clean {
            state.sessions.remove(client);
        }
        let present = state.sessions.contains_key(client);
        let session = state.sessions.entry(client.to_owned()).or_default();
        session.rewind();
        // MQTT v5 section 3.1.2.11.3: 0 is no number of messages.
        session.receive_max = receive_max.unwrap_or(DEFAULT_RECEIVE_MAX).max(1);
        session.connection = Some(connection);
        self.wake.notify_all();
        (connection, present)
    }

    /// Ends a connection, unless another has taken the session over.
    pub(super) fn close(&self, client: &str, connection: u64) {
        let mut state = self.lock();
        if let Some(session) = state
            .sessions
            .get_mut(client)
            .filter(|s| s.connection == Some(connection))
        {
            session.connection = None;
            session.rewind();
        }
        self.wake.notify_all();
    }

    /// Queues an answer.
    pub(super) fn send(&self, client: &str, packet: Packet) {
        if let Some(session) = self.lock().sessions.get_mut(client) {
            session.control.push_back(packet);
        }
        self.wake.notify_all();
    }

    /// Queues the answer that must precede all others.
    pub(super) fn send_first(&self, client: &str, packet: Packet) {
        if let Some(session) = self.lock().sessions.get_mut(client) {
            session.control.push_front(packet);
        }
        self.wake.notify_all();
    }

    /// The next packet for a connection; waits for one, and gives none once the connection is over.
    pub(super) fn next_packet(&self, client: &str, connection: u64) -> Option<Packet> {
        let mut state = self.lock();
        loop {
            let session = state.sessions.get_mut(client)?;
            if session.connection != Some(connection) {
                return None;
            }
            if let Some(packet) = session.next_packet() {
                return Some(packet);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A client has a message for good.
    pub(super) fn acknowledge(&self, client: &str, pkid: u16) {
        if let Some(session) = self.lock().sessions.get_mut(client) {
            session.in_flight.remove(&pkid);
        }
        self.wake.notify_all();
    }

    /// Hands a message to every subscriber, and to one of each sharing group.
    pub(super) fn publish(&self, mut message: Publish) {
        let topic = String::from_utf8_lossy(&message.topic).into_owned();
        let mut state = self.lock();
        if message.retain && message.payload.is_empty() {
            state.retained.remove(&topic);
        } else if message.retain {
            state.retained.insert(topic.clone(), message.clone());
        }
        message.retain = false;
        message.dup = false;
        for (client, qos) in state.readers(&topic) {
            if let Some(session) = state.sessions.get_mut(&client) {
                session.queue(&client, message.clone(), qos);
            }
        }
        self.wake.notify_all();
    }

    /// Subscribes, hands over what is retained, and answers.
    pub(super) fn subscribe(&self, client: &str, subscribe: &Subscribe) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(session) = state.sessions.get_mut(client) else {
            return;
        };
        let mut return_codes = Vec::with_capacity(subscribe.filters.len());
        for wanted in &subscribe.filters {
            let qos = if wanted.qos == QoS::AtMostOnce {
                QoS::AtMostOnce
            } else {
                QoS::AtLeastOnce
            };
            let path = wanted.path.clone();
            session.filters.retain(|f| f.path != path);
            let subscription = Subscription { path, qos };
            if let (None, filter) = subscription.parts() {
                for (topic, message) in &state.retained {
                    if matches(filter, topic) {
                        session.queue(client, message.clone(), qos);
                    }
                }
            }
            session.filters.push(subscription);
            return_codes.push(SubscribeReasonCode::Success(qos));
        }
        let (pkid, properties) = (subscribe.pkid, None);
        session.control.push_back(Packet::SubAck(SubAck {
            pkid,
            return_codes,
            properties,
        }));
        drop(guard);
        self.wake.notify_all();
    }

    /// Whether within `wait` a client subscribes to a filter that has this in it.
    pub(super) fn wait_for_filter(&self, part: &str, wait: Duration) -> bool {
        let missing = |state: &mut State| {
            let mut filters = state.sessions.values().flat_map(|session| &session.filters);
            !filters.any(|filter| filter.path.contains(part))
        };
        let waited = self.wake.wait_timeout_while(self.lock(), wait, missing);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Takes filters away.
    pub(super) fn unsubscribe(&self, client: &str, filters: &[String]) {
        if let Some(session) = self.lock().sessions.get_mut(client) {
            session.filters.retain(|f| !filters.contains(&f.path));
        }
    }
}

impl State {
    /// Who gets a message on this topic: each subscriber once; of each sharing group the connected one that waits least.
    fn readers(&self, topic: &str) -> Vec<(String, QoS)> {
        let mut readers: BTreeMap<&str, QoS> = BTreeMap::new();
        let mut groups: BTreeMap<&str, (bool, usize, &str, QoS)> = BTreeMap::new();
        for (client, session) in &self.sessions {
            for subscription in &session.filters {
                let (group, filter) = subscription.parts();
                if !matches(filter, topic) {
                    continue;
                }
                let Some(_) = group else {
                    readers.insert(client, subscription.qos);
                    continue;
                };
                let busy = session.waiting.len() + session.in_flight.len();
                let offer = (session.connection.is_none(), busy, client.as_str(), subscription.qos);
                let best = groups.entry(&subscription.path).or_insert(offer);
                if (offer.0, offer.1) < (best.0, best.1) {
                    *best = offer;
                }
            }
        }
        let shared = groups.into_values().map(|(_, _, client, qos)| (client.to_owned(), qos));
        let mut all: Vec<(String, QoS)> = readers.into_iter().map(|(c, q)| (c.to_owned(), q)).collect();
        all.extend(shared);
        all
    }
}
