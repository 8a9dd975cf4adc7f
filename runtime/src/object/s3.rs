//! An S3-compatible object store (MinIO, Garage, SeaweedFS, AWS, …).
//!
//! Owns: requests, their signatures, retries and time-outs. Must not know: frames.
//! Requests are signed in their URL (AWS Signature Version 4, query form), so a location that is handed on works for
//! readers without keys, for [`PRESIGNED_FOR`].

mod tls;

use std::time::Duration;

use kerf_wire::Digest;
use kerf_wire::limits::MAX_LOCATION_BYTES;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::{MAX_BODY_BYTES, ObjectError, ObjectStore, checked};
use crate::broker::backoff::Backoff;
use tls::secured;

/// How long a location can be read without keys.
pub const PRESIGNED_FOR: Duration = Duration::from_hours(24);
/// How long our own signed requests are valid; clocks may differ by less.
const SIGNED_FOR: Duration = Duration::from_mins(15);
/// Tries of one request; a store that restarts is back within their waits, or the frame is sent again later.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte of a request to the last of its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest error document that is read, bytes.
const MAX_ERROR_BYTES: u64 = 16 * 1024;

/// Where the store is and who we are there.
#[derive(Clone)]
pub struct S3Config {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// The region, as the store wants it in signatures.
    pub region: String,
    /// The bucket in the host's name instead of the path.
    pub virtual_host: bool,
    /// Access key and secret key; none for a reader that gets presigned locations.
    pub keys: Option<(String, String)>,
    /// Certificate authorities, PEM; the system's where none.
    pub ca: Option<Vec<u8>>,
    /// Give readers presigned locations, so that they need no keys.
    pub presign: bool,
}

impl std::fmt::Debug for S3Config {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3Config({}, bucket {})", self.endpoint, self.bucket)
    }
}

/// A bucket.
pub struct S3Store {
    agent: ureq::Agent,
    bucket: Bucket,
    credentials: Option<Credentials>,
    presign: bool,
    name: String,
}

/// A setting that cannot work.
#[derive(Debug, thiserror::Error)]
#[error("object store {endpoint}: {why}")]
pub struct BadStore {
    endpoint: String,
    why: String,
}

