//! The broker: publishes, receives, acknowledges.
//!
//! Owns: topics and connections. Must not know: what a payload means.
//! Start at [`Broker`], then [`mqtt`] for the real one, [`memory`] for tests, [`topics`] for who writes what where.
//! A publish that returned is *queued*, no more: only a receipt frees a frame.

pub mod backoff;
pub mod memory;
pub mod mqtt;
pub mod topics;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kerf_wire::seal::crc32c;

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Full topic.
    pub topic: String,
    /// Its bytes, shared: a repeat costs no copy.
    pub payload: Bytes,
    /// Kept by the broker for later subscribers.
    pub retain: bool,
    /// MQTT v5 response topic, where an answer is asked for.
    pub response_topic: Option<String>,
    /// MQTT v5 correlation data.
    pub correlation: Option<Vec<u8>>,
    /// CRC-32C of the payload, for one that has no checksum of its own; travels as the user property [`CHECKSUM`].
    pub checksum: Option<u32>,
}

/// Name of the user property with a payload's CRC-32C, eight hexadecimal digits.
pub const CHECKSUM: &str = "crc32c";

impl Message {
    /// A message with nothing but a topic and a payload.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            retain: false,
            response_topic: None,
            correlation: None,
            checksum: None,
        }
    }

    /// The message with its payload's checksum: a bit that flips on a link without TLS is then noticed.
    #[must_use]
    pub fn checked(mut self) -> Self {
        self.checksum = Some(crc32c(&[&self.payload]));
        self
    }

    /// False where it has a checksum that is not its payload's.
    pub fn is_intact(&self) -> bool {
        self.checksum.is_none_or(|sum| sum == crc32c(&[&self.payload]))
    }
}

/// A message received and not yet acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What came.
    pub message: Message,
    /// The broker's name for this delivery, for [`Broker::ack`].
    pub token: DeliveryToken,
    /// When it arrived, on this machine's monotonic clock.
    pub at: Instant,
}

/// A point in what was published on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which connection.
    pub(crate) connection: u64,
    /// Messages published on it.
    pub(crate) published: u64,
}

/// Names one delivery on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryToken(pub u64);

/// Makes a waiting [`Broker::receive`] return at once, from any thread.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that calls this.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Ends the wait; the next one, where none is under way.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

/// Asks how a connection is, from any thread.
#[derive(Clone)]
pub struct Probe(Arc<dyn Fn() -> Result<(), BrokerError> + Send + Sync>);

impl Probe {
    /// A probe that asks this.
    pub fn new(ask: impl Fn() -> Result<(), BrokerError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Nothing where the connection is up and nothing was denied on it lately.
    ///
    /// # Errors
    /// What is wrong.
    pub fn ask(&self) -> Result<(), BrokerError> {
        (self.0)()
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Probe")
    }
}

/// A connection to a broker, reconnecting by itself. At least once: a delivery that is not acknowledged comes again.
pub trait Broker: Send {
    /// Subscribes at QoS 1; kept over reconnects.
    ///
    /// # Errors
    /// When the broker refuses, or the connection is down; it is then made on the next connection.
    fn subscribe(&mut self, filter: &str) -> Result<(), BrokerError>;
    /// Hands a message over at QoS 1; false when the one outgoing slot was taken all of `wait`: back-pressure, not
    /// memory. Messages leave in this order, acknowledgements among them.
    ///
    /// # Errors
    /// When the message is over the packet limit, the connection is down, or the broker denied the last one.
    fn publish(&mut self, message: &Message, wait: Duration) -> Result<bool, BrokerError>;
    /// The next delivery, or none within `wait`, or when woken, or when a connection has come up.
    ///
    /// # Errors
    /// When the connection is still down after `wait`.
    fn receive(&mut self, wait: Duration) -> Result<Option<Delivery>, BrokerError>;
    /// Acknowledges a delivery: it will not come again.
    ///
    /// # Errors
    /// When the connection that brought it is gone; the delivery then comes again.
    fn ack(&mut self, token: DeliveryToken) -> Result<(), BrokerError>;
    /// Ends a wait in [`Broker::receive`] from another thread.
    fn waker(&self) -> Waker;
    /// Asks how this connection is, from another thread.
    fn probe(&self) -> Probe;
    /// Connections made so far. When it grows, what was under way on the last one may be lost.
    fn connections(&self) -> u64;
    /// Marks what was handed over last, for [`Broker::has_taken`].
    fn mark(&self) -> Mark {
        Mark {
            connection: self.connections(),
            published: 0,
        }
    }
    /// False while what was handed over up to this mark is still on its way to the broker on a connection that lives: it is
    /// not lost, and sending it again would only fill a slow link.
    fn has_taken(&self, _mark: Mark) -> bool {
        true
    }
}

/// Why the broker did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// No connection: exit code 40 at start, retried in a running stage.
    #[error("broker {broker} is not reachable: {why}")]
    Unreachable {
        /// host:port.
        broker: String,
        /// The cause.
        why: String,
    },
    /// Wrong credentials, certificate or ACL: exit code 41 at start.
    #[error("broker {broker} does not authorise us: {why}")]
    Unauthorised {
        /// host:port.
        broker: String,
        /// The cause.
        why: String,
    },
    /// Over the packet limit: never sent.
    #[error("message of {got} bytes is over the broker's packet limit of {limit}")]
    TooLarge {
        /// Its length.
        got: usize,
        /// The limit.
        limit: usize,
    },
}
