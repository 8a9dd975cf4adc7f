//! `cargo xtask flash`: a release onto a board, checked there, taken back where the check fails.
//!
//! Owns: what happens on the board, in what order; the script is `flash/board.sh`. Uses the system's ssh with keys: it never
//! asks for a password. Must not know: how a package is made.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::dist;
use crate::dist::files::{Own, configuration};
use crate::repo;
use crate::target::{self, Target};

/// Installs a packed release on a board over SSH, checks it there, and goes back to the previous one if the check fails.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The board's kind, a folder of targets/.
    target: String,
    /// The board, as ssh names it.
    #[arg(long, value_name = "USER@HOST")]
    host: String,
    /// A public key whose bundles the board shall take, from `kerf keys new`.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// A bundle to put there too.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// The part that this board runs, where it has no /etc/kerf/stage.toml yet [default: 0].
    #[arg(long, value_name = "N")]
    part: Option<u8>,
    /// The broker that this board takes, where it has no /etc/kerf/stage.toml yet, e.g. mqtt://192.168.1.10:1883.
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Where `cargo xtask dist` has put the packages.
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    packages: PathBuf,
}

/// Runs on the board with /bin/sh.
const ON_BOARD: &str = include_str!("flash/board.sh");

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let target = target::named(&arguments.target)?;
    let release = format!("kerf-stage-{}-{}", dist::version()?, target.name);
    let archive = repo::root().join(&arguments.packages).join(format!("{release}.tar.gz"));
    ensure!(
        archive.is_file(),
        "{} is not there: run `cargo xtask dist --target {}` first",
        archive.display(),
        target.name
    );
    let backend = target.file.run.backends.first().context("run.backends is empty")?;
    eprintln!("flash: {release} to {}", arguments.host);
    let release_stream = File::open(&archive).with_context(|| format!("{}", archive.display()))?;
    remote(
        &arguments.host,
        &["release", &release, backend],
        Stdio::from(release_stream),
    )?;
    configure(arguments, &target)?;
    if let Some(key) = &arguments.trust {
        eprintln!("flash: key {} to {}", key.display(), arguments.host);
        let name = key_name(key)?;
        let stream = File::open(key).with_context(|| format!("{}", key.display()))?;
        remote(&arguments.host, &["key", &name], Stdio::from(stream))?;
    }
    if let Some(bundle) = &arguments.bundle {
        ensure!(
            bundle.join("manifest.json").is_file(),
            "{} is no bundle",
            bundle.display()
        );
        eprintln!("flash: bundle {} to {}", bundle.display(), arguments.host);
        let mut tar = repo::command("tar");
        tar.current_dir(bundle).args(["-cf", "-", "."]);
        let mut tar = tar.stdout(Stdio::piped()).spawn().context("tar did not start")?;
        let stream = tar.stdout.take().context("tar has no output")?;
        remote(&arguments.host, &["bundle"], Stdio::from(stream))?;
        ensure!(
            tar.wait().context("tar was lost")?.success(),
            "tar failed on {}",
            bundle.display()
        );
    }
    remote(&arguments.host, &["start"], Stdio::null())
}

/// Gives a new board its configuration; the board keeps the one that it has, and refuses another part than that one's.
fn configure(arguments: &Arguments, target: &Target) -> Result<()> {
    let own = Own {
        part: arguments.part.unwrap_or_default(),
        broker: arguments.broker.as_deref(),
    };
    let mut text = tempfile::tempfile().context("a temporary file")?;
    text.write_all(configuration(target, own).as_bytes())?;
    text.rewind()?;
    let part = arguments.part.map_or("-".to_owned(), |part| part.to_string());
    let broker = if own.broker.is_some() { "broker" } else { "-" };
    remote(&arguments.host, &["config", &part, broker], Stdio::from(text))
}

/// The name under which a board keeps a public key: words of the step are not quoted for its shell.
fn key_name(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    ensure!(
        text.starts_with("kerf-ed25519-public "),
        "{} is no public key: `kerf keys new` writes NAME.pub",
        file.display()
    );
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    ensure!(
        !name.is_empty() && name.chars().all(plain),
        "{name:?}: expected a name of letters, digits, - and _"
    );
    Ok(name.to_owned())
}

/// Runs one step of the script on the board; `input` is what it unpacks.
fn remote(host: &str, step: &[&str], input: Stdio) -> Result<()> {
    let mut ssh = Command::new("ssh");
    ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=15", host, "--"]);
    ssh.arg(format!("sh -c {} kerf-flash {}", quoted(ON_BOARD), step.join(" ")));
    let status = ssh.stdin(input).status().context("ssh did not start")?;
    ensure!(
        status.success(),
        "flashing {host} failed at {:?}: {status}",
        step.first().unwrap_or(&"")
    );
    Ok(())
}

/// For the shell on the board.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
