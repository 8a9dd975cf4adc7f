//! A broker in memory: what MQTT promises, without a socket. For tests, and for head and tail in one process.
//!
//! Owns: routing, shared subscriptions, redelivery. Must not know: what payloads mean.
//! A delivery that is not acknowledged comes again when its client calls [`MemoryBroker::reconnect`]; when its client is
//! dropped, a shared one goes to another of its group.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Broker, BrokerError, Delivery, DeliveryToken, Message, topics};

/// Most messages waiting for one client; a publisher blocks no longer than it must, then is refused.
const MAX_WAITING: usize = 100_000;

/// The broker itself; clients share it.
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<u64, Client>,
    retained: BTreeMap<String, Message>,
    next_id: u64,
    turn: usize,
}

#[derive(Debug, Default)]
struct Client {
    filters: Vec<String>,
    waiting: VecDeque<Held>,
    unacknowledged: BTreeMap<u64, Held>,
}

/// A message on its way, with the share group that chose its client.
#[derive(Debug, Clone)]
struct Held {
    message: Message,
    group: Option<String>,
}

impl Hub {
    /// A client of its own.
    pub fn connect(&self) -> MemoryBroker {
        let mut state = self.lock();
        state.next_id += 1;
        let id = state.next_id;
        state.clients.insert(id, Client::default());
        drop(state);
        MemoryBroker { hub: self.clone(), id }
    }

    /// Forgets every waiting and unacknowledged message, as a broker that was killed does; subscriptions stay, as
    /// clients subscribe again.
    pub fn crash(&self) {
        for client in self.lock().clients.values_mut() {
            client.waiting.clear();
            client.unacknowledged.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn route(&mut self, message: &Message) {
        let mut groups: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (&id, client) in &mut self.clients {
            let mut plain = false;
            for filter in &client.filters {
                match topics::shared(filter) {
                    Some((_, inner)) if topics::matches(inner, &message.topic) => {
                        groups.entry(filter.clone()).or_default().push(id);
                    }
                    None if topics::matches(filter, &message.topic) => plain = true,
                    _ => {}
                }
            }
            if plain {
                client.waiting.push_back(Held {
                    message: message.clone(),
                    group: None,
                });
            }
        }
        for (group, members) in groups {
            self.turn = self.turn.wrapping_add(1);
            let member = members
                .get(self.turn % members.len())
                .and_then(|id| self.clients.get_mut(id));
            if let Some(client) = member {
                client.waiting.push_back(Held {
                    message: message.clone(),
                    group: Some(group),
                });
            }
        }
    }

    fn leave(&mut self, id: u64) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        let held = client.unacknowledged.into_values().chain(client.waiting);
        for held in held.filter(|h| h.group.is_some()) {
            let heir = self
                .clients
                .values_mut()
                .find(|c| c.filters.iter().any(|f| Some(f) == held.group.as_ref()));
            if let Some(heir) = heir {
                heir.waiting.push_back(held);
            }
        }
    }
}

/// A client of a [`Hub`].
#[derive(Debug)]
pub struct MemoryBroker {
    hub: Hub,
    id: u64,
}

impl MemoryBroker {
    /// Loses the connection and comes back: what was not acknowledged comes again, first.
    pub fn reconnect(&mut self) {
        let mut state = self.hub.lock();
        if let Some(client) = state.clients.get_mut(&self.id) {
            for (_, held) in std::mem::take(&mut client.unacknowledged).into_iter().rev() {
                client.waiting.push_front(held);
            }
        }
        drop(state);
        self.hub.0.changed.notify_all();
    }
}

impl Drop for MemoryBroker {
    fn drop(&mut self) {
        self.hub.lock().leave(self.id);
        self.hub.0.changed.notify_all();
    }
}

impl Broker for MemoryBroker {
    fn subscribe(&mut self, filter: &str) -> Result<(), BrokerError> {
        let mut state = self.hub.lock();
        let retained: Vec<Message> = state
            .retained
            .values()
            .filter(|m| topics::matches(filter, &m.topic))
            .cloned()
            .collect();
        if let Some(client) = state.clients.get_mut(&self.id) {
            client.filters.push(filter.to_owned());
            client
                .waiting
                .extend(retained.into_iter().map(|message| Held { message, group: None }));
        }
        Ok(())
    }

    fn publish(&mut self, message: &Message) -> Result<(), BrokerError> {
        let mut state = self.hub.lock();
        if state.clients.values().any(|c| c.waiting.len() >= MAX_WAITING) {
            return Err(BrokerError::Unreachable {
                broker: "memory".to_owned(),
                why: format!("{MAX_WAITING} messages wait for a client that does not read"),
            });
        }
        if message.retain {
            state.retained.insert(message.topic.clone(), message.clone());
        }
        state.route(message);
        drop(state);
        self.hub.0.changed.notify_all();
        Ok(())
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<Delivery>, BrokerError> {
        let until = Instant::now() + wait;
        let mut state = self.hub.lock();
        loop {
            state.next_id += 1;
            let token = state.next_id;
            let client = state.clients.get_mut(&self.id);
            if let Some((held, client)) = client.and_then(|c| c.waiting.pop_front().map(|held| (held, c))) {
                let message = held.message.clone();
                client.unacknowledged.insert(token, held);
                return Ok(Some(Delivery {
                    message,
                    token: DeliveryToken(token),
                    at: Instant::now(),
                }));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = self.hub.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn ack(&mut self, token: DeliveryToken) -> Result<(), BrokerError> {
        let mut state = self.hub.lock();
        if let Some(client) = state.clients.get_mut(&self.id) {
            client.unacknowledged.remove(&token.0);
        }
        Ok(())
    }
}
