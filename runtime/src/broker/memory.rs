//! A broker in memory: what MQTT promises, without a socket. For tests, and for head and tail in one process.
//!
//! Owns: routing, shared subscriptions, redelivery. Must not know: what payloads mean.
//! A delivery that is not acknowledged comes again when its client calls [`MemoryBroker::reconnect`]; when its client is
//! dropped, a shared one goes to another of its group.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Broker, BrokerError, Delivery, DeliveryToken, Message, Probe, Waker, topics};

/// Most messages waiting for one client; publishers wait.
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
    woken: bool,
    connections: u64,
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
        let client = Client {
            connections: 1,
            ..Client::default()
        };
        state.clients.insert(id, client);
        drop(state);
        MemoryBroker { hub: self.clone(), id }
    }

    /// Forgets every waiting and unacknowledged message, as a broker that was killed does; subscriptions stay, as
    /// clients subscribe again.
    pub fn crash(&self) {
        for client in self.lock().clients.values_mut() {
            client.waiting.clear();
            client.unacknowledged.clear();
            client.connections += 1;
            client.woken = true;
        }
        self.0.changed.notify_all();
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
            client.connections += 1;
            client.woken = true;
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

    fn publish(&mut self, message: &Message, wait: Duration) -> Result<bool, BrokerError> {
        let until = Instant::now() + wait;
        let mut state = self.hub.lock();
        while state.clients.values().any(|c| c.waiting.len() >= MAX_WAITING) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let waited = self.hub.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if message.retain {
            state.retained.insert(message.topic.clone(), message.clone());
        }
        state.route(message);
        drop(state);
        self.hub.0.changed.notify_all();
        Ok(true)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<Delivery>, BrokerError> {
        let until = Instant::now() + wait;
        let mut state = self.hub.lock();
        loop {
            state.next_id += 1;
            let token = state.next_id;
            let Some(client) = state.clients.get_mut(&self.id) else {
                return Ok(None);
            };
            if let Some(held) = client.waiting.pop_front() {
                let message = held.message.clone();
                client.unacknowledged.insert(token, held);
                return Ok(Some(Delivery {
                    message,
                    token: DeliveryToken(token),
                    at: Instant::now(),
                }));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || std::mem::take(&mut client.woken) {
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
        drop(state);
        self.hub.0.changed.notify_all();
        Ok(())
    }

    fn waker(&self) -> Waker {
        let (hub, id) = (self.hub.clone(), self.id);
        Waker::new(move || {
            if let Some(client) = hub.lock().clients.get_mut(&id) {
                client.woken = true;
            }
            hub.0.changed.notify_all();
        })
    }

    fn probe(&self) -> Probe {
        Probe::new(|| Ok(()))
    }

    fn connections(&self) -> u64 {
        self.hub.lock().clients.get(&self.id).map_or(0, |c| c.connections)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn text(broker: &mut MemoryBroker) -> Option<(String, DeliveryToken)> {
        let delivery = broker.receive(Duration::ZERO).unwrap()?;
        let payload = delivery.message.payload.to_vec();
        Some((String::from_utf8(payload).unwrap(), delivery.token))
    }

    fn send(broker: &mut MemoryBroker, topic: &str, payload: &'static str) {
        assert!(broker.publish(&Message::new(topic, payload), SOON).unwrap());
    }

    #[test]
    fn what_is_not_acknowledged_comes_again_and_first() {
        let hub = Hub::default();
        let (mut writer, mut reader) = (hub.connect(), hub.connect());
        reader.subscribe("a/+").unwrap();
        for payload in ["1", "2", "3"] {
            send(&mut writer, "a/b", payload);
        }
        let (first, token) = text(&mut reader).unwrap();
        reader.ack(token).unwrap();
        let (second, _) = text(&mut reader).unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("1", "2"));
        reader.reconnect();
        assert_eq!(text(&mut reader).unwrap().0, "2");
        assert_eq!(text(&mut reader).unwrap().0, "3");
        assert!(text(&mut reader).is_none());
    }

    #[test]
    fn a_group_shares_and_inherits() {
        let hub = Hub::default();
        let (mut writer, mut one, mut two) = (hub.connect(), hub.connect(), hub.connect());
        one.subscribe("$share/g/a").unwrap();
        two.subscribe("$share/g/a").unwrap();
        send(&mut writer, "a", "x");
        send(&mut writer, "a", "y");
        let here = text(&mut one).unwrap().0;
        drop(two);
        let inherited = text(&mut one).unwrap().0;
        let mut both = [here, inherited];
        both.sort();
        assert_eq!(both, ["x", "y"]);
    }

    #[test]
    fn a_waker_ends_the_wait() {
        let mut broker = Hub::default().connect();
        let waker = broker.waker();
        let thread = std::thread::spawn(move || waker.wake());
        let begun = Instant::now();
        assert!(broker.receive(Duration::from_mins(1)).unwrap().is_none());
        assert!(begun.elapsed() < Duration::from_secs(30));
        thread.join().unwrap();
    }
}
