//! A profile of another machine, measured there by `kerf-stage bench` over SSH with keys.
//!
//! Owns: what is copied, started and fetched. Must not know: what is measured.
//! Only `ssh` is needed on both sides: files go through its standard input and output, so there is no sftp and no rsync to install.
//! Nothing of a name reaches the other side's shell as more than a word. A password is never asked for: keys, or an error.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kerf_runtime::bundle::{BundleError, open_model};
use kerf_wire::Profile;
use kerf_wire::profile::{MAX_PROFILE_BYTES, ProfileError};

/// How long it may take to connect, seconds.
const CONNECT_S: u32 = 10;
/// Last characters of what the other side said that an error repeats.
const SAID: usize = 600;

/// Another machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// `USER@HOST`, or a name of `~/.ssh/config`.
    pub name: String,
    /// `kerf-stage` there; a path or a name on its PATH.
    pub stage: String,
    /// A `kerf-stage` here, built for that machine, which is copied there first and used.
    pub copy_stage: Option<std::path::PathBuf>,
    /// Further options of `ssh`, e.g. `-p 2222 -i key`.
    pub ssh_options: Vec<String>,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// A host that ssh would take for an option.
    #[error("{0:?} is no host")]
    BadHost(String),
    /// The model or the program to copy cannot be read.
    #[error(transparent)]
    Model(#[from] BundleError),
    /// A file here.
    #[error("reading {file}: {why}")]
    File {
        /// Which.
        file: String,
        /// The cause.
        why: std::io::Error,
    },
    /// No `ssh` here, or its pipe broke.
    #[error("ssh to {host}: {why}")]
    Ssh {
        /// Where to.
        host: String,
        /// The cause.
        why: std::io::Error,
    },
    /// The other side failed.
    #[error("{doing} on {host} ended with {status}: {said}")]
    Failed {
        /// Where.
        host: String,
        /// What was being done.
        doing: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// What came back is no profile.
    #[error("{host} sent no profile: {why}")]
    NoProfile {
        /// Where from.
        host: String,
        /// The cause.
        why: ProfileError,
    },
}

/// Copies the model there, measures it with these options of `kerf-stage bench`, and fetches the profile. The folder that
/// this needs there is removed, also after a failure.
///
/// # Errors
/// When the machine is not reachable by keys, `kerf-stage` is not there, or it fails.
pub fn profile_there(host: &Host, model: &Path, options: &[String]) -> Result<(Profile, Vec<u8>), RemoteError> {
    let there = Session::open(host)?;
    let result = there.profile(model, options);
    let cleaned = there.shell("cleaning up", &["rm", "-rf", &there.folder], None);
    let measured = result?;
    cleaned?;
    Ok(measured)
}

struct Session<'a> {
    host: &'a Host,
    folder: String,
}

impl<'a> Session<'a> {
    fn open(host: &'a Host) -> Result<Self, RemoteError> {
        if host.name.starts_with('-') || host.name.is_empty() {
            return Err(RemoteError::BadHost(host.name.clone()));
        }
        let mut session = Self {
            host,
            folder: String::new(),
        };
        let folder = session.shell("making a folder", &["mktemp", "-d", "/tmp/kerf-bench.XXXXXX"], None)?;
        String::from_utf8_lossy(&folder).trim().clone_into(&mut session.folder);
        Ok(session)
    }

    fn profile(&self, model: &Path, options: &[String]) -> Result<(Profile, Vec<u8>), RemoteError> {
        let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let artifact = open_model(model)?;
        self.copy(&name, &artifact.contents)?;
        for companion in &artifact.companions {
            self.copy(&companion.name, &companion.contents)?;
        }
        let stage = match &self.host.copy_stage {
            Some(file) => {
                let program = std::fs::read(file).map_err(|why| RemoteError::File {
                    file: file.display().to_string(),
                    why,
                })?;
                self.copy("kerf-stage", &program)?;
                let stage = self.path("kerf-stage");
                self.shell("making kerf-stage a program", &["chmod", "+x", &stage], None)?;
                stage
            }
            None => self.host.stage.clone(),
        };
        let (model, out) = (self.path(&name), self.path("profile.json"));
        let mut bench = vec![stage.as_str(), "bench", "--model", &model, "--out", &out];
        bench.extend(options.iter().map(String::as_str));
        self.shell("kerf-stage bench", &bench, None)?;
        let text = self.shell("fetching the profile", &["cat", &out], None)?;
        let refused = |why| RemoteError::NoProfile {
            host: self.host.name.clone(),
            why,
        };
        if text.len() > MAX_PROFILE_BYTES {
            return Err(refused(ProfileError::TooLong { got: text.len() }));
        }
        Ok((Profile::parse(&text).map_err(refused)?, text))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// A file there; folders of its name are made.
    fn copy(&self, name: &str, bytes: &[u8]) -> Result<(), RemoteError> {
        let path = self.path(name);
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.shell("making a folder", &["mkdir", "-p", folder], None)?;
        }
        let write = format!("cat > {}", quoted(&path));
        self.shell("copying", &["sh", "-c", &write], Some(bytes)).map(drop)
    }

    /// One command there; gives what it said on its standard output.
    fn shell(&self, doing: &'static str, words: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>, RemoteError> {
        let broken = |why| RemoteError::Ssh {
            host: self.host.name.clone(),
            why,
        };
        let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let mut ssh = Command::new("ssh");
        ssh.args(["-o", "BatchMode=yes", "-o", &format!("ConnectTimeout={CONNECT_S}")]);
        ssh.args(&self.host.ssh_options)
            .args(["--", &self.host.name])
            .arg(line.join(" "));
        ssh.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = ssh
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(broken)?;
        let pipe = child.stdin.take();
        let written = std::thread::scope(|scope| {
            let writing = scope.spawn(move || match (pipe, input) {
                (Some(mut pipe), Some(bytes)) => pipe.write_all(bytes),
                _ => Ok(()),
            });
            let output = child.wait_with_output();
            let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (output, written)
        });
        let output = written.0.map_err(broken)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let skip = said.chars().count().saturating_sub(SAID);
            return Err(RemoteError::Failed {
                host: self.host.name.clone(),
                doing,
                status: output.status.to_string(),
                said: said.chars().skip(skip).collect::<String>().trim().to_owned(),
            });
        }
        written.1.map_err(broken)?;
        Ok(output.stdout)
    }
}

/// A word for the other side's shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
