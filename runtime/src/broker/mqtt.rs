//! The MQTT v5 broker client, on rumqttc.
//!
//! Owns: one connection, its reconnecting, its limits. Must not know: what payloads mean.
//! Start at [`MqttBroker::connect`]; the thread that drives the socket is in [`link`], the settings in [`config`].
//!
//! Every connection begins clean: rumqttc's own resending loses messages when the broker forgets its session (and can
//! loop for ever when it does not), so nothing is left to it. Who publishes keeps the message until its receipt.

mod config;
mod link;
mod shared;
mod tls;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};

pub use config::{BadUrl, BrokerUrl, Credentials, MqttConfig};
pub use tls::TlsConfig;

use super::{Broker, BrokerError, CHECKSUM, Delivery, DeliveryToken, Mark, Message, Probe, Waker};
use shared::{Link, Shared, State};

/// How long a subscription or an acknowledgement waits for the one outgoing slot.
const SLOT_WAIT: Duration = Duration::from_secs(20);
/// How long a subscription may stay unanswered.
const SUBSCRIBE_WAIT: Duration = Duration::from_secs(10);
/// How long closing waits for what is still to be sent.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A connection to an MQTT v5 broker that comes back by itself.
#[derive(Debug)]
pub struct MqttBroker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    address: String,
}

impl MqttBroker {
    /// Connects, and waits until the broker has answered.
    ///
    /// # Errors
    /// When the broker is not reachable within the connection's time-out, or does not authorise us.
    pub fn connect(config: MqttConfig) -> Result<Self, BrokerError> {
        let wait = config.connect_timeout + Duration::from_secs(1);
        let broker = Self::start(config)?;
        broker.wait_until_up(wait)?;
        Ok(broker)
    }

