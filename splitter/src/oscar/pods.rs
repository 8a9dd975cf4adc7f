//! A pod's own times, asked of Kubernetes through `kubectl`: here, or over SSH where only a gateway reaches the cluster.
//!
//! Owns: the command and reading its answer. Must not know: OSCAR.
//! kubectl and not a client of ours: whoever may look at pods has it, and it knows every way to sign in that a kubeconfig can
//! name (certificates, tokens, a cloud's own helper program). OSCAR's own users have no kubeconfig and need none: the manager
//! tells when a job was made and ended, and only what lies between comes from here.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::OscarError;
use super::timeline::{PodTimes, parse};

/// How long kubectl and ssh may take to connect, seconds.
const CONNECT_S: u32 = 10;

/// How to ask Kubernetes.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The namespace in which OSCAR runs services.
    pub namespace: String,
    /// A context of the kubeconfig; its current one unless named.
    pub context: Option<String>,
    /// `user@host` from which kubectl is run, signed in by SSH keys; here unless named.
    pub ssh: Option<String>,
}

impl Kubernetes {
    /// The times of a finished job's pod; none while it has not ended, or where there is no such pod any more.
    ///
    /// # Errors
    /// When kubectl is not there or is refused.
    pub fn pod(&self, job: &str) -> Result<Option<PodTimes>, OscarError> {
        let ran = self.command(job)?.output();
        let program = if self.ssh.is_some() { "ssh" } else { "kubectl" };
        let ran = ran.map_err(|why| OscarError::Setting(format!("{program} did not start: {why}")))?;
        if !ran.status.success() {
            let text = String::from_utf8_lossy(&ran.stderr);
            let text = text.lines().last().unwrap_or_default().trim();
            return Err(OscarError::Setting(format!(
                "{program} could not list the pods of {}: {text}",
                self.namespace
            )));
        }
        let list: Value = serde_json::from_slice(&ran.stdout).map_err(|why| OscarError::Answer {
            what: program.to_owned(),
            why: why.to_string(),
        })?;
        Ok(list.pointer("/items/0").and_then(times))
    }

    fn command(&self, job: &str) -> Result<Command, OscarError> {
        // It stands in a URL, and behind ssh in a shell's line.
        for (what, word) in [("namespace", self.namespace.as_str()), ("job", job)] {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
            if word.is_empty() || !word.bytes().all(plain) {
                return Err(OscarError::Setting(format!("{what} {word:?} is no name in Kubernetes")));
            }
        }
        let path = format!(
            "/api/v1/namespaces/{}/pods?labelSelector=job-name%3D{job}",
            self.namespace
        );
        let timeout = format!("--request-timeout={CONNECT_S}s");
        let mut command = match &self.ssh {
            None => {
                let mut kubectl = Command::new("kubectl");
                kubectl.args(self.context.iter().flat_map(|context| ["--context", context]));
                kubectl.args(["get", "--raw", &path, &timeout]);
                kubectl
            }
            Some(host) => {
                if host.starts_with('-') {
                    return Err(OscarError::Setting(format!("{host:?} is no host")));
                }
                let mut ssh = Command::new("ssh");
                // Never a password: BatchMode fails where keys do not do.
                ssh.args(["-o", "BatchMode=yes", "-o", &format!("ConnectTimeout={CONNECT_S}")]);
                ssh.args(["--", host, "kubectl"]);
                ssh.args(self.context.iter().flat_map(|c| ["--context".to_owned(), quoted(c)]));
                ssh.args(["get", "--raw", &quoted(&path), &timeout]);
                ssh
            }
        };
        command.stdin(Stdio::null());
        Ok(command)
    }
}

/// A word for the other side's shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn times(pod: &Value) -> Option<PodTimes> {
    let time = |pointer: &str| parse(pod.pointer(pointer)?.as_str()?);
    let ended = "/status/containerStatuses/0/state/terminated";
    Some(PodTimes {
        created: time("/metadata/creationTimestamp")?,
        started: time(&format!("{ended}/startedAt"))?,
        finished: time(&format!("{ended}/finishedAt"))?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    fn words(kubernetes: &Kubernetes) -> Vec<String> {
        let command = kubernetes.command("tail-1").unwrap();
        command.get_args().map(|a| a.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn nothing_of_a_name_reaches_a_shell_as_more_than_a_word() {
        let mut kubernetes = Kubernetes {
            namespace: "oscar-svc".into(),
            context: Some("it's; rm".into()),
            ssh: Some("me@gateway".into()),
        };
        let said = words(&kubernetes).join(" ");
        assert!(said.contains(r"--context 'it'\''s; rm'"), "{said}");
        assert!(said.contains("BatchMode=yes") && said.contains("'/api/v1/"), "{said}");
        kubernetes.ssh = Some("-oProxyCommand=x".into());
        assert!(kubernetes.command("tail-1").is_err());
        kubernetes.ssh = None;
        assert!(kubernetes.command("a b").is_err());
        assert!(words(&kubernetes).contains(&"it's; rm".to_owned()));
    }

    #[test]
    fn a_pod_that_has_not_ended_has_no_times() {
        let mut pod = serde_json::json!({"metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"},
            "status": {"containerStatuses": [{"state": {"running": {"startedAt": "2026-01-02T03:04:07Z"}}}]}});
        assert_eq!(times(&pod), None);
        pod["status"]["containerStatuses"][0]["state"] = serde_json::json!({"terminated":
            {"startedAt": "2026-01-02T03:04:07Z", "finishedAt": "2026-01-02T03:04:09Z"}});
        let times = times(&pod).unwrap();
        assert_eq!(times.finished.as_second() - times.created.as_second(), 4);
    }
}
