//! Services: what the manager calls `types.Service`, as far as Kerf fills it; the rest is kept as it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ureq::http::Method;

use super::client::{By, Client, Payload};
use super::{OscarError, Secret};

/// Longest name that the manager takes.
const MAX_NAME_CHARS: usize = 39;

/// A service. What is not named here (volumes, federation, quotas …) travels in `rest`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The container image.
    #[serde(default)]
    pub image: String,
    /// The script that a job runs: its text, not a file name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub script: String,
    /// Limit in Kubernetes' format. The manager wants a string; users write a number.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "text_or_number"
    )]
    pub cpu: String,
    /// Limit in Kubernetes' format.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub memory: String,
    /// The supervisor's log level.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log_level: String,
    /// Variables of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Where inputs come from: an object made there starts a job.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list_or_null")]
    pub input: Vec<StorageIo>,
    /// Where a job's output files go.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list_or_null")]
    pub output: Vec<StorageIo>,
    /// Replicas for synchronous calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronous: Option<Synchronous>,
    /// A resident container behind OSCAR's own path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
    /// What the manager made for `/job` and `/run`; only in its answers.
    #[serde(default, skip_serializing)]
    pub token: String,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Variables of a service's container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Plain ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", alias = "Variables")]
    pub variables: BTreeMap<String, String>,
    /// Those kept in a Kubernetes secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// One input or output path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageIo {
    /// e.g. `minio.default`.
    #[serde(default)]
    pub storage_provider: String,
    /// `bucket/folder`.
    pub path: String,
    /// Only files that begin so.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list_or_null")]
    pub prefix: Vec<String>,
    /// Only files that end so.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list_or_null")]
    pub suffix: Vec<String>,
}

impl StorageIo {
    /// Bucket and folder; the folder is empty where the path is a bucket alone.
    pub fn bucket_and_folder(&self) -> (&str, &str) {
        let path = self.path.trim_matches('/');
        path.split_once('/').unwrap_or((path, ""))
    }
}

/// Replicas for synchronous calls (Knative).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synchronous {
    /// Fewest.
    pub min_scale: u32,
    /// Most; 0 for no bound.
    pub max_scale: u32,
}

/// A resident container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expose {
    /// The container's port; newer managers take a list.
    pub api_port: Value,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Client {
    /// All services that we may see.
    ///
    /// # Errors
    /// When OSCAR does not answer as it should.
    pub fn services(&self) -> Result<Vec<Service>, OscarError> {
        self.json(&Method::GET, "/system/services", &Payload::None)
    }

    /// One service.
    ///
    /// # Errors
    /// [`OscarError::Missing`] where there is none of this name.
    pub fn service(&self, name: &str) -> Result<Service, OscarError> {
        self.json(
            &Method::GET,
            &format!("/system/services/{}", checked(name)?),
            &Payload::None,
        )
    }

    /// Creates a service, or updates it where it is there; true where it is new.
    ///
    /// # Errors
    /// When OSCAR refuses it.
    pub fn apply(&self, service: &Service) -> Result<bool, OscarError> {
        checked(&service.name)?;
        let document = serde_json::to_value(service).map_err(|why| OscarError::Answer {
            what: "our own service".to_owned(),
            why: why.to_string(),
        })?;
        let there = match self.service(&service.name) {
            Ok(_) => true,
            Err(OscarError::Missing { .. }) => false,
            Err(why) => return Err(why),
        };
        let method = if there { Method::PUT } else { Method::POST };
        match self.send(&method, "/system/services", &Payload::Json(&document), &By::User) {
            // Somebody else was quicker, or our first try arrived and its answer was lost.
            Err(OscarError::Status { status: 409, .. }) if !there => {
                self.send(&Method::PUT, "/system/services", &Payload::Json(&document), &By::User)?;
                Ok(false)
            }
            Ok(_) => Ok(!there),
            Err(why) => Err(why),
        }
    }

    /// Removes a service; its buckets stay.
    ///
    /// # Errors
    /// [`OscarError::Missing`] where there is none of this name.
    pub fn remove(&self, name: &str) -> Result<(), OscarError> {
        let path = format!("/system/services/{}", checked(name)?);
        self.send(&Method::DELETE, &path, &Payload::None, &By::User).map(drop)
    }

    /// How a service's container is doing, as the manager tells it (OSCAR 4).
    ///
    /// # Errors
    /// [`OscarError::Missing`] where there is none, or the manager is older.
    pub fn deployment(&self, name: &str) -> Result<Value, OscarError> {
        let path = format!("/system/services/{}/deployment", checked(name)?);
        self.json(&Method::GET, &path, &Payload::None)
    }

    /// Version of the manager and of its Kubernetes.
    ///
    /// # Errors
    /// When OSCAR does not answer as it should.
    pub fn info(&self) -> Result<Value, OscarError> {
        self.json(&Method::GET, "/system/info", &Payload::None)
    }
}

impl Service {
    /// The token for `/job` and `/run`.
    pub(super) fn secret(&self) -> Secret {
        Secret::new(&self.token)
    }
}

/// A name that is safe in a path: a DNS label, as Kubernetes wants it.
pub(super) fn checked(name: &str) -> Result<&str, OscarError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edges = name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > MAX_NAME_CHARS || edges || !name.bytes().all(plain) {
        let text =
            format!("service name {name:?}: 1 to {MAX_NAME_CHARS} lower-case letters, digits and '-', not at the ends");
        return Err(OscarError::Setting(text));
    }
    Ok(name)
}

fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrNumber {
        Text(String),
        Number(f64),
    }
    Ok(match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    })
}

/// Go writes an empty list as null.
fn list_or_null<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