impl S3Store {
    /// A store; nothing is sent yet.
    ///
    /// # Errors
    /// When the endpoint is no URL, or wants TLS and this program has none.
    pub fn new(config: S3Config) -> Result<Self, BadStore> {
        let bad = |why: String| BadStore {
            endpoint: config.endpoint.clone(),
            why,
        };
        let endpoint = config
            .endpoint
            .parse()
            .map_err(|_| bad("expected http(s)://HOST[:PORT]".to_owned()))?;
        let style = if config.virtual_host {
            UrlStyle::VirtualHost
        } else {
            UrlStyle::Path
        };
        let bucket = Bucket::new(endpoint, style, config.bucket.clone(), config.region.clone());
        let bucket = bucket.map_err(|why| bad(why.to_string()))?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .no_delay(true)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT));
        let agent = secured(agent, &config).map_err(bad)?;
        Ok(Self {
            agent,
            bucket,
            credentials: config.keys.map(|(key, secret)| Credentials::new(key, secret)),
            presign: config.presign,
            name: format!("{}/{}", config.endpoint, config.bucket),
        })
    }

    /// Asks for the bucket where we have keys: reachable, there, and ours?
    ///
    /// # Errors
    /// When it is not.
    pub fn check_keys(&mut self) -> Result<(), ObjectError> {
        if self.credentials.is_none() {
            return Ok(());
        }
        let url = self.bucket.head_bucket(self.credentials.as_ref()).sign(SIGNED_FOR);
        let answer = self.retried(|agent| agent.head(url.as_str()).call());
        self.ok(answer, None).map(drop)
    }

    fn key(digest: &Digest) -> String {
        format!("frames/{digest}")
    }

    /// Tries again what may pass: no connection, 5xx, 429.
    fn retried(
        &self,
        mut request: impl FnMut(&ureq::Agent) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        for _ in 1..TRIES {
            match request(&self.agent) {
                Ok(answer) if answer.status().is_server_error() || answer.status() == 429 => {
                    log::debug!(
                        "event=store_retry store={} status={}",
                        self.name,
                        answer.status().as_u16()
                    );
                }
                Err(why) => log::debug!("event=store_retry store={} why={:?}", self.name, reason(&why)),
                answered => return answered,
            }
            std::thread::sleep(backoff.next_wait());
        }
        request(&self.agent)
    }

    fn ok(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        digest: Option<&Digest>,
    ) -> Result<ureq::http::Response<ureq::Body>, ObjectError> {
        let store = self.name.clone();
        let mut answer = answer.map_err(|why| ObjectError::Unreachable {
            store: store.clone(),
            why: reason(&why),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.body_mut().with_config().limit(MAX_ERROR_BYTES).read_to_string();
        let code = error_code(&body.unwrap_or_default());
        let why = format!("status {}{code}", status.as_u16());
        Err(match (status.as_u16(), digest) {
            (401 | 403, _) => ObjectError::Unauthorised { store, why },
            (404, Some(digest)) => ObjectError::Missing(*digest),
            _ => ObjectError::Unreachable { store, why },
        })
    }

    fn presigned(&self, digest: &Digest) -> Result<String, ObjectError> {
        if !self.presign {
            return Ok(String::new());
        }
        let key = Self::key(digest);
        let url = self
            .bucket
            .get_object(self.credentials.as_ref(), &key)
            .sign(PRESIGNED_FOR);
        if url.as_str().len() > MAX_LOCATION_BYTES {
            return Err(ObjectError::Unreachable {
                store: self.name.clone(),
                why: format!("its presigned URLs are longer than {MAX_LOCATION_BYTES} bytes"),
            });
        }
        Ok(url.to_string())
    }

    /// The URL to read from: a location that was given, as far as it is in our own store, else our own signature.
    fn readable(&self, digest: &Digest, location: &str) -> String {
        let key = Self::key(digest);
        let ours = self.bucket.object_url(&key);
        let given = location.split_once('?').map_or(location, |(before, _)| before);
        if self.credentials.is_none() && given == ours.as_str() {
            // A reference cannot send us to another host: only to the one object of our bucket that it names.
            return location.to_owned();
        }
        let action = self.bucket.get_object(self.credentials.as_ref(), &key);
        action.sign(SIGNED_FOR).to_string()
    }
}

impl ObjectStore for S3Store {
    fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
        let key = Self::key(digest);
        let url = self.bucket.put_object(self.credentials.as_ref(), &key).sign(SIGNED_FOR);
        let answer = self.retried(|agent| agent.put(url.as_str()).send(body));
        self.ok(answer, None)?;
        self.presigned(digest)
    }

    fn fetch(&mut self, digest: &Digest, bytes: u64, location: &str) -> Result<Vec<u8>, ObjectError> {
        if bytes > MAX_BODY_BYTES {
            return Err(ObjectError::TooLarge {
                digest: *digest,
                got: bytes,
            });
        }
        let url = self.readable(digest, location);
        let answer = self.retried(|agent| agent.get(&url).call());
        let mut answer = self.ok(answer, Some(digest))?;
        // One byte more than expected tells a longer object from the right one.
        let body = answer.body_mut().with_config().limit(bytes + 1).read_to_vec();
        let body = body.map_err(|why| match why {
            ureq::Error::BodyExceedsLimit(_) => ObjectError::Damaged {
                digest: *digest,
                what: format!("expected {bytes} bytes, got more"),
            },
            why => ObjectError::Unreachable {
                store: self.name.clone(),
                why: reason(&why),
            },
        })?;
        checked(digest, bytes, body)
    }

    fn remove(&mut self, digest: &Digest) -> Result<(), ObjectError> {
        let key = Self::key(digest);
        let url = self
            .bucket
            .delete_object(self.credentials.as_ref(), &key)
            .sign(SIGNED_FOR);
        let answer = self.retried(|agent| agent.delete(url.as_str()).call());
        match self.ok(answer, Some(digest)) {
            Err(ObjectError::Missing(_)) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// An error without its URL: the query holds a signature.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "bad URL".to_owned(),
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
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    fn store(keys: Option<(String, String)>) -> S3Store {
        let config = S3Config {
            endpoint: "http://127.0.0.1:9".to_owned(),
            bucket: "kerf".to_owned(),
            region: "us-east-1".to_owned(),
            virtual_host: false,
            keys,
            ca: None,
            presign: true,
        };
        S3Store::new(config).unwrap()
    }

    #[test]
    fn a_reference_cannot_send_a_reader_to_another_host() {
        let reader = store(None);
        let digest = Digest([3; 32]);
        let ours = format!("http://127.0.0.1:9/kerf/frames/{digest}?X-Amz-Signature=1");
        assert_eq!(reader.readable(&digest, &ours), ours);
        for elsewhere in [
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "http://127.0.0.1:9/kerf/frames/other?X-Amz-Signature=1",
        ] {
            let url = reader.readable(&digest, elsewhere);
            assert!(
                url.starts_with(&format!("http://127.0.0.1:9/kerf/frames/{digest}")),
                "{url}"
            );
        }
    }

    #[test]
    fn a_presigned_location_fits_into_a_reference_and_holds_no_secret() {
        let secret = "canary-secret-key-of-40-characters-000000";
        let store = store(Some(("key".to_owned(), secret.to_owned())));
        let url = store.presigned(&Digest([3; 32])).unwrap();
        assert!(
            url.len() <= MAX_LOCATION_BYTES && url.contains("X-Amz-Signature"),
            "{url}"
        );
        assert!(!url.contains(secret), "{url}");
    }

    #[test]
    fn an_error_document_gives_its_code_and_nothing_else() {
        assert_eq!(error_code("<Error><Code>NoSuchKey</Code></Error>"), ": NoSuchKey");
        assert_eq!(error_code("<Error><Code>not a\ncode</Code></Error>"), "");
        assert_eq!(error_code(""), "");
    }
}
