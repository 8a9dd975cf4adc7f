//! TLS to the broker: rustls with ring.
//!
//! Owns: certificates to a transport, and telling a refused certificate from a dead line. Must not know: packets.

use rumqttc::Transport;

/// Certificates, PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificate authorities that the broker's certificate may come from; the system's where none.
    pub ca: Option<Vec<u8>>,
    /// Our certificate chain and its key, where the broker asks for them.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for TlsConfig {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (ca, identity) = (self.ca.is_some(), self.identity.is_some());
        write!(f, "TlsConfig(ca: {ca}, identity: {identity})")
    }
}

/// The transport; why there is none, in words for the log.
#[cfg(feature = "tls")]
pub(super) fn transport(config: &TlsConfig) -> Result<Transport, String> {
    // The first call decides for the process; later ones find the same provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    match &config.ca {
        Some(ca) => Ok(Transport::tls(ca.clone(), config.identity.clone(), None)),
        None if config.identity.is_some() => Err("a client certificate needs the broker's CA as well".to_owned()),
        None => Ok(Transport::tls_with_default_config()),
    }
}

/// The transport; why there is none, in words for the log.
#[cfg(not(feature = "tls"))]
pub(super) fn transport(_config: &TlsConfig) -> Result<Transport, String> {
    Err("mqtts needs a program built with the feature tls".to_owned())
}

/// What TLS said against one of the two sides, where this error is about that.
pub(super) fn refusal(error: &str) -> Option<String> {
    let lower = error.to_lowercase();
    if lower.contains("notvalidyet") || lower.contains("not valid yet") {
        return Some(format!(
            "certificate not valid yet, is this machine's clock right? {error}"
        ));
    }
    let words = [
        "certificate",
        "unknownissuer",
        "accessdenied",
        "unknownca",
        "handshakefailure",
    ];
    words.iter().any(|word| lower.contains(word)).then(|| error.to_owned())
}
