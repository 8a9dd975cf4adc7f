//! The store's HTTP client, with TLS where this program has it.
//!
//! Owns: which certificate authorities are trusted. Must not know: requests.

use super::S3Config;

type Builder = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

#[cfg(feature = "tls")]
pub(super) fn secured(builder: Builder, config: &S3Config) -> Result<ureq::Agent, String> {
    use std::sync::Arc;

    use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

    let mut tls =
        TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    if let Some(pem) = &config.ca {
        let certificates: Vec<Certificate<'static>> = parse_pem(pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err("no certificate in the CA file".to_owned());
        }
        tls = tls.root_certs(RootCerts::from(certificates));
    } else if config.endpoint.starts_with("https:") {
        return Err("https needs the store's certificate authority (--store-ca FILE)".to_owned());
    }
    Ok(builder.tls_config(tls.build()).build().into())
}

#[cfg(not(feature = "tls"))]
pub(super) fn secured(builder: Builder, config: &S3Config) -> Result<ureq::Agent, String> {
    if config.endpoint.starts_with("https:") {
        return Err("https needs a program built with the feature tls".to_owned());
    }
    Ok(builder.build().into())
}
