//! Where one call's time went, put together from three clocks without mixing them up.
//!
//! ```text
//! our clock      |upload|------------------- wait -------------------|download|
//! cluster's        object made → job made → supervisor's first line …          event, start
//! the node's                                first line → stage starts          supervisor
//! the stage's own                                        load, answer          load, answer
//! the node's                                  stage ends → last line           store
//! ```
//!
//! Owns: the differences, each between two times of one clock. Must not know: how the times were asked for.
//! The manager tells when a job was made to the second only: between the object's time and the first line, both exact, the
//! middle of what that second allows is taken, and `event_within_ms` says how far off it may be.

use jiff::Timestamp;
use kerf_runtime::job::JobTimes;
use serde::{Deserialize, Serialize};

use super::invoke::Times;
use super::jobs::Job;

/// Where one call's time went, milliseconds; none where the cluster did not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeline {
    /// Asking for an address and uploading the input; our clock.
    pub upload_ms: f64,
    /// From the input object to the job that its event made: the store's notification and the manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_ms: Option<f64>,
    /// How far `event_ms` and `start_ms` may be off, one for the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_within_ms: Option<f64>,
    /// From the job to its first log line: scheduling, pulling the image, starting the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<f64>,
    /// From the first log line to the stage's start: the supervisor starts and fetches the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supervisor_ms: Option<f64>,
    /// The stage: from its start to the loaded part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_ms: Option<f64>,
    /// The stage: from the loaded part to the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_ms: Option<f64>,
    /// From the stage's end to the job's last log line: the supervisor stores the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_ms: Option<f64>,
    /// What of the wait is none of the above: the event on its way before the object had its time, our looking for the
    /// result, and the difference of clocks. All but the stage's own where the cluster tells nothing.
    pub rest_ms: f64,
    /// Fetching the result; our clock.
    pub download_ms: f64,
    /// From the upload's begin to the result; our clock.
    pub total_ms: f64,
    /// The job's log, from its first line to its last: what the reference tool calls oscarJobTime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_ms: Option<f64>,
    /// From the job or pod made to its end, to the second: what the reference tool calls kubePodTime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_ms: Option<f64>,
}

/// What the cluster tells of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The manager's entry.
    pub job: Option<Job>,
    /// Times of the first and the last line of its log.
    pub log: Option<(Timestamp, Timestamp)>,
    /// The pod's own times, where Kubernetes was asked.
    pub pod: Option<PodTimes>,
}

/// A pod's times, to the second, on the cluster's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodTimes {
    /// When it was asked for.
    pub created: Timestamp,
    /// When its container started.
    pub started: Timestamp,
    /// When its container ended.
    pub finished: Timestamp,
}

impl Timeline {
    /// Puts a call's times together.
    pub fn of(times: &Times, stage: Option<&JobTimes>, seen: &Seen) -> Self {
        let mut line = Self {
            upload_ms: times.upload_ms,
            download_ms: times.download_ms,
            total_ms: times.upload_ms + times.wait_ms + times.download_ms,
            load_ms: stage.map(|s| s.load_ms),
            answer_ms: stage.map(|s| s.answer_ms),
            ..Self::default()
        };
        let entry = |time: fn(&Job) -> &Option<String>| seen.job.as_ref().and_then(|job| parse(time(job).as_deref()?));
        let created = (seen.pod.as_ref().map(|pod| pod.created)).or_else(|| entry(|job| &job.creation_time));
        let finished = (seen.pod.as_ref().map(|pod| pod.finished)).or_else(|| entry(|job| &job.finish_time));
        line.pod_ms = created.zip(finished).and_then(|(from, to)| between(from, to));
        line.job_ms = seen.log.and_then(|(first, last)| between(first, last));
        let event = stage.and_then(|s| parse(s.place.event_time.as_deref()?));
        let first = seen.log.map(|(first, _)| first);
        // The job was made before its pod, and the manager's entry is the job's.
        let made = entry(|job| &job.creation_time).or(created);
        if let (Some(event), Some(made), Some(first)) = (event, made, first) {
            line.split(event, made, first);
        }
        if let (Some((first, last)), Some(stage)) = (seen.log, stage) {
            line.supervisor_ms = since(first, stage.started_unix_us);
            let ended = micros(stage.total_ms).saturating_add(stage.started_unix_us);
            line.store_ms = since(last, ended).map(|ms| -ms).filter(|ms| *ms >= 0.0);
            line.supervisor_ms = line.supervisor_ms.filter(|ms| *ms >= 0.0);
        }
        let told = [
            line.event_ms,
            line.start_ms,
            line.supervisor_ms,
            line.load_ms,
            line.answer_ms,
            line.store_ms,
        ];
        line.rest_ms = times.wait_ms - told.into_iter().flatten().sum::<f64>();
        line
    }

