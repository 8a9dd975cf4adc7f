//! A typed client of OSCAR, the serverless platform on Kubernetes (manager 4.1; REST as of its own OpenAPI).
//!
//! Owns: services, jobs, their logs and results, over HTTP. Must not know: models, bundles, the command line.
//! Start at [`Client::connect`]; [`invoke`] uploads an input under a key of its own and waits for its result;
//! [`timeline`] says where the time went.

use std::time::Duration;

mod client;
mod credentials;
pub mod fdl;
pub mod invoke;
mod jobs;
pub mod pods;
mod seen;
mod service;
pub mod timeline;

pub use client::{Client, Options};
pub use credentials::{Credentials, Secret};
pub use jobs::{Job, JobLog};
pub use seen::PATIENCE;
pub use service::{Environment, Expose, Service, StorageIo, Synchronous};

/// Longest answer of the manager that is read, bytes.
pub const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// Longest credentials, CA or FDL file, bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Most pages of a job list that are followed, of 70 jobs each.
pub const MAX_PAGES: usize = 100;
/// Times that a request which may be repeated is tried.
pub const MAX_TRIES: u32 = 5;
/// The first pause between two tries; it doubles each time. MinIO restarts when a service is added: some seconds.
pub const FIRST_PAUSE: Duration = Duration::from_millis(400);

/// Why OSCAR did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OscarError {
    /// A file that we were given cannot be used.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Endpoint or credentials are missing or contradict each other.
    #[error("{0}")]
    Setting(String),
    /// No connection, after every try.
    #[error("OSCAR at {endpoint} is not reachable: {why}")]
    Unreachable {
        /// scheme://host:port.
        endpoint: String,
        /// The cause.
        why: String,
    },
    /// 401 or 403.
    #[error("OSCAR at {endpoint} does not authorise us ({status}): {text}")]
    Unauthorised {
        /// scheme://host:port.
        endpoint: String,
        /// The status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// 404: no such service, job or bucket.
    #[error("OSCAR has no {what}")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// Another status that is no success.
    #[error("OSCAR answered {status} to {what}: {text}")]
    Status {
        /// Method and path.
        what: String,
        /// The status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// The answer is not what the interface says.
    #[error("OSCAR's answer to {what} is not understood: {why}")]
    Answer {
        /// Method and path.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The result did not come in time.
    #[error("no result for {key} within {waited_s} s; `kerf oscar logs {service}` shows the jobs")]
    NoResult {
        /// The object's key.
        key: String,
        /// The service.
        service: String,
        /// How long it was waited for.
        waited_s: u64,
    },
}
