//! A stage as a job of OSCAR: one input file, one result file, and then it ends.
//!
//! Owns: what faas-supervisor says by its environment, and how a result or an error is left behind for it.
//! Must not know: models, HTTP, S3; the supervisor fetches the input and uploads what lies in its output folder.
//!
//! The supervisor never looks at an exit code: a failure is told by a file of its own, `…err.json`. Clocks of cluster and
//! edge differ and the cluster tells seconds: the result carries its own monotonic times.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kerf_wire::InferenceResult;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure, OrExit as _};
use crate::stage::unix_us;

/// The supervisor's variable with the input's path.
pub const INPUT_FILE_PATH: &str = "INPUT_FILE_PATH";
/// The supervisor's variable with the folder whose files it uploads.
pub const TMP_OUTPUT_DIR: &str = "TMP_OUTPUT_DIR";
/// The supervisor's variable with the input object's key; missing in synchronous calls.
pub const STORAGE_OBJECT_KEY: &str = "STORAGE_OBJECT_KEY";
/// The supervisor's variable with the time at which the input object was made, by the store's clock.
pub const EVENT_TIME: &str = "EVENT_TIME";
/// The manager's variable with the job's name.
pub const JOB_UUID: &str = "JOB_UUID";
/// Kubernetes' variable with the pod's name.
pub const HOSTNAME: &str = "HOSTNAME";

/// Name of the result for an input object's key: the whole key with `/` as `_`, and `.json`. A client that chose the key
/// knows the name without asking anybody.
pub fn result_name(key: &str) -> String {
    format!("{}.json", stem(key))
}

/// Name of the error document, where there is no result.
pub fn error_name(key: &str) -> String {
    format!("{}.err.json", stem(key))
}

fn stem(key: &str) -> String {
    key.trim_matches('/').replace('/', "_")
}

/// One job, from its start.
#[derive(Debug)]
pub struct Job {
    /// The file to answer.
    pub input: PathBuf,
    output_dir: PathBuf,
    key: String,
    place: Place,
    begun: Instant,
    loaded: Option<Duration>,
}

/// Which job this is, for whoever puts its time line together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When the input object was made, as the event says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    /// The job's name at the manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The pod's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

/// Where a job's time went: durations on its own monotonic clock, its start on its node's wall clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobTimes {
    /// From the start to the loaded part.
    pub load_ms: f64,
    /// From the loaded part to the answer.
    pub answer_ms: f64,
    /// From the start to writing this.
    pub total_ms: f64,
    /// When the stage started, µs since 1970: comparable with other times of the same node only.
    #[serde(default)]
    pub started_unix_us: u64,
    /// Which job this was.
    #[serde(flatten)]
    pub place: Place,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    result: &'a InferenceResult,
    job: JobTimes,
}

impl Job {
    /// The job that the environment describes; none where it describes none.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let find = |name| variable(name).filter(|value| !value.is_empty());
        let (input, output_dir) = (find(INPUT_FILE_PATH)?, find(TMP_OUTPUT_DIR)?);
        let key = find(STORAGE_OBJECT_KEY).unwrap_or_else(|| "answer".to_owned());
        Some(Self {
            input: input.into(),
            output_dir: output_dir.into(),
            key,
            place: Place {
                event_time: find(EVENT_TIME),
                name: find(JOB_UUID),
                pod: find(HOSTNAME),
            },
            begun: Instant::now(),
            loaded: None,
        })
    }

    /// Notes that the part is loaded.
    pub fn loaded(&mut self) {
        self.loaded = Some(self.begun.elapsed());
    }

    /// Leaves the result, or an error document, for the supervisor; the failure goes on to the exit code as well.
    ///
    /// # Errors
    /// The outcome's own, or that nothing could be written.
    pub fn finish(&self, outcome: Result<InferenceResult, Failure>) -> Result<(), Failure> {
        match outcome {
            Ok(result) => {
                let document = Document {
                    result: &result,
                    job: self.times(),
                };
                self.write(&result_name(&self.key), &document)
            }
            Err(failure) => {
                let document = serde_json::json!({
                    "error": failure.to_string(),
                    "exit_code": failure.exit as u8,
                    "object_key": self.key,
                    "job": self.times(),
                });
                self.write(&error_name(&self.key), &document)?;
                Err(failure)
            }
        }
    }

    fn times(&self) -> JobTimes {
        let total = self.begun.elapsed();
        let load = self.loaded.unwrap_or(total);
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        let total_us = u64::try_from(total.as_micros()).unwrap_or(u64::MAX);
        JobTimes {
            load_ms: ms(load),
            answer_ms: ms(total.saturating_sub(load)),
            total_ms: ms(total),
            started_unix_us: unix_us().saturating_sub(total_us),
            place: self.place.clone(),
        }
    }

    fn write(&self, name: &str, document: &impl Serialize) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(document).or_exit(Exit::Bug)?;
        let path = self.output_dir.join(name);
        let written = tempfile::NamedTempFile::new_in(&self.output_dir).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.persist(&path).map_err(|why| why.error)
        });
        written
            .or_exit(Exit::Usage)
            .map_err(|failure| failure.context(format!("writing {}", path.display())))?;
        log::info!("event=job-done file={} bytes={}", path.display(), bytes.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    fn job(folder: &std::path::Path) -> Job {
        let output = folder.to_str().unwrap().to_owned();
        let variable = |name: &str| match name {
            INPUT_FILE_PATH => Some("/tmp/in/x.frame".to_owned()),
            TMP_OUTPUT_DIR => Some(output.clone()),
            STORAGE_OBJECT_KEY => Some("in/cam/x.frame".to_owned()),
            _ => None,
        };
        Job::from_environment(&variable).unwrap()
    }

    #[test]
    fn a_failure_is_a_file_because_nobody_looks_at_the_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let failure = job(folder.path())
            .finish(Err(Failure::usage("no such bundle")))
            .unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let text = std::fs::read(folder.path().join("in_cam_x.frame.err.json")).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["error"], "no such bundle");
        assert_eq!(document["exit_code"], 2);
        // Nothing else lies there for the supervisor to upload.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn without_the_supervisors_variables_there_is_no_job() {
        assert!(Job::from_environment(&|_| None).is_none());
        assert!(Job::from_environment(&|name| (name == INPUT_FILE_PATH).then(|| "x".to_owned())).is_none());
    }
}
