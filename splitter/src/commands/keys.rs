//! `kerf keys`: the keys that sign bundles.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use kerf_runtime::bundle::read_bounded;
use kerf_runtime::bundle::signature::{MAX_KEY_BYTES, PublicKey, SecretKey};

use super::print;
use crate::exit::{Exit, Failure, OrExit as _};

/// Make and show the keys that sign bundles.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf keys new release\n  kerf keys show release.key\n  kerf sign bundle --key release.key\n\n\
    NAME.key stays with whoever releases; NAME.pub goes into /etc/kerf/keys on each board."
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with keys.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a pair: NAME.key, which signs, and NAME.pub, which boards hold.
    New(New),
    /// Print the public key of a .key or .pub file.
    Show(Show),
}

/// A new pair.
#[derive(Debug, clap::Args)]
pub struct New {
    /// Both files' name without ending, with a folder or not; neither is overwritten.
    pub name: PathBuf,
}

/// A key to show.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// A .key or .pub file.
    pub file: PathBuf,
}

/// Makes or shows keys.
///
/// # Errors
/// When a file is there already, or is no key.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::New(new) => make(&new.name),
        Command::Show(show) => {
            let public = read(&show.file)?;
            print(&public.to_text(&stem(&show.file)))
        }
    }
}

fn make(name: &Path) -> Result<(), Failure> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|why| Failure::new(Exit::Bug, anyhow::anyhow!("no random numbers: {why}")))?;
    let secret = SecretKey::from_random(&random);
    let (key, public) = (with_ending(name, "key"), with_ending(name, "pub"));
    for file in [&key, &public] {
        if file.exists() {
            return Err(Failure::usage(format!(
                "{} is there already; a key is never overwritten",
                file.display()
            )));
        }
    }
    write_new(&key, &secret.to_text(), 0o600)?;
    let text = secret.public().to_text(&stem(name));
    write_new(&public, &text, 0o644)?;
    log::info!("event=keys_made secret={} public={}", key.display(), public.display());
    print(&text)
}

fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut file = name.as_os_str().to_owned();
    file.push(".");
    file.push(ending);
    PathBuf::from(file)
}

fn stem(name: &Path) -> String {
    name.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Created with its rights, never opened to others even for a moment.
fn write_new(file: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written
        .or_exit(Exit::Usage)
        .map_err(|failure| failure.context(format!("writing {}", file.display())))
}

/// The public key of a public or secret key's file.
fn read(file: &Path) -> Result<PublicKey, Failure> {
    let bytes = read_bounded(file, MAX_KEY_BYTES).or_exit(Exit::Usage)?;
    let text = String::from_utf8_lossy(&bytes);
    let public = PublicKey::parse(&text).or_else(|_| SecretKey::parse(&text).map(|secret| secret.public()));
    public
        .or_exit(Exit::Usage)
        .map_err(|failure| failure.context(file.display().to_string()))
}