    /// Divides the time from the object to the first log line at the job's making, which is known to the second.
    fn split(&mut self, event: Timestamp, made: Timestamp, first: Timestamp) {
        let Some(both) = between(event, first) else { return };
        let offset = (made.as_microsecond() - event.as_microsecond()) as f64 / 1e3;
        let (low, high) = (offset.max(0.0), (offset + 1e3).min(both));
        if low > high {
            // The clocks of store and manager contradict each other.
            return;
        }
        let middle = f64::midpoint(low, high);
        self.event_ms = Some(middle);
        self.start_ms = Some(both - middle);
        self.event_within_ms = Some((high - low) / 2.0);
    }

    /// What a call costs beside the work itself, ms: all that a tail that stays up does not pay.
    pub fn overhead_ms(&self) -> f64 {
        self.total_ms - self.upload_ms - self.download_ms - self.answer_ms.unwrap_or(0.0)
    }

    /// Name and figure of each section, in the order of time.
    pub fn sections(&self) -> [(&'static str, Option<f64>); 9] {
        [
            ("upload", Some(self.upload_ms)),
            ("event", self.event_ms),
            ("start", self.start_ms),
            ("supervisor", self.supervisor_ms),
            ("load", self.load_ms),
            ("answer", self.answer_ms),
            ("store", self.store_ms),
            ("rest", Some(self.rest_ms)),
            ("download", Some(self.download_ms)),
        ]
    }
}

/// The times of a log's first and last line, as `?timestamps=true` puts them before each line.
pub fn log_times(log: &str) -> Option<(Timestamp, Timestamp)> {
    let mut times = log.lines().filter_map(|line| parse(line.split_whitespace().next()?));
    let first = times.next()?;
    Some((first, times.next_back().unwrap_or(first)))
}

/// An RFC 3339 time.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn between(from: Timestamp, to: Timestamp) -> Option<f64> {
    let micros = to.as_microsecond() - from.as_microsecond();
    (micros >= 0).then_some(micros as f64 / 1e3)
}

fn since(from: Timestamp, unix_us: u64) -> Option<f64> {
    let to = i64::try_from(unix_us).ok().filter(|us| *us > 0)?;
    Some((to - from.as_microsecond()) as f64 / 1e3)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates; a negative duration is none"
)]
fn micros(ms: f64) -> u64 {
    (ms * 1e3) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    #![allow(clippy::float_cmp, reason = "sums of whole milliseconds are exact")]
    use super::*;
    use kerf_runtime::job::Place;

    fn seen(created: &str) -> Seen {
        Seen {
            job: Some(Job {
                creation_time: Some(created.into()),
                finish_time: Some("2026-01-02T03:04:12Z".into()),
                ..Job::default()
            }),
            log: log_times("2026-01-02T03:04:08.500000001Z starts\nno time\n2026-01-02T03:04:11.000Z ends\n"),
            pod: None,
        }
    }

    fn stage() -> JobTimes {
        let start: Timestamp = "2026-01-02T03:04:09.700Z".parse().unwrap();
        JobTimes {
            load_ms: 100.0,
            answer_ms: 50.0,
            total_ms: 150.0,
            started_unix_us: u64::try_from(start.as_microsecond()).unwrap(),
            place: Place {
                event_time: Some("2026-01-02T03:04:05.250Z".into()),
                ..Place::default()
            },
        }
    }

    #[test]
    fn each_section_is_between_two_times_of_one_clock() {
        let times = Times {
            upload_ms: 20.0,
            wait_ms: 6000.0,
            download_ms: 10.0,
        };
        let line = Timeline::of(&times, Some(&stage()), &seen("2026-01-02T03:04:06Z"));
        // Made between 06.0 and 07.0, the object at 05.25: 0.75 to 1.75 s, and the first line 3.25 s behind the object.
        assert_eq!(line.event_ms, Some(1250.0));
        assert_eq!(line.event_within_ms, Some(500.0));
        assert_eq!(line.start_ms, Some(2000.0));
        assert_eq!(line.supervisor_ms, Some(1200.0));
        // 11.0 less 9.7 and 0.15.
        assert_eq!(line.store_ms.map(f64::round), Some(1150.0));
        assert_eq!(line.job_ms, Some(2500.0));
        assert_eq!(line.pod_ms, Some(6000.0));
        let sum: f64 = line.sections().iter().filter_map(|(_, ms)| *ms).sum();
        assert!((sum - line.total_ms).abs() < 1e-6, "{sum} {}", line.total_ms);
        assert_eq!(line.overhead_ms(), 5950.0);
    }

    #[test]
    fn what_nobody_told_is_none_and_clocks_that_contradict_are_not_used() {
        let times = Times {
            wait_ms: 500.0,
            ..Times::default()
        };
        let line = Timeline::of(&times, Some(&stage()), &Seen::default());
        assert_eq!((line.event_ms, line.job_ms, line.pod_ms), (None, None, None));
        assert_eq!(line.rest_ms, 350.0);
        // The manager's clock an hour behind the store's.
        let line = Timeline::of(&times, Some(&stage()), &seen("2026-01-02T02:04:06Z"));
        assert_eq!((line.event_ms, line.start_ms), (None, None));
    }
}
