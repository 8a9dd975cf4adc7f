//! Requests: signed in, bounded in time, tried again where that is safe.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use ureq::http::{Method, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::credentials::read_text;
use super::{Credentials, FIRST_PAUSE, MAX_ANSWER_BYTES, MAX_TRIES, OscarError, Secret};

/// How to reach a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// `https://host[:port]`, without a path.
    pub endpoint: String,
    /// Trust this authority (PEM) instead of the public ones.
    pub ca: Option<PathBuf>,
    /// Trust any certificate: for a cluster on the desk.
    pub insecure: bool,
    /// Bound on one request.
    pub timeout: Duration,
}

/// A connection to one cluster.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    endpoint: String,
    credentials: Credentials,
}

/// What a request may carry.
pub(super) enum Payload<'a> {
    None,
    Json(&'a serde_json::Value),
    Bytes(&'a [u8], &'static str),
}

/// Who a request is made by.
pub(super) enum By<'a> {
    /// Us.
    User,
    /// The holder of a service's token.
    Service(&'a Secret),
    /// Nobody: a presigned address says it all.
    Nobody,
}

impl Client {
    /// Sets a client up; nothing is sent yet.
    ///
    /// # Errors
    /// When the endpoint is no http(s) address or the CA file cannot be used.
    pub fn connect(options: &Options, credentials: Credentials) -> Result<Self, OscarError> {
        let endpoint = options.endpoint.trim_end_matches('/').to_owned();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            let text = format!("endpoint {endpoint:?} is not https://… or http://…");
            return Err(OscarError::Setting(text));
        }
        if endpoint.starts_with("http://") {
            log::warn!("{endpoint} is not encrypted: credentials and inputs can be read on the way");
        }
        if options.insecure {
            log::warn!("the certificate of {endpoint} is not checked: anyone on the way can pose as it");
        }
        let mut tls = TlsConfig::builder().disable_verification(options.insecure);
        if let Some(file) = &options.ca {
            tls = tls.root_certs(authority(file)?);
        }
        let config = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .timeout_connect(Some(options.timeout.min(Duration::from_secs(10))))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("kerf/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build());
        Ok(Self {
            agent: config.build().new_agent(),
            endpoint,
            credentials,
        })
    }

    /// A request to the manager whose answer is JSON.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        payload: &Payload<'_>,
    ) -> Result<T, OscarError> {
        let body = self.send(method, path, payload, &By::User)?;
        serde_json::from_slice(&body).map_err(|why| OscarError::Answer {
            what: format!("{method} {path}"),
            why: why.to_string(),
        })
    }

    /// A request to the manager; gives the answer's body.
    pub(super) fn send(
        &self,
        method: &Method,
        path: &str,
        payload: &Payload<'_>,
        by: &By<'_>,
    ) -> Result<Vec<u8>, OscarError> {
        let url = format!("{}{path}", self.endpoint);
        let (status, body) = self.exchange(method, &url, payload, by, &[])?;
        let text = || {
            String::from_utf8_lossy(&body)
                .trim()
                .chars()
                .take(500)
                .collect::<String>()
        };
        match status {
            200..=299 => Ok(body),
            401 | 403 => Err(OscarError::Unauthorised {
                endpoint: self.endpoint.clone(),
                status,
                text: text(),
            }),
            404 => Err(OscarError::Missing {
                what: path.trim_start_matches("/system/").to_owned(),
            }),
            _ => Err(OscarError::Status {
                what: format!("{method} {path}"),
                status,
                text: text(),
            }),
        }
    }

    /// One request to any address, tried again after 429, 5xx and lost connections where repeating it does no harm.
    pub(super) fn exchange(
        &self,
        method: &Method,
        url: &str,
        payload: &Payload<'_>,
        by: &By<'_>,
        headers: &[(&str, &str)],
    ) -> Result<(u16, Vec<u8>), OscarError> {
        // POST starts a job: a second one would run it twice.
        let repeatable = *method != Method::POST;
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let outcome = self.try_once(method, url, payload, by, headers);
            let again = match &outcome {
                Ok((status, _)) => *status == 429 || (*status >= 500 && *status != 501),
                Err(why) => !matches!(why, ureq::Error::Tls(_) | ureq::Error::Rustls(_)),
            };
            // A connection that was never made carried nothing: safe for POST as well.
            let unsent = matches!(&outcome, Err(ureq::Error::ConnectionFailed | ureq::Error::HostNotFound));
            if !again || attempt == MAX_TRIES || !(repeatable || unsent) {
                return outcome.map_err(|why| OscarError::Unreachable {
                    endpoint: self.endpoint.clone(),
                    why: why.to_string(),
                });
            }
            log::info!(
                "event=oscar-retry method={method} attempt={attempt} pause_ms={}",
                pause.as_millis()
            );
            std::thread::sleep(pause);
            pause *= 2;
            attempt += 1;
        }
    }

    fn try_once(
        &self,
        method: &Method,
        url: &str,
        payload: &Payload<'_>,
        by: &By<'_>,
        headers: &[(&str, &str)],
    ) -> Result<(u16, Vec<u8>), ureq::Error> {
        let mut request = Request::builder().method(method.clone()).uri(url);
        request = match (by, &self.credentials) {
            (By::Nobody, _) => request,
            (By::Service(token), _) => request.header("authorization", format!("Bearer {}", token.reveal())),
            (By::User, Credentials::Bearer(token)) => {
                request.header("authorization", format!("Bearer {}", token.reveal()))
            }
            (By::User, Credentials::Basic { user, password }) => {
                let pair = BASE64.encode(format!("{user}:{}", password.reveal()));
                request.header("authorization", format!("Basic {pair}"))
            }
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match payload {
            Payload::None => self.agent.run(request.body(())?),
            Payload::Json(value) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(value.to_string())?)
            }
            Payload::Bytes(bytes, kind) => self.agent.run(request.header("content-type", *kind).body(*bytes)?),
        };
        read(response?)
    }
}

fn read(mut response: Response<Body>) -> Result<(u16, Vec<u8>), ureq::Error> {
    let status = response.status().as_u16();
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER_BYTES)
        .read_to_vec()?;
    Ok((status, body))
}

fn authority(file: &std::path::Path) -> Result<RootCerts, OscarError> {
    let refused = |why: String| OscarError::File {
        file: file.display().to_string(),
        why,
    };
    let text = read_text(file)?;
    let mut certificates = Vec::new();
    for item in parse_pem(text.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.map_err(|why| refused(why.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(refused("no certificate in PEM form in it".to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}
