//! What the cluster tells of a job that has answered.
//!
//! Owns: finding the job behind a result, and waiting until the cluster has noticed its end. Must not know: what the times
//! mean; [`super::timeline`] does.

use std::time::{Duration, Instant};

use kerf_runtime::job::Place;

use super::jobs::Job;
use super::pods::Kubernetes;
use super::timeline::{Seen, log_times};
use super::{Client, OscarError};

/// How long the cluster may take to notice that a job has ended whose result is there.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

impl Client {
    /// What manager and Kubernetes tell of the job at `place`; nothing where the job cannot be told from others, or is gone.
    ///
    /// # Errors
    /// When OSCAR or kubectl does not answer as it should.
    pub fn seen(
        &self,
        service: &str,
        place: &Place,
        kubernetes: Option<&Kubernetes>,
        patience: Duration,
    ) -> Result<Seen, OscarError> {
        let begun = Instant::now();
        loop {
            let jobs = self.jobs(service)?;
            let Some((name, job)) = jobs.into_iter().find(|(name, _)| is_at(place, name)) else {
                log::info!("event=job-unknown service={service} place={place:?}");
                return Ok(Seen::default());
            };
            let ended = job.finish_time.is_some();
            if !ended && begun.elapsed() < patience {
                std::thread::sleep(PAUSE);
                continue;
            }
            return self.of_job(service, &name, job, kubernetes);
        }
    }

    fn of_job(&self, service: &str, name: &str, job: Job, kubernetes: Option<&Kubernetes>) -> Result<Seen, OscarError> {
        let log = match self.job_log(service, name) {
            Ok(log) => log_times(&log),
            Err(OscarError::Missing { .. }) => None,
            Err(why) => return Err(why),
        };
        let pod = kubernetes.map(|kubernetes| kubernetes.pod(name)).transpose()?;
        Ok(Seen {
            job: Some(job),
            log,
            pod: pod.flatten(),
        })
    }
}

/// The pod of a job is called after it; managers differ in whether `JOB_UUID` has the service's name before it.
fn is_at(place: &Place, job: &str) -> bool {
    let named = place
        .name
        .as_deref()
        .is_some_and(|name| !name.is_empty() && job.ends_with(name));
    let of_pod = |pod: &str| pod.strip_prefix(job).is_some_and(|rest| rest.starts_with('-'));
    named || place.pod.as_deref().is_some_and(of_pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_known_by_its_name_or_by_its_pods() {
        let place = |name: Option<&str>, pod: Option<&str>| Place {
            event_time: None,
            name: name.map(str::to_owned),
            pod: pod.map(str::to_owned),
        };
        let job = "tail-0a1b2c3d-0000";
        assert!(is_at(&place(Some("tail-0a1b2c3d-0000"), None), job));
        assert!(is_at(&place(Some("0a1b2c3d-0000"), None), job));
        assert!(is_at(&place(None, Some("tail-0a1b2c3d-0000-x7k2p")), job));
        assert!(!is_at(&place(None, Some("tail-0a1b2c3d-00001-x7k2p")), job));
        assert!(!is_at(&place(Some(""), None), job) && !is_at(&place(None, None), job));
    }
}
