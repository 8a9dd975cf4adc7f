//! One connection to the broker, from its first packet to its end.
//!
//! Owns: the event loop of one connection, what it does with each packet, noticing a dead peer. Must not know: what comes
//! after its end. Start at [`Connection::serve`].

use std::time::{Duration, Instant};

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Filter, LastWill, Packet, PubAckReason, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

use super::{fault, packet_bytes};
use crate::broker::mqtt::config::{INFLIGHT_MAX, MqttConfig};
use crate::broker::mqtt::properties;
use crate::broker::mqtt::shared::{DENIED_WAIT, Fault, Link, Shared};
use crate::broker::mqtt::tls;
use crate::broker::{CHECKSUM, Delivery, DeliveryToken, Message};

/// Requests that may wait in rumqttc: what waits there is lost with the connection.
const CHANNEL_CAPACITY: usize = 1;
/// Most deliveries that may wait to be taken.
const MAX_WAITING: usize = 1024;
/// Most bytes that may wait, in largest packets.
const WAITING_PACKETS: usize = 4;
/// rumqttc takes no shorter keep-alive.
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// One connection, from its first packet to its end.
pub(super) struct Connection<'a> {
    config: &'a MqttConfig,
    shared: &'a Shared,
    client: AsyncClient,
    events: EventLoop,
    heard: Instant,
}

impl<'a> Connection<'a> {
    pub(super) fn new(config: &'a MqttConfig, shared: &'a Shared) -> Result<Self, Fault> {
        let mut options = options(config);
        if config.url.tls {
            options.set_transport(tls::transport(&config.tls).map_err(Fault::Unauthorised)?);
        }
        let (client, mut events) = AsyncClient::new(options, CHANNEL_CAPACITY);
        let mut network = rumqttc::NetworkOptions::new();
        // Without it each message waits up to 40 ms for the peer's delayed TCP acknowledgement.
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(config.connect_timeout.as_secs().max(1));
        events.options.set_network_options(network);
        Ok(Self {
            config,
            shared,
            client,
            events,
            heard: Instant::now(),
        })
    }

    /// Runs until the connection ends; gives why.
    pub(super) async fn serve(mut self) -> Fault {
        loop {
            let event = match self.next().await {
                Ok(event) => event,
                Err(fault) => return fault,
            };
            let outcome = match event {
                Event::Incoming(packet) => {
                    self.heard = Instant::now();
                    self.incoming(packet)
                }
                Event::Outgoing(Outgoing::Disconnect) => return Fault::Unreachable("closed".to_owned()),
                Event::Outgoing(sent) => {
                    if sent == Outgoing::PingReq {
                        // rumqttc ends a connection whose ping is unanswered at the next one, also where it waits behind
                        // a large message on a slow line. Silence is judged in `next`.
                        self.events.state.await_pingresp = false;
                    }
                    // The slot is free again.
                    drop(self.shared.lock());
                    self.shared.changed.notify_all();
                    Ok(())
                }
            };
            if let Err(fault) = outcome {
                return fault;
            }
        }
    }

    /// The next event, or a fault when the broker has been silent too long.
    async fn next(&mut self) -> Result<Event, Fault> {
        let silence = self.config.keep_alive.max(SHORTEST_KEEP_ALIVE) * 3 / 2;
        // Not dropped at a time-out: a packet that is half handed over to rumqttc would be lost.
        let mut poll = std::pin::pin!(self.events.poll());
        loop {
            let allowed = silence + self.shared.lock().sending_time();
            let until = tokio::time::Instant::from_std(self.heard + allowed);
            match tokio::time::timeout_at(until, &mut poll).await {
                Ok(Ok(event)) => return Ok(event),
                Ok(Err(why)) => return Err(fault(&why)),
                // What was handed over meanwhile may need its time.
                Err(_) if self.heard.elapsed() < silence + self.shared.lock().sending_time() => {}
                Err(_) => return Err(Fault::Unreachable(format!("nothing heard for {allowed:?}"))),
            }
        }
    }

