//! Deliveries that the broker has handed over and the part has not run yet.
//!
//! Owns: whose turn it is, and the order of acknowledgements. Must not know: what a delivery holds.
//!
//! Devices take turns, so that one that floods delays another's frame by one of its own and not by its whole backlog.
//! Acknowledgements leave in the order of the deliveries all the same (MQTT 5.0 section 4.6): one waits until those before it
//! are settled.

use std::collections::VecDeque;
use std::time::Instant;

use crate::broker::{Delivery, DeliveryToken};

/// Most deliveries taken from the broker: one head's whole window, twice.
const MAX_DELIVERIES: usize = 512;
/// Most bytes that they take; one delivery always has room.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// One device's deliveries, oldest first, each with its number.
type Queue = VecDeque<(u64, Delivery)>;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The device whose turn it is comes first; none of them is empty.
    devices: VecDeque<(String, Queue)>,
    deliveries: usize,
    bytes: usize,
    /// Not yet acknowledged, oldest first: how, and whether the delivery is settled.
    acks: VecDeque<(DeliveryToken, bool)>,
    /// The number of the first of `acks`.
    first: u64,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.deliveries
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deliveries == 0
    }

    pub(super) fn has_room(&self) -> bool {
        self.is_empty() || (self.acks.len() < MAX_DELIVERIES && self.bytes < MAX_BYTES)
    }

    /// When the one that waits longest arrived.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let fronts = self.devices.iter().filter_map(|(_, queue)| queue.front());
        fronts.map(|(_, delivery)| delivery.at).min()
    }

    /// Adds a delivery on this device's topic.
    pub(super) fn push(&mut self, device: &str, delivery: Delivery) {
        let number = self.first + self.acks.len() as u64;
        self.acks.push_back((delivery.token, false));
        self.deliveries += 1;
        self.bytes += delivery.message.payload.len();
        match self.devices.iter_mut().find(|(name, _)| name == device) {
            Some((_, queue)) => queue.push_back((number, delivery)),
            None => self
                .devices
                .push_back((device.to_owned(), VecDeque::from([(number, delivery)]))),
        }
    }

    /// The next one of the device whose turn it is, with its number.
    pub(super) fn take(&mut self) -> Option<(u64, Delivery)> {
        let (device, mut queue) = self.devices.pop_front()?;
        let taken = queue.pop_front();
        if !queue.is_empty() {
            self.devices.push_back((device, queue));
        }
        if let Some((_, delivery)) = &taken {
            self.deliveries -= 1;
            self.bytes -= delivery.message.payload.len();
        }
        taken
    }

    /// Nothing more is to be done for this delivery.
    pub(super) fn settle(&mut self, number: u64) {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some((_, settled)) = at.and_then(|at| self.acks.get_mut(at)) {
            *settled = true;
        }
    }

    /// The next delivery to acknowledge, where there is one.
    pub(super) fn acknowledgeable(&mut self) -> Option<DeliveryToken> {
        let token = self
            .acks
            .front()
            .filter(|(_, settled)| *settled)
            .map(|(token, _)| *token)?;
        self.acks.pop_front();
        self.first += 1;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;
    use crate::broker::Message;

    fn delivery(token: u64) -> Delivery {
        Delivery {
            message: Message::new("t", vec![0; 10]),
            token: DeliveryToken(token),
            at: Instant::now(),
        }
    }

    fn tokens(waiting: &mut Waiting, count: usize) -> Vec<(u64, u64)> {
        let taken = (0..count).map_while(|_| waiting.take());
        taken.map(|(number, delivery)| (number, delivery.token.0)).collect()
    }

    #[test]
    fn devices_take_turns_whatever_one_of_them_sends() {
        let mut waiting = Waiting::default();
        for token in 0..100 {
            waiting.push("flood", delivery(token));
        }
        waiting.push("slow", delivery(100));
        waiting.push("other", delivery(101));
        let order: Vec<u64> = tokens(&mut waiting, 6).into_iter().map(|(_, token)| token).collect();
        assert_eq!(order, [0, 100, 101, 1, 2, 3]);
        // One that comes back has its turn after the one that is waiting.
        waiting.push("slow", delivery(102));
        let order: Vec<u64> = tokens(&mut waiting, 3).into_iter().map(|(_, token)| token).collect();
        assert_eq!(order, [4, 102, 5]);
        assert_eq!(waiting.len(), 103 - 9);
    }

    #[test]
    fn acknowledgements_leave_in_the_order_of_deliveries() {
        let mut waiting = Waiting::default();
        for (token, device) in [(7, "a"), (8, "a"), (9, "b")] {
            waiting.push(device, delivery(token));
        }
        let taken = tokens(&mut waiting, 3);
        assert_eq!(taken, [(0, 7), (2, 9), (1, 8)]);
        waiting.settle(2);
        assert_eq!(waiting.acknowledgeable(), None);
        waiting.settle(0);
        assert_eq!(waiting.acknowledgeable(), Some(DeliveryToken(7)));
        assert_eq!(waiting.acknowledgeable(), None, "8 is not settled");
        waiting.settle(1);
        assert_eq!(waiting.acknowledgeable(), Some(DeliveryToken(8)));
        assert_eq!(waiting.acknowledgeable(), Some(DeliveryToken(9)));
        assert!(waiting.is_empty() && waiting.has_room());
    }

    #[test]
    fn what_waits_is_bounded_and_one_always_has_room() {
        let mut waiting = Waiting::default();
        let mut large = delivery(1);
        large.message.payload = vec![0; MAX_BYTES + 1].into();
        waiting.push("a", large);
        assert!(!waiting.has_room());
        let (number, _) = waiting.take().unwrap();
        waiting.settle(number);
        assert!(waiting.acknowledgeable().is_some());
        for token in 0..MAX_DELIVERIES as u64 {
            assert!(waiting.has_room(), "after {token}");
            waiting.push("a", delivery(token));
        }
        assert!(!waiting.has_room());
    }
}
