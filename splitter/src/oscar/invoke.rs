//! Runs an input through a service: by an object in its bucket (asynchronous), by `/run` (synchronous), or by the
//! resident container behind OSCAR's path (exposed).
//!
//! The result's name follows from the input's key alone (see [`kerf_runtime::job`]), so no log and no listing is needed to find
//! it, and no key is used twice: runs cannot take each other's results.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::json;
use ureq::http::Method;

use super::client::{By, Client, Payload};
use super::service::checked;
use super::{OscarError, Service};
use kerf_runtime::job::{error_name, result_name};

/// Shortest and longest pause between two looks for a result.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// How long a presigned address is good for, seconds, beyond the time that is waited.
const PRESIGN_SPARE_S: u64 = 300;

/// What came of one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The input's key in its bucket; empty where no bucket is used.
    pub key: String,
    /// The result's bytes: a job's result document, or what the service answered.
    #[serde(skip)]
    pub body: Vec<u8>,
    /// True when the job left an error document instead of a result.
    pub failed: bool,
    /// Where the time went, on our own clock.
    pub times: Times,
}

/// Where one call's time went, ms on our own monotonic clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Times {
    /// Asking for an address and uploading the input.
    pub upload_ms: f64,
    /// From the end of the upload until the result was seen: event, queue, pod start, supervisor, stage, its upload.
    pub wait_ms: f64,
    /// Fetching the result.
    pub download_ms: f64,
}

#[derive(Debug, Deserialize)]
struct Presigned {
    #[serde(default)]
    method: String,
    url: String,
    #[serde(default)]
    headers: Option<std::collections::BTreeMap<String, String>>,
}

impl Client {
    /// Uploads an input under a key of its own and waits for its result.
    ///
    /// # Errors
    /// When the service has no input or output bucket, OSCAR fails, or no result comes within `wait`.
    pub fn invoke(
        &self,
        service: &Service,
        input: &[u8],
        extension: &str,
        wait: Duration,
    ) -> Result<Answer, OscarError> {
        let (Some(from), Some(to)) = (service.input.first(), service.output.first()) else {
            let name = &service.name;
            return Err(OscarError::Setting(format!(
                "service {name} has no input or no output bucket"
            )));
        };
        let (bucket, folder) = from.bucket_and_folder();
        let key = under(folder, &unique(extension));
        let begun = Instant::now();
        let upload = self.presign(bucket, &key, "upload", wait)?;
        self.put(&upload, input)?;
        let uploaded = Instant::now();
        let (bucket, folder) = to.bucket_and_folder();
        let result = self.presign(bucket, &under(folder, &result_name(&key)), "download", wait)?;
        let error = self.presign(bucket, &under(folder, &error_name(&key)), "download", wait)?;
        let mut pause = POLL.0;
        loop {
            for (address, failed) in [(&result, false), (&error, true)] {
                let asked = Instant::now();
                if let Some(body) = self.fetch(address)? {
                    let times = Times {
                        upload_ms: ms(uploaded - begun),
                        wait_ms: ms(asked - uploaded),
                        download_ms: ms(asked.elapsed()),
                    };
                    return Ok(Answer {
                        key,
                        body,
                        failed,
                        times,
                    });
                }
            }
            if uploaded.elapsed() >= wait {
                return Err(OscarError::NoResult {
                    key,
                    service: service.name.clone(),
                    waited_s: wait.as_secs(),
                });
            }
            std::thread::sleep(pause);
            pause = (pause * 3 / 2).min(POLL.1);
        }
    }

