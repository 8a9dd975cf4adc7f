//! One client's session with the desk broker.
//!
//! Owns: its filters, what waits for it and what it has not acknowledged. Must not know: other clients, locks.

use std::collections::{BTreeMap, VecDeque};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};

/// Most bytes that wait for one client; what is over it is dropped and logged.
const MAX_WAITING_BYTES: usize = 256 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Session {
    pub(super) filters: Vec<Subscription>,
    pub(super) control: VecDeque<Packet>,
    pub(super) waiting: VecDeque<Publish>,
    waiting_bytes: usize,
    pub(super) in_flight: BTreeMap<u16, Publish>,
    last_pkid: u16,
    pub(super) receive_max: u16,
    /// Which connection serves it; none while the client is away.
    pub(super) connection: Option<u64>,
}

pub(super) struct Subscription {
    /// The whole text, `$share/…` included.
    pub(super) path: String,
    pub(super) qos: QoS,
}

impl Subscription {
    /// The group of a shared subscription, and the filter proper.
    pub(super) fn parts(&self) -> (Option<&str>, &str) {
        match self.path.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
            Some((group, filter)) => (Some(group), filter),
            None => (None, &self.path),
        }
    }
}

impl Session {
    pub(super) fn queue(&mut self, client: &str, mut message: Publish, qos: QoS) {
        message.qos = if message.qos == QoS::AtMostOnce {
            QoS::AtMostOnce
        } else {
            qos
        };
        if self.waiting_bytes + message.payload.len() > MAX_WAITING_BYTES {
            let topic = String::from_utf8_lossy(&message.topic);
            log::warn!("desk broker: {MAX_WAITING_BYTES} bytes wait for {client}: dropped a message on {topic}");
            return;
        }
        self.waiting_bytes += message.payload.len();
        self.waiting.push_back(message);
    }

    /// What may be written now: answers first, then messages as far as the client takes them.
    pub(super) fn next_packet(&mut self) -> Option<Packet> {
        if let Some(packet) = self.control.pop_front() {
            return Some(packet);
        }
        let first = self.waiting.front()?;
        if first.qos != QoS::AtMostOnce && self.in_flight.len() >= usize::from(self.receive_max) {
            return None;
        }
        let mut message = self.waiting.pop_front()?;
        self.waiting_bytes -= message.payload.len();
        message.pkid = 0;
        if message.qos != QoS::AtMostOnce {
            message.pkid = self.free_pkid();
            self.in_flight.insert(message.pkid, message.clone());
        }
        Some(Packet::Publish(message))
    }

    /// A packet id that is not in flight: there are more ids than [`Session::receive_max`] allows in flight.
    fn free_pkid(&mut self) -> u16 {
        loop {
            self.last_pkid = self.last_pkid.checked_add(1).unwrap_or(1);
            if !self.in_flight.contains_key(&self.last_pkid) {
                return self.last_pkid;
            }
        }
    }

    /// Puts what was not acknowledged back to the front, for the next connection.
    pub(super) fn rewind(&mut self) {
        self.control.clear();
        while let Some((_, mut message)) = self.in_flight.pop_last() {
            message.dup = true;
            self.waiting_bytes += message.payload.len();
            self.waiting.push_front(message);
        }
    }
}