    fn incoming(&mut self, packet: Packet) -> Result<(), Fault> {
        match packet {
            Packet::ConnAck(answer) => self.connected(&answer),
            Packet::SubAck(answer) => {
                let refused = answer
                    .return_codes
                    .iter()
                    .find(|c| !matches!(c, SubscribeReasonCode::Success(_)));
                if let Some(code) = refused {
                    return Err(Fault::Unauthorised(format!("a subscription was refused: {code:?}")));
                }
                self.granted()
            }
            Packet::Publish(publish) => self.delivered(publish),
            Packet::PubAck(answer) => {
                self.shared.lock().acknowledge();
                if answer.reason == PubAckReason::NotAuthorized {
                    self.denied();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn connected(&mut self, answer: &ConnAck) -> Result<(), Fault> {
        let limit = answer.properties.as_ref().and_then(|p| p.max_packet_size);
        let filters = {
            let mut state = self.shared.lock();
            state.epoch += 1;
            state.packet_bytes_max = limit.map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX));
            state.filters.clone()
        };
        if filters.is_empty() {
            return self.up();
        }
        let filters = filters.into_iter().map(|f| Filter::new(f, QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).map_err(|_| lost())
    }

    /// Subscriptions are granted: the first answer on a connection opens it to callers.
    fn granted(&mut self) -> Result<(), Fault> {
        let is_up = {
            let mut state = self.shared.lock();
            state.subscribed += 1;
            matches!(state.link, Link::Up { .. })
        };
        self.shared.changed.notify_all();
        if is_up { Ok(()) } else { self.up() }
    }

    fn up(&mut self) -> Result<(), Fault> {
        let birth = self.config.birth.as_ref();
        if birth.is_some_and(|birth| !publish_now(&self.client, birth)) {
            return Err(lost());
        }
        {
            let mut state = self.shared.lock();
            state.link = Link::Up {
                client: self.client.clone(),
            };
            state.connections += 1;
            state.published = 0;
            state.acknowledged = 0;
            state.outstanding.clear();
            if let Some(birth) = birth {
                state.handed_over(packet_bytes(birth));
            }
            state.woken = true;
        }
        log::info!("event=broker_up broker={}", self.config.url.address());
        self.shared.changed.notify_all();
        Ok(())
    }

    fn delivered(&mut self, publish: Publish) -> Result<(), Fault> {
        let Ok(topic) = String::from_utf8(publish.topic.to_vec()) else {
            return Err(Fault::Unreachable(
                "the broker sent a topic that is no UTF-8".to_owned(),
            ));
        };
        let mut state = self.shared.lock();
        // A broker should keep to our receive maximum at QoS 1, and not all do; QoS 0 knows no bound, and no promise.
        let waiting_bytes: usize = state.deliveries.iter().map(|d| d.message.payload.len()).sum();
        let room_bytes = usize::try_from(self.config.packet_bytes_max).unwrap_or(usize::MAX);
        let waiting = state.deliveries.len();
        let full = waiting >= MAX_WAITING || waiting_bytes / WAITING_PACKETS >= room_bytes;
        if full && publish.qos == QoS::AtMostOnce {
            log::warn!("event=dropped what=qos0_message topic={topic} waiting={waiting}");
            return Ok(());
        }
        if full {
            return Err(Fault::Unreachable(format!(
                "{waiting} deliveries wait, and the broker sends more than our receive maximum"
            )));
        }
        let properties = publish.properties.unwrap_or_default();
        let checksum = properties.user_properties.iter().find(|(name, _)| name == CHECKSUM);
        // One that is no number belongs to no payload.
        let checksum = checksum.map(|(_, sum)| u32::from_str_radix(sum, 16).unwrap_or_default());
        let token = DeliveryToken((state.epoch << 16) | u64::from(publish.pkid));
        state.deliveries.push_back(Delivery {
            message: Message {
                topic,
                payload: publish.payload,
                retain: publish.retain,
                response_topic: properties.response_topic,
                correlation: properties.correlation_data.map(|data| data.to_vec()),
                checksum,
            },
            token,
            at: Instant::now(),
        });
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn denied(&mut self) {
        let mut state = self.shared.lock();
        let fresh = state.denied().is_some();
        state.denied_at = Some(Instant::now());
        drop(state);
        if !fresh {
            let broker = self.config.url.address();
            let retry_ms = DENIED_WAIT.as_millis();
            log::error!("event=publish_denied broker={broker} code=41 retry_ms={retry_ms}");
        }
    }
}

fn lost() -> Fault {
    Fault::Unreachable("the connection took no request".to_owned())
}

/// Whether the connection took it.
fn publish_now(client: &AsyncClient, message: &Message) -> bool {
    let given = properties(message).unwrap_or_default();
    let (topic, payload) = (message.topic.clone(), message.payload.clone());
    let sent = client.try_publish_with_properties(topic, QoS::AtLeastOnce, message.retain, payload, given);
    sent.is_ok()
}

fn options(config: &MqttConfig) -> MqttOptions {
    let mut options = MqttOptions::new(&config.client_id, &config.url.host, config.url.port);
    options
        .set_clean_start(true)
        .set_keep_alive(config.keep_alive.max(SHORTEST_KEEP_ALIVE))
        .set_connection_timeout(config.connect_timeout.as_secs().max(1))
        .set_manual_acks(true)
        .set_max_packet_size(Some(config.packet_bytes_max))
        .set_receive_maximum(Some(config.receive_max))
        .set_outgoing_inflight_upper_limit(INFLIGHT_MAX);
    if let Some(login) = &config.credentials {
        options.set_credentials(&login.user, &login.password);
    }
    if let Some(will) = &config.will {
        let (topic, payload) = (will.topic.clone(), will.payload.to_vec());
        options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, will.retain, None));
    }
    options
}
