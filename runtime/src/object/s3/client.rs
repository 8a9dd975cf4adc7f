//! Sending one request: time-outs, retries, and what an answer means.
//!
//! Owns: the HTTP client. Must not know: what is asked for.

use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::{Agent, Body, Error};

use super::S3Config;
use super::tls::secured;
use crate::broker::backoff::Backoff;
use crate::object::ObjectError;

/// Tries of one request; a store that restarts is back within their waits, or its caller tries again later.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No request takes longer, however steadily its bytes drip.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(15);
/// Longest error document that is read, bytes.
const MAX_ERROR_BYTES: u64 = 16 * 1024;

/// Codes that are about who asks, whatever the status: stores answer some with 400.
const REFUSALS: [&str; 5] = [
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// The way to one store.
pub(super) struct Client {
    agent: Agent,
    name: String,
    patience: Duration,
}

impl Client {
    pub(super) fn new(config: &S3Config, name: String) -> Result<Self, String> {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .no_delay(true)
            .timeout_connect(Some(CONNECT_TIMEOUT.min(config.patience)))
            // Silence ends a request, and not its length: a slow uplink may take minutes for a large body.
            .timeout_per_read(Some(config.patience))
            .timeout_per_write(Some(config.patience))
            .timeout_global(Some(REQUEST_TIMEOUT));
        Ok(Self {
            agent: secured(agent, config)?,
            name,
            patience: config.patience,
        })
    }

    /// Endpoint and bucket, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a request until it is answered; tries again what may pass: no connection, 5xx, 429.
    pub(super) fn send(
        &self,
        missing: impl FnOnce() -> ObjectError,
        mut request: impl FnMut(&Agent) -> Result<Response<Body>, Error>,
    ) -> Result<Response<Body>, ObjectError> {
        let begun = Instant::now();
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        for _ in 1..TRIES {
            let answer = request(&self.agent);
            let why = match &answer {
                Ok(answer) if answer.status().is_server_error() || answer.status() == 429 => {
                    answer.status().to_string()
                }
                Ok(_) => return self.judged(answer, missing),
                Err(why) => reason(why),
            };
            if begun.elapsed() >= self.patience {
                return self.judged(answer, missing);
            }
            log::debug!("event=store_retry store={} why={why:?}", self.name);
            std::thread::sleep(backoff.next_wait());
        }
        self.judged(request(&self.agent), missing)
    }

    fn judged(
        &self,
        answer: Result<Response<Body>, Error>,
        missing: impl FnOnce() -> ObjectError,
    ) -> Result<Response<Body>, ObjectError> {
        let mut answer = answer.map_err(|why| self.unreachable(reason(&why)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.body_mut().with_config().limit(MAX_ERROR_BYTES).read_to_string();
        let code = error_code(&body.unwrap_or_default());
        let denied = REFUSALS.contains(&code.trim_start_matches(": "));
        let why = format!("status {}{code}", status.as_u16());
        Err(match status.as_u16() {
            401 | 403 => self.unauthorised(why),
            400..500 if denied => self.unauthorised(why),
            404 => missing(),
            _ => self.unreachable(why),
        })
    }

    /// An answer's body; none where it is longer than `limit` bytes.
    pub(super) fn body(&self, mut answer: Response<Body>, limit: u64) -> Result<Option<Vec<u8>>, ObjectError> {
        match answer.body_mut().with_config().limit(limit).read_to_vec() {
            Ok(body) => Ok(Some(body)),
            Err(Error::BodyExceedsLimit(_)) => Ok(None),
            Err(why) => Err(self.unreachable(reason(&why))),
        }
    }

    fn unauthorised(&self, why: String) -> ObjectError {
        let store = self.name.clone();
        ObjectError::Unauthorised { store, why }
    }

    pub(super) fn unreachable(&self, why: impl Into<String>) -> ObjectError {
        ObjectError::Unreachable {
            store: self.name.clone(),
            why: why.into(),
        }
    }
}

/// An error without its URL: the query holds a signature.
fn reason(error: &Error) -> String {
    match error {
        Error::BadUri(_) => "bad URL".to_owned(),
        other => other.to_string(),
    }
}

/// `: Code` of an S3 error document.
fn error_code(document: &str) -> String {
    let code = document
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    let plain = |text: &&str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    code.map(|(code, _)| code)
        .filter(plain)
        .map(|code| format!(": {code}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_document_gives_its_code_and_nothing_else() {
        assert_eq!(error_code("<Error><Code>NoSuchKey</Code></Error>"), ": NoSuchKey");
        assert_eq!(error_code("<Error><Code>not a\ncode</Code></Error>"), "");
        assert_eq!(error_code(""), "");
    }
}
