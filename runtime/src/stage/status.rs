//! A stage's counters and troubles on its status topic, now and then.
//!
//! Owns: when they are told, and the document. Must not know: who reads it.
//! The document is the one of the birth message with two more fields, retained, so that it is there for whoever comes later.

use std::time::{Duration, Instant};

use crate::broker::{Broker, Message};
use crate::metrics::Metrics;

/// What is told and how often.
#[derive(Debug)]
pub struct Status {
    birth: Message,
    every: Duration,
    next: Instant,
}

impl Status {
    /// Tells what this birth message says, with counters, so often.
    pub fn new(birth: Message, every: Duration) -> Self {
        let next = Instant::now() + every;
        Self { birth, every, next }
    }

    /// The longest wait until it is due.
    pub(super) fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Tells it where it is due. A broker that does not take it now gets the next one.
    pub(super) fn tick(&mut self, broker: &mut dyn Broker, metrics: &Metrics) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + self.every;
        let mut message = self.birth.clone();
        message.payload = document(&self.birth.payload, metrics).into();
        if let Err(why) = broker.publish(&message, Duration::ZERO) {
            log::debug!("event=status_not_told why={:?}", why.to_string());
        }
    }
}

fn document(birth: &[u8], metrics: &Metrics) -> Vec<u8> {
    let mut document: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(birth).unwrap_or_default();
    document.insert("frames".to_owned(), metrics.document());
    document.insert("health".to_owned(), metrics.health.document());
    serde_json::Value::from(document).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;
    use crate::broker::memory::Hub;

    #[test]
    fn the_counters_come_on_time_with_what_the_birth_said() {
        let hub = Hub::default();
        let mut reader = hub.connect();
        reader.subscribe("kerf/cam/status/0").unwrap();
        let metrics = Metrics::default();
        metrics.answered.add(7);
        let mut status = Status::new(
            Message::new("kerf/cam/status/0", r#"{"state":"online"}"#),
            Duration::from_millis(20),
        );
        let mut stage = hub.connect();
        status.tick(&mut stage, &metrics);
        assert!(
            reader.receive(Duration::ZERO).unwrap().is_none(),
            "told before it was due"
        );
        std::thread::sleep(status.wait());
        status.tick(&mut stage, &metrics);
        let told = reader.receive(Duration::from_secs(5)).unwrap().unwrap().message.payload;
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["state"], "online");
        assert_eq!(told["frames"]["answered"], 7);
        assert_eq!(told["health"]["ready"], true);
    }
}