    /// Runs an input through `/run`: needs a serverless backend (Knative) on the cluster.
    ///
    /// # Errors
    /// When OSCAR fails or its answer is no base64.
    pub fn run(&self, service: &Service, input: &[u8]) -> Result<Answer, OscarError> {
        let path = format!("/run/{}", checked(&service.name)?);
        let begun = Instant::now();
        let body = BASE64.encode(input);
        let payload = Payload::Bytes(body.as_bytes(), "application/octet-stream");
        let text = self.send(&Method::POST, &path, &payload, &By::Service(&service.secret()))?;
        let text = text.trim_ascii();
        let body = BASE64.decode(text).map_err(|_| OscarError::Answer {
            what: format!("POST {path}"),
            why: format!(
                "expected one file in base64, got {:?}: the script wrote no single output file",
                String::from_utf8_lossy(text).chars().take(300).collect::<String>()
            ),
        })?;
        let times = Times {
            wait_ms: ms(begun.elapsed()),
            ..Times::default()
        };
        Ok(Answer {
            key: String::new(),
            body,
            failed: false,
            times,
        })
    }

    /// Posts an input to a path of the resident container.
    ///
    /// # Errors
    /// When OSCAR or the container does not answer with success.
    pub fn exposed(&self, service: &Service, path: &str, input: &[u8]) -> Result<Answer, OscarError> {
        let path = format!(
            "/system/services/{}/exposed/{}",
            checked(&service.name)?,
            path.trim_start_matches('/')
        );
        let begun = Instant::now();
        let payload = Payload::Bytes(input, "application/octet-stream");
        let body = self.send(&Method::POST, &path, &payload, &By::User)?;
        let times = Times {
            wait_ms: ms(begun.elapsed()),
            ..Times::default()
        };
        Ok(Answer {
            key: String::new(),
            body,
            failed: false,
            times,
        })
    }

    /// An address that needs no keys: the edge never holds MinIO's.
    fn presign(&self, bucket: &str, key: &str, operation: &str, wait: Duration) -> Result<Presigned, OscarError> {
        let path = format!("/system/buckets/{}/presign", super::jobs::encoded(bucket));
        let asked = json!({
            "object_key": key,
            "operation": operation,
            "expires_in": wait.as_secs() + PRESIGN_SPARE_S,
            "content_type": if operation == "upload" { "application/octet-stream" } else { "" },
        });
        self.json(&Method::POST, &path, &Payload::Json(&asked))
    }

    fn put(&self, address: &Presigned, input: &[u8]) -> Result<(), OscarError> {
        let method = if address.method.eq_ignore_ascii_case("POST") {
            Method::POST
        } else {
            Method::PUT
        };
        let given = address.headers.iter().flatten().map(|(n, v)| (n.as_str(), v.as_str()));
        // The payload sets the type; a second one would break the signature.
        let headers: Vec<_> = given
            .filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"))
            .collect();
        let payload = Payload::Bytes(input, "application/octet-stream");
        let (status, body) = self.exchange(&method, &address.url, &payload, &By::Nobody, &headers)?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        Err(OscarError::Status {
            what: "the upload of the input".to_owned(),
            status,
            text: String::from_utf8_lossy(&body).chars().take(500).collect(),
        })
    }

    /// The object, or none while it is not there. S3 says 403 instead of 404 to those who may not list.
    fn fetch(&self, address: &Presigned) -> Result<Option<Vec<u8>>, OscarError> {
        let (status, body) = self.exchange(&Method::GET, &address.url, &Payload::None, &By::Nobody, &[])?;
        match status {
            200 => Ok(Some(body)),
            403 | 404 => Ok(None),
            _ => Err(OscarError::Status {
                what: "the download of the result".to_owned(),
                status,
                text: String::from_utf8_lossy(&body).chars().take(500).collect(),
            }),
        }
    }
}

fn under(folder: &str, name: &str) -> String {
    let folder = folder.trim_matches('/');
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// A name that no other run uses: 128 random bits, short because the event travels in an environment variable.
fn unique(extension: &str) -> String {
    let plain: String = extension.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let dot = if plain.is_empty() { "" } else { "." };
    let random = kerf_runtime::broker::backoff::random;
    format!("{:016x}{:016x}{dot}{plain}", random(), random())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_named_after_the_whole_key() {
        assert_eq!(result_name("in/cam-1/x.kf"), "in_cam-1_x.kf.json");
        assert_eq!(result_name("x"), "x.json");
        assert_ne!(unique("kf"), unique("kf"));
        assert_eq!(unique("../x").len(), 34);
    }
}
