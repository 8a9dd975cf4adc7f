//! An S3-compatible object store (MinIO, Garage, SeaweedFS, AWS, …).
//!
//! Owns: which request does what, and signatures. Must not know: frames. Its rooms: `client` sends, with retries and
//! time-outs, `multipart` puts what is large, `folder` lists and moves objects by key, `grant` lets a board write without
//! keys, `tls` trusts.
//! Requests are signed in their URL (AWS Signature Version 4, query form), so a location that is handed on works for
//! readers without keys, for [`PRESIGNED_FOR`].

mod client;
mod folder;
mod grant;
mod multipart;
mod tls;

use std::time::Duration;

use kerf_wire::limits::MAX_LOCATION_BYTES;
use kerf_wire::{DeviceId, Digest};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::{MAX_BODY_BYTES, ObjectError, ObjectStore, checked};
use client::Client;
pub use grant::{Grant, GrantedStore, MAX_GRANT_HOURS, MAX_PLACES};

/// How long a location can be read without keys, unless configured.
pub const PRESIGNED_FOR: Duration = Duration::from_hours(24);
/// How long the store may be silent within one request, unless configured.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long our own signed requests are valid; clocks may differ by less.
const SIGNED_FOR: Duration = Duration::from_mins(15);

/// Where frames lie.
const FRAMES: &str = "frames/";

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
    /// Give readers locations that they can read for so long without keys.
    pub presign: Option<Duration>,
    /// How long the store may be silent within one request.
    pub patience: Duration,
}

impl std::fmt::Debug for S3Config {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3Config({}, bucket {})", self.endpoint, self.bucket)
    }
}

/// A bucket.
pub struct S3Store {
    client: Client,
    endpoint: String,
    bucket: Bucket,
    credentials: Option<Credentials>,
    presign: Option<Duration>,
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
        let name = format!("{}/{}", config.endpoint, config.bucket);
        Ok(Self {
            client: Client::new(&config, name).map_err(bad)?,
            endpoint: config.endpoint,
            bucket,
            credentials: config.keys.map(|(key, secret)| Credentials::new(key, secret)),
            presign: config.presign,
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
        let url = self.bucket.head_bucket(self.keys()).sign(SIGNED_FOR);
        let answer = self
            .client
            .send(|| self.no_bucket(), |agent| agent.head(url.as_str()).call());
        answer.map(drop)
    }

    fn no_bucket(&self) -> ObjectError {
        self.client.unreachable("no such bucket")
    }

    fn keys(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    fn key(digest: &Digest) -> String {
        format!("{FRAMES}{digest}")
    }

    fn presigned(&self, digest: &Digest) -> Result<String, ObjectError> {
        let Some(valid) = self.presign else {
            return Ok(String::new());
        };
        let key = Self::key(digest);
        let url = self.bucket.get_object(self.credentials.as_ref(), &key).sign(valid);
        if url.as_str().len() > MAX_LOCATION_BYTES {
            return Err(ObjectError::Unreachable {
                store: self.client.name().to_owned(),
                why: format!("its presigned URLs are longer than {MAX_LOCATION_BYTES} bytes"),
            });
        }
        Ok(url.to_string())
    }

    /// The URL to read from: a location that was given, as far as it is in our own store, else our own signature.
    fn readable(&self, digest: &Digest, location: &str) -> String {
        let own = Self::key(digest);
        let given = self.key_of(location).filter(|key| *key == own || is_place(key));
        if let Some(key) = given {
            if self.credentials.is_none() {
                // A reference cannot send us to another host, nor to an object that is no frame.
                return location.to_owned();
            }
            return self.signed(&key);
        }
        self.signed(&own)
    }

    fn signed(&self, key: &str) -> String {
        let action = self.bucket.get_object(self.credentials.as_ref(), key);
        action.sign(SIGNED_FOR).to_string()
    }

    /// The key of a location in our own bucket.
    fn key_of(&self, location: &str) -> Option<String> {
        let address = location.split_once('?').map_or(location, |(before, _)| before);
        let key = address.strip_prefix(self.bucket.object_url(FRAMES).as_str())?;
        Some(format!("{FRAMES}{key}"))
    }
}

/// True for `frames/DEVICE/NUMBER`, a place of a grant.
fn is_place(key: &str) -> bool {
    let place = key.strip_prefix(FRAMES).and_then(|place| place.split_once('/'));
    let number = |text: &str| !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    place.is_some_and(|(device, place)| DeviceId::new(device).is_ok() && number(place))
}

impl ObjectStore for S3Store {
    fn put(&mut self, digest: &Digest, body: &[u8]) -> Result<String, ObjectError> {
        self.put_key(&Self::key(digest), body)?;
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
        let missing = || ObjectError::Missing(*digest);
        let answer = self.client.send(missing, |agent| agent.get(&url).call())?;
        // One byte more than expected tells a longer object from the right one.
        let body = self.client.body(answer, bytes + 1)?;
        let damaged = |what| ObjectError::Damaged { digest: *digest, what };
        let body = body.ok_or_else(|| damaged(format!("expected {bytes} bytes, got more")))?;
        checked(digest, bytes, body)
    }

    fn remove(&mut self, digest: &Digest) -> Result<(), ObjectError> {
        self.remove_key(&Self::key(digest))
    }
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
            presign: Some(PRESIGNED_FOR),
            patience: PATIENCE,
        };
        S3Store::new(config).unwrap()
    }

    #[test]
    fn a_reference_cannot_send_a_reader_to_another_host() {
        let reader = store(None);
        let digest = Digest([3; 32]);
        let ours = format!("http://127.0.0.1:9/kerf/frames/{digest}?X-Amz-Signature=1");
        assert_eq!(reader.readable(&digest, &ours), ours);
        let place = "http://127.0.0.1:9/kerf/frames/cam-1/17?X-Amz-Signature=1";
        assert_eq!(reader.readable(&digest, place), place);
        for elsewhere in [
            "http://127.0.0.1:9/kerf/frames/cam-1/../../secrets?X-Amz-Signature=1",
            "http://127.0.0.1:9/kerf/frames/cam-1/%2e%2e?X-Amz-Signature=1",
            "http://127.0.0.1:9/kerf/frames/../1?X-Amz-Signature=1",
            "http://127.0.0.1:9/kerf/frames/a/b/1?X-Amz-Signature=1",
            "http://127.0.0.1:9/other/frames/cam-1/1?X-Amz-Signature=1",
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
}
