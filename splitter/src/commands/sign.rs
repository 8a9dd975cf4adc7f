//! `kerf sign`: a bundle that boards take.

use std::io::Write as _;
use std::path::PathBuf;

use kerf_runtime::bundle::signature::{MAX_KEY_BYTES, SIGNATURE_ENDING, SecretKey};
use kerf_runtime::bundle::{Bundle, manifest_path, read_bounded};
use kerf_wire::manifest::MAX_MANIFEST_BYTES;

use super::print;
use crate::exit::{Exit, Failure, OrExit as _};

/// Sign a bundle's manifest; boards with the key's other half take it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kerf sign bundle --key release.key\n\n\
    Sign last: a command that changes the manifest drops the signature.")]
pub struct Args {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The secret key, from `kerf keys new`.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// Checks every file of the bundle, signs, and writes `manifest.sig` beside the manifest.
///
/// # Errors
/// When the bundle is damaged, the key is none, or the signature cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    let key = read_bounded(&args.key, MAX_KEY_BYTES).or_exit(Exit::Usage)?;
    let key = SecretKey::parse(&String::from_utf8_lossy(&key)).or_exit(Exit::Usage);
    let key = key.map_err(|failure| failure.context(args.key.display().to_string()))?;
    let bundle = Bundle::open(&args.bundle)?;
    // What is signed is what was checked: a signature over a broken bundle would only move the error to the board.
    bundle.verify_all()?;
    let path = manifest_path(&args.bundle);
    let manifest = read_bounded(&path, MAX_MANIFEST_BYTES as u64)?;
    let signature = path.with_extension(SIGNATURE_ENDING);
    let failed = |failure: Failure| failure.context(format!("writing {}", signature.display()));
    let file = tempfile::NamedTempFile::new_in(bundle.dir());
    let mut file = file.or_exit(Exit::Usage).map_err(failed)?;
    file.write_all(key.sign(&manifest).as_bytes())
        .or_exit(Exit::Usage)
        .map_err(failed)?;
    let kept = file.persist(&signature).map_err(|why| why.error);
    kept.or_exit(Exit::Usage).map_err(failed)?;
    print(&format!(
        "bundle {} release {} signed with {}\n",
        bundle.id(),
        bundle.manifest().release,
        key.public()
    ))
}
