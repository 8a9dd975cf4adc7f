//! Jobs of a service and what they wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::http::Method;

use super::client::{By, Client, Payload};
use super::service::checked;
use super::{MAX_PAGES, OscarError};

/// One job. Times are RFC 3339 with a resolution of one second, on the cluster's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The pod's phase, or `Suspended`. `Succeeded` says nothing of the script: the supervisor ignores its exit code.
    #[serde(default)]
    pub status: String,
    /// When the manager made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<String>,
    /// When its container started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When its container ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<String>,
}

/// What a job wrote to its standard output and error.
pub type JobLog = String;

/// A page of the list. Managers before 4 answer with the inner map alone.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    jobs: Option<BTreeMap<String, Job>>,
    #[serde(default)]
    next_page: Option<String>,
}

impl Page {
    fn read(answer: Value) -> Result<Self, serde_json::Error> {
        // A job is called SERVICE-UUID: none has one of these names.
        if answer.get("jobs").is_some() || answer.get("remaining_jobs").is_some() {
            return serde_json::from_value(answer);
        }
        Ok(Self {
            jobs: serde_json::from_value(answer)?,
            next_page: None,
        })
    }
}

impl Client {
    /// All jobs of a service, by name.
    ///
    /// # Errors
    /// When OSCAR does not answer as it should, or there are more than the bound on pages allows.
    pub fn jobs(&self, service: &str) -> Result<BTreeMap<String, Job>, OscarError> {
        let path = format!("/system/logs/{}", checked(service)?);
        let mut all = BTreeMap::new();
        let mut page = String::new();
        for _ in 0..MAX_PAGES {
            let this = format!("{path}?page={}", encoded(&page));
            let answer: Value = self.json(&Method::GET, &this, &Payload::None)?;
            let answer = Page::read(answer).map_err(|why| OscarError::Answer {
                what: format!("GET {path}"),
                why: why.to_string(),
            })?;
            all.extend(answer.jobs.unwrap_or_default());
            match answer.next_page.filter(|next| !next.is_empty()) {
                Some(next) => page = next,
                None => return Ok(all),
            }
        }
        Err(OscarError::Answer {
            what: format!("GET {path}"),
            why: format!("more than {MAX_PAGES} pages of jobs; remove old ones with `kerf oscar remove --jobs`"),
        })
    }

    /// What one job wrote.
    ///
    /// # Errors
    /// [`OscarError::Missing`] where there is no such job.
    pub fn job_log(&self, service: &str, job: &str) -> Result<JobLog, OscarError> {
        let path = format!("/system/logs/{}/{}?timestamps=true", checked(service)?, encoded(job));
        let bytes = self.send(&Method::GET, &path, &Payload::None, &By::User)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Removes a service's finished jobs; with `all` those that run or wait as well.
    ///
    /// # Errors
    /// When OSCAR does not answer as it should.
    pub fn remove_jobs(&self, service: &str, all: bool) -> Result<(), OscarError> {
        let path = format!("/system/logs/{}?all={all}", checked(service)?);
        self.send(&Method::DELETE, &path, &Payload::None, &By::User).map(drop)
    }
}

/// Percent-encoded for a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
