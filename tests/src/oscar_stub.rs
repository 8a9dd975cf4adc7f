//! A stand-in for OSCAR (manager 4.1.2): what its REST interface does on the outside, read in its source and its own
//! OpenAPI, not copied from our client.
//!
//! service → bucket → presigned upload → MinIO's event → job → supervisor's environment → script → output object.
//! The supervisor is a stand-in as well, or the real `faas-supervisor`; the objects lie here, or in a real S3 server.
//! Start at [`Stub::start`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;

mod job;
mod routes;
mod store;

pub use job::Supervisor;
pub use store::Store;

/// Who may use `/system`.
pub const USER: &str = "oscar";
/// That user's password: a canary, looked for in logs.
pub const PASSWORD: &str = "canary-8f1c2b";

/// How the cluster is.
pub struct Options {
    /// What runs a job.
    pub supervisor: Supervisor,
    /// Where objects lie.
    pub store: Store,
    /// Jobs on a page of the list; OSCAR has 70.
    pub page: usize,
    /// Answer with the bare map of jobs, as managers before 4 do.
    pub old_logs: bool,
    /// The resident container behind `/exposed`.
    pub exposed: Option<SocketAddr>,
    /// Variables of the "container" that jobs run in, beside the service's own.
    pub container: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            supervisor: Supervisor::StandIn,
            store: Store::here(),
            page: 70,
            old_logs: false,
            exposed: None,
            container: Vec::new(),
        }
    }
}

/// One job of a service.
#[derive(Debug, Clone)]
struct JobRecord {
    service: String,
    status: &'static str,
    created: String,
    started: Option<String>,
    finished: Option<String>,
    log: String,
}

#[derive(Default)]
struct State {
    services: BTreeMap<String, Value>,
    jobs: BTreeMap<String, JobRecord>,
    buckets: Vec<String>,
    requests: Vec<String>,
    failures: Vec<(String, u16)>,
    presigned: BTreeMap<String, (String, String, String)>,
    running: Vec<JoinHandle<()>>,
}

struct Cluster {
    options: Options,
    address: SocketAddr,
    state: Mutex<State>,
}

impl Cluster {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cluster that runs until it is dropped.
pub struct Stub {
    server: Arc<tiny_http::Server>,
    cluster: Arc<Cluster>,
    threads: Vec<JoinHandle<()>>,
}

impl Stub {
    /// Starts it on a free port.
    pub fn start(options: Options) -> Self {
        let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").expect("a free port"));
        let address = server.server_addr().to_ip().expect("an IP address");
        let cluster = Arc::new(Cluster {
            options,
            address,
            state: Mutex::default(),
        });
        let serve = |_| {
            let (server, cluster) = (Arc::clone(&server), Arc::clone(&cluster));
            std::thread::spawn(move || {
                for request in server.incoming_requests() {
                    routes::serve(&cluster, request);
                }
            })
        };
        let threads = (0..4).map(serve).collect();
        Self {
            server,
            cluster,
            threads,
        }
    }

    /// `http://host:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.cluster.address)
    }

    /// Makes the next requests that begin so (`PUT /system`) fail with these statuses: MinIO restarting, a proxy in the way.
    pub fn fail_next(&self, requests: &str, statuses: &[u16]) {
        let failures = statuses.iter().map(|status| (requests.to_owned(), *status));
        self.cluster.state().failures.extend(failures);
    }

    /// All requests so far, as `METHOD path`.
    pub fn requests(&self) -> Vec<String> {
        self.cluster.state().requests.clone()
    }

    /// A service as the manager keeps it.
    pub fn service(&self, name: &str) -> Option<Value> {
        self.cluster.state().services.get(name).cloned()
    }

    /// Waits until every job that was started has ended.
    pub fn wait_for_jobs(&self) {
        let running = std::mem::take(&mut self.cluster.state().running);
        for job in running {
            drop(job.join());
        }
    }

    /// An object's bytes.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.cluster.options.store.read(bucket, key)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        for _ in &self.threads {
            self.server.unblock();
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
        self.wait_for_jobs();
    }
}

/// Now, as RFC 3339 with a resolution of one second, as Kubernetes gives it.
fn now() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}
