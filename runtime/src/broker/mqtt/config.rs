//! Settings of an MQTT connection.
//!
//! Owns: what can be set and its bounds. Must not know: sockets.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::tls::TlsConfig;
use crate::broker::Message;

/// Unacknowledged deliveries that the broker may have out to us: the bound of memory and the grain of sharing.
pub(super) const RECEIVE_MAX: u16 = 16;
/// Unacknowledged messages that we may have out to the broker.
pub(super) const INFLIGHT_MAX: u16 = 32;

/// How to reach a broker and behave there.
#[derive(Debug, Clone)]
pub struct MqttConfig {
    /// Where it is.
    pub url: BrokerUrl,
    /// Unique on the broker: a second client of the same id throws the first out.
    pub client_id: String,
    /// User and password, where the broker wants them.
    pub credentials: Option<Credentials>,
    /// Certificates for `mqtts://`.
    pub tls: TlsConfig,
    /// The connection counts as dead after 1.5 × this without a byte.
    pub keep_alive: Duration,
    /// From the first packet to the broker's answer.
    pub connect_timeout: Duration,
    /// Largest message that we take, bytes.
    pub packet_bytes_max: u32,
    /// Unacknowledged deliveries that the broker may have out to us.
    pub receive_max: u16,
    /// Published by the broker when we vanish.
    pub will: Option<Message>,
    /// Published by us on each connection.
    pub birth: Option<Message>,
}

impl MqttConfig {
    /// Largest message taken from the broker unless configured, bytes.
    pub const PACKET_BYTES_MAX: u32 = 8 * 1024 * 1024 + 64 * 1024;

    /// The usual settings.
    pub fn new(url: BrokerUrl, client_id: impl Into<String>) -> Self {
        Self {
            url,
            client_id: client_id.into(),
            credentials: None,
            tls: TlsConfig::default(),
            keep_alive: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(4),
            packet_bytes_max: Self::PACKET_BYTES_MAX,
            receive_max: RECEIVE_MAX,
            will: None,
            birth: None,
        }
    }
}

/// A user and a password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, …)", self.user)
    }
}

/// `mqtt://HOST[:PORT]` or `mqtts://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// With TLS.
    pub tls: bool,
}

/// A broker's URL that is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("broker {url:?}: {why}")]
pub struct BadUrl {
    url: String,
    why: &'static str,
}

impl BrokerUrl {
    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl FromStr for BrokerUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let refuse = |why| BadUrl {
            // A password in the URL must not come back in the error.
            url: text.rsplit('@').next().unwrap_or_default().to_owned(),
            why,
        };
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(refuse("expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")),
        };
        if rest.contains('@') {
            return Err(refuse(
                "user and password do not belong in the URL, every process can read it: use a password file or the environment",
            ));
        }
        let (host, port) = split_port(rest.trim_end_matches('/')).ok_or_else(|| refuse("the port is no number"))?;
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err(refuse("expected a host name or address, and no path"));
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(if tls { 8883 } else { 1883 }),
            tls,
        })
    }
}

/// Host and port of `host`, `host:port`, `[::1]` and `[::1]:port`.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if rest.is_empty() => None,
            None => return None,
        };
        return Some((host, port));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    #[test]
    fn urls_give_host_port_and_tls() {
        let cases = [
            ("mqtt://broker", "broker", 1883, false),
            ("mqtts://broker/", "broker", 8883, true),
            ("mqtt://10.0.0.1:1884", "10.0.0.1", 1884, false),
            ("mqtt://[::1]:1884", "::1", 1884, false),
        ];
        for (url, host, port, tls) in cases {
            let parsed: BrokerUrl = url.parse().unwrap();
            assert_eq!(
                (parsed.host.as_str(), parsed.port, parsed.tls),
                (host, port, tls),
                "{url}"
            );
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let error = "mqtt://me:canary@broker".parse::<BrokerUrl>().unwrap_err().to_string();
        assert!(error.contains("password file"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in [
            "broker:1883",
            "http://broker",
            "mqtt://",
            "mqtt://h:port",
            "mqtt://h/path",
            "mqtt://[::1]x",
        ] {
            assert!(bad.parse::<BrokerUrl>().is_err(), "{bad} was taken");
        }
    }
}
