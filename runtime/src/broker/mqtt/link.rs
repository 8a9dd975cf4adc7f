//! The thread that drives the socket.
//!
//! Owns: connecting again, waiting between tries, what ended a connection. Must not know: what payloads mean.
//! Start at [`run`]. Each connection ([`connection`]) has an event loop of its own, so nothing of the last one can haunt
//! the next.

mod connection;

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};

use super::config::MqttConfig;
use super::shared::{DENIED_WAIT, Fault, Link, Shared};
use super::tls;
use crate::broker::backoff::{Backoff, spread};
use crate::broker::{DeliveryToken, Message};
use connection::Connection;

/// Bytes of a PUBLISH packet besides topic and payload, generously: headers, packet id, properties.
const PACKET_OVERHEAD_BYTES: usize = 1024;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Bytes of a message's packet, at most.
pub(super) fn packet_bytes(message: &Message) -> usize {
    message.payload.len() + message.topic.len() + PACKET_OVERHEAD_BYTES
}

/// The delivery's epoch and packet id; packet 0 is a QoS 0 message, which has no acknowledgement.
pub(super) fn split(token: DeliveryToken) -> (u64, u16) {
    (token.0 >> 16, u16::try_from(token.0 & 0xFFFF).unwrap_or(0))
}

/// Connects again and again until told to close.
pub(super) fn run(config: &MqttConfig, shared: &Shared) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => {
            shared.lock().link = Link::Down(Fault::Unreachable(format!("no event loop: {why}")));
            shared.changed.notify_all();
            return;
        }
    };
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut was_up = true;
    loop {
        let before = shared.lock().epoch;
        let fault = match Connection::new(config, shared) {
            Ok(connection) => runtime.block_on(connection.serve()),
            Err(fault) => fault,
        };
        if shared.lock().epoch != before {
            backoff.reset();
            was_up = true;
        }
        let wait = match &fault {
            Fault::Unauthorised(_) => DENIED_WAIT + spread(DENIED_WAIT / 4),
            Fault::Unreachable(_) => backoff.next_wait(),
        };
        if take_down(config, shared, fault, wait, was_up) {
            return;
        }
        was_up = false;
    }
}

/// Shows the fault to callers and waits; true when the caller wants no more.
fn take_down(config: &MqttConfig, shared: &Shared, fault: Fault, wait: Duration, was_up: bool) -> bool {
    let mut state = shared.lock();
    if !state.closing {
        let (code, why) = match &fault {
            Fault::Unreachable(why) => (40, why),
            Fault::Unauthorised(why) => (41, why),
        };
        let broker = config.url.address();
        let retry_ms = wait.as_millis();
        if was_up || code == 41 {
            log::warn!("event=broker_lost broker={broker} code={code} retry_ms={retry_ms} why={why:?}");
        } else {
            log::debug!("event=broker_retry broker={broker} code={code} retry_ms={retry_ms} why={why:?}");
        }
    }
    state.link = Link::Down(fault);
    // The broker delivers them again on the next connection, or their sender does.
    state.deliveries.clear();
    shared.changed.notify_all();
    let until = Instant::now() + wait;
    while !state.closing {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            state.link = match std::mem::take(&mut state.link) {
                // Callers keep seeing the last fault until there is an answer.
                down @ Link::Down(_) => down,
                _ => Link::Connecting,
            };
            return false;
        }
        state = shared.wait(state, left);
    }
    true
}

/// What ended a connection, in our words.
fn fault(error: &ConnectionError) -> Fault {
    use ConnectReturnCode as Code;
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => match code {
            Code::BadUserNamePassword | Code::NotAuthorized | Code::Banned | Code::BadAuthenticationMethod => {
                Fault::Unauthorised(format!("connection refused: {code:?}"))
            }
            other => Fault::Unreachable(format!("connection refused: {other:?}")),
        },
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => match reason_code {
            DisconnectReasonCode::NotAuthorized | DisconnectReasonCode::AdministrativeAction => {
                Fault::Unauthorised(format!("disconnected: {reason_code:?}"))
            }
            DisconnectReasonCode::SessionTakenOver => Fault::Unreachable(
                "another client with the same id has connected: give each stage a name of its own (--device)"
                    .to_owned(),
            ),
            other => Fault::Unreachable(format!("disconnected: {other:?}")),
        },
        ConnectionError::Timeout(_) => Fault::Unreachable("no answer in time".to_owned()),
        other => {
            // The kind of a TLS error is lost within rumqttc's; its text, which has the kind's name, is not.
            let why = other.to_string();
            tls::refusal(&format!("{why} {other:?}")).map_or(Fault::Unreachable(why), Fault::Unauthorised)
        }
    }
}
