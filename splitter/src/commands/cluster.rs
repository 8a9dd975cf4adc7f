//! `--oscar …`: a tail that runs as a job of an OSCAR cluster, for the commands that run a model.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kerf_runtime::job::JobTimes;
use kerf_wire::InferenceResult;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::oscar::pods::Kubernetes;
use crate::oscar::timeline::Timeline;
use crate::oscar::{Client, Credentials, Options, PATIENCE, Service};

/// Where the tail runs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A tail in OSCAR")]
pub struct ClusterArgs {
    /// Run the last part as a job of this cluster: a credentials file, or an address (see `kerf oscar --help`)
    #[arg(long, requires = "service", value_name = "FILE|URL")]
    pub oscar: Option<String>,
    /// The service, as `kerf oscar apply` made it
    #[arg(long, requires = "oscar", value_name = "NAME")]
    pub service: Option<String>,
    /// The bucket that takes the inputs, where the service has several
    #[arg(long, requires = "oscar", value_name = "BUCKET")]
    pub bucket: Option<String>,
    /// Longest time to wait for one result, seconds
    #[arg(long, requires = "oscar", value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub wait: u64,
    /// Trust the authority in this PEM file instead of the public ones
    #[arg(long, requires = "oscar", env = "KERF_OSCAR_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Do not check the cluster's certificate
    #[arg(long, requires = "oscar")]
    pub insecure: bool,
    /// Ask Kubernetes for the pods' own times, by kubectl, in this namespace, e.g. oscar-svc
    #[arg(long, requires = "oscar", value_name = "NAME")]
    pub namespace: Option<String>,
    /// A context of the kubeconfig instead of its current one
    #[arg(long, requires = "namespace", value_name = "NAME")]
    pub kube_context: Option<String>,
    /// Run kubectl on this gateway, by SSH with keys
    #[arg(long, requires = "namespace", value_name = "USER@HOST")]
    pub kube_ssh: Option<String>,
}

/// A service that answers.
#[derive(Debug)]
pub(super) struct Cluster {
    client: Client,
    service: Service,
    wait: Duration,
    kubernetes: Option<Kubernetes>,
}

/// One answered call.
#[derive(Debug, Serialize)]
pub(super) struct Call {
    /// What the tail answered.
    #[serde(flatten)]
    pub(super) result: InferenceResult,
    /// Where the time went.
    pub(super) timeline: Timeline,
}

/// A job's result document; its error document has `error` and neither model nor outputs.
#[derive(Deserialize)]
struct Document {
    #[serde(flatten)]
    result: InferenceResult,
    job: JobTimes,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl ClusterArgs {
    /// The service; none where no cluster was named.
    ///
    /// # Errors
    /// When the cluster cannot be reached or has no such service or bucket.
    pub(super) fn connect(&self) -> Result<Option<Cluster>, Failure> {
        let (Some(place), Some(name)) = (&self.oscar, &self.service) else {
            return Ok(None);
        };
        let client = self.client(place)?;
        let mut service = client.service(name)?;
        if let Some(bucket) = &self.bucket {
            let buckets: Vec<&str> = service.input.iter().map(|io| io.bucket_and_folder().0).collect();
            let Some(at) = buckets.iter().position(|b| b == bucket) else {
                let text = format!("service {name} takes inputs from {buckets:?}, not from {bucket:?}");
                return Err(Failure::usage(text));
            };
            service.input.swap(0, at);
        }
        Ok(Some(Cluster {
            client,
            service,
            wait: Duration::from_secs(self.wait),
            kubernetes: self.namespace.clone().map(|namespace| Kubernetes {
                namespace,
                context: self.kube_context.clone(),
                ssh: self.kube_ssh.clone(),
            }),
        }))
    }

    fn client(&self, place: &str) -> Result<Client, Failure> {
        let is_url = place.starts_with("https://") || place.starts_with("http://");
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (found, credentials) = Credentials::find((!is_url).then(|| Path::new(place)), &variable)?;
        let endpoint = if is_url { Some(place.to_owned()) } else { found };
        let options = Options {
            endpoint: endpoint.ok_or_else(|| Failure::usage(format!("{place} has no endpoint")))?,
            ca: self.ca.clone(),
            insecure: self.insecure,
            timeout: Duration::from_mins(1),
        };
        Ok(Client::connect(&options, credentials)?)
    }
}

impl Cluster {
    /// Uploads one input, waits for its answer, and asks the cluster where the time went.
    ///
    /// # Errors
    /// When OSCAR fails, the job does, or no answer comes in time.
    pub(super) fn call(&self, input: &[u8], extension: &str) -> Result<Call, Failure> {
        let answer = self.client.invoke(&self.service, input, extension, self.wait)?;
        if answer.failed {
            let why = serde_json::from_slice(&answer.body).map_or_else(|why| why.to_string(), |r: Refusal| r.error);
            return Err(Failure::new(Exit::RunFailed, anyhow::anyhow!("the job failed: {why}")));
        }
        let document: Document = serde_json::from_slice(&answer.body).map_err(|why| {
            let text = format!("{} answered with no result of kerf-stage: {why}", self.service.name);
            Failure::new(Exit::RunFailed, anyhow::anyhow!(text))
        })?;
        let place = &document.job.place;
        let seen = self
            .client
            .seen(&self.service.name, place, self.kubernetes.as_ref(), PATIENCE)?;
        Ok(Call {
            timeline: Timeline::of(&answer.times, Some(&document.job), &seen),
            result: document.result,
        })
    }
}