    /// Begins to connect and does not wait: for a stage that takes inputs while its network is still away.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(config: MqttConfig) -> Result<Self, BrokerError> {
        let address = config.url.address();
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("mqtt".to_owned())
            .spawn(move || link::run(&config, &of_thread))
            .map_err(|why| unreachable(&address, format!("no thread: {why}")))?;
        Ok(Self {
            shared,
            thread: Some(thread),
            address,
        })
    }

    fn wait_until_up(&self, wait: Duration) -> Result<(), BrokerError> {
        let until = Instant::now() + wait;
        let mut state = self.shared.lock();
        loop {
            match &state.link {
                Link::Up { .. } => return Ok(()),
                Link::Down(fault) => return Err(fault.error(&self.address)),
                Link::Connecting => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(unreachable(&self.address, format!("no answer within {wait:?}")));
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Hands a request, a message of so many bytes or another, to the connection; false when its one outgoing slot was
    /// taken all of `wait`.
    fn request(
        &self,
        wait: Duration,
        message_bytes: Option<usize>,
        mut send: impl FnMut(&AsyncClient) -> bool,
    ) -> Result<bool, BrokerError> {
        let until = Instant::now() + wait;
        let mut state = self.shared.lock();
        loop {
            let client = self.client(&state)?;
            if send(client) {
                // Under the lock: a new connection begins to count anew.
                if let Some(bytes) = message_bytes {
                    state.handed_over(bytes);
                }
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Hands over what must not be put off.
    fn request_now(&self, send: impl FnMut(&AsyncClient) -> bool) -> Result<(), BrokerError> {
        if self.request(SLOT_WAIT, None, send)? {
            Ok(())
        } else {
            Err(unreachable(&self.address, format!("nothing sent for {SLOT_WAIT:?}")))
        }
    }

    fn client<'s>(&self, state: &'s State) -> Result<&'s AsyncClient, BrokerError> {
        match &state.link {
            Link::Up { client, .. } => Ok(client),
            Link::Down(fault) => Err(fault.error(&self.address)),
            Link::Connecting => Err(unreachable(&self.address, "still connecting")),
        }
    }
}

fn unreachable(broker: &str, why: impl Into<String>) -> BrokerError {
    BrokerError::Unreachable {
        broker: broker.to_owned(),
        why: why.into(),
    }
}

impl Broker for MqttBroker {
    fn subscribe(&mut self, filter: &str) -> Result<(), BrokerError> {
        let asked = {
            let mut state = self.shared.lock();
            state.filters.push(filter.to_owned());
            state.subscribed
        };
        self.request_now(|client| client.try_subscribe(filter, QoS::AtLeastOnce).is_ok())?;
        let until = Instant::now() + SUBSCRIBE_WAIT;
        let mut state = self.shared.lock();
        loop {
            if state.subscribed > asked {
                return Ok(());
            }
            self.client(&state)?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(unreachable(
                    &self.address,
                    format!("subscription {filter} not answered"),
                ));
            }
            state = self.shared.wait(state, left);
        }
    }

    fn publish(&mut self, message: &Message, wait: Duration) -> Result<bool, BrokerError> {
        let got = link::packet_bytes(message);
        {
            let state = self.shared.lock();
            let limit = state.packet_bytes_max;
            if got > limit {
                return Err(BrokerError::TooLarge { got, limit });
            }
            if let Some(fault) = state.denied() {
                return Err(fault.error(&self.address));
            }
        }
        let properties = properties(message);
        self.request(wait, Some(got), |client| {
            let (topic, payload) = (message.topic.clone(), message.payload.clone());
            let sent = match properties.clone() {
                Some(given) => {
                    client.try_publish_with_properties(topic, QoS::AtLeastOnce, message.retain, payload, given)
                }
                None => client.try_publish(topic, QoS::AtLeastOnce, message.retain, payload),
            };
            sent.is_ok()
        })
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<Delivery>, BrokerError> {
        let until = Instant::now() + wait;
        let mut state = self.shared.lock();
        loop {
            if let Some(delivery) = state.deliveries.pop_front() {
                return Ok(Some(delivery));
            }
            if std::mem::take(&mut state.woken) {
                return Ok(None);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.client(&state).map(|_| None);
            }
            state = self.shared.wait(state, left);
        }
    }

    fn ack(&mut self, token: DeliveryToken) -> Result<(), BrokerError> {
        let (epoch, packet) = link::split(token);
        if packet == 0 {
            return Ok(());
        }
        if self.shared.lock().epoch != epoch {
            return Err(unreachable(&self.address, "the delivery's connection is gone"));
        }
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            pkid: packet,
            ..Publish::default()
        };
        self.request_now(|client| client.try_ack(&publish).is_ok())
    }

    fn waker(&self) -> Waker {
        let shared = Arc::clone(&self.shared);
        Waker::new(move || {
            shared.lock().woken = true;
            shared.changed.notify_all();
        })
    }

    fn probe(&self) -> Probe {
        let (shared, address) = (Arc::clone(&self.shared), self.address.clone());
        Probe::new(move || {
            let state = shared.lock();
            match (&state.link, state.denied()) {
                (Link::Up { .. }, None) => Ok(()),
                (Link::Down(fault), _) => Err(fault.error(&address)),
                (Link::Up { .. }, Some(denied)) => Err(denied.error(&address)),
                (Link::Connecting, _) => Err(unreachable(&address, "still connecting")),
            }
        })
    }

    fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    fn mark(&self) -> Mark {
        let state = self.shared.lock();
        Mark {
            connection: state.connections,
            published: state.published,
        }
    }

    fn has_taken(&self, mark: Mark) -> bool {
        let state = self.shared.lock();
        state.connections != mark.connection || state.acknowledged >= mark.published
    }
}

fn properties(message: &Message) -> Option<PublishProperties> {
    let checksum = message.checksum.map(|sum| (CHECKSUM.to_owned(), format!("{sum:08x}")));
    let any = checksum.is_some() || message.response_topic.is_some() || message.correlation.is_some();
    any.then(|| PublishProperties {
        response_topic: message.response_topic.clone(),
        correlation_data: message.correlation.clone().map(Bytes::from),
        user_properties: checksum.into_iter().collect(),
        ..PublishProperties::default()
    })
}

impl Drop for MqttBroker {
    /// Sends what was handed over, says goodbye (so that no last will is sent) and ends the thread.
    fn drop(&mut self) {
        let until = Instant::now() + CLOSE_WAIT;
        let mut state = self.shared.lock();
        state.closing = true;
        let mut asked = false;
        while let (Link::Up { client, .. }, true) = (&state.link, Instant::now() < until) {
            asked = asked || client.try_disconnect().is_ok();
            state = self.shared.wait(state, Duration::from_millis(50));
        }
        drop(state);
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
        {
            let _ended = thread.join();
        }
    }
}
