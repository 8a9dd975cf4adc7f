//! `kerf sign`: a bundle that boards take.

use std::path::{Path, PathBuf};

use kerf_runtime::bundle::signature::{MAX_KEY_BYTES, PublicKey, SIGNATURE_ENDING, SecretKey, verify_file};
use kerf_runtime::bundle::{Bundle, manifest_path, read_bounded};
use kerf_wire::manifest::MAX_MANIFEST_BYTES;

use super::{print, write_whole};
use crate::exit::{Exit, Failure, OrExit as _};

/// Longest file that is signed as it is, bytes.
const MAX_SIGNED_BYTES: u64 = 16 * 1024 * 1024;

/// Sign a bundle's manifest; boards with the key's other half take it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kerf sign bundle --key release.key\n  kerf sign --file SHA256SUMS --key release.key\n  \
    kerf sign --file SHA256SUMS --check release.pub\n\n\
    Sign last: a command that changes the manifest drops the signature."
)]
pub struct Args {
    /// The bundle's folder.
    #[arg(required_unless_present = "file")]
    pub bundle: Option<PathBuf>,
    /// Sign any file instead, e.g. a release's checksums; the signature lies beside it with .sig behind its name.
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    pub file: Option<PathBuf>,
    /// The secret key, from `kerf keys new`.
    #[arg(long, value_name = "FILE", required_unless_present = "check")]
    pub key: Option<PathBuf>,
    /// Check a file's signature with this public key instead of signing.
    #[arg(long, value_name = "FILE", requires = "file", conflicts_with = "key")]
    pub check: Option<PathBuf>,
}

/// Signs, or checks a signature.
///
/// # Errors
/// When the bundle is damaged, the key is none, a signature is wrong (20), or one cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    match (&args.file, &args.bundle, &args.key, &args.check) {
        (Some(file), _, _, Some(key)) => check(file, key),
        (Some(file), _, Some(key), None) => sign_file(file, key),
        (None, Some(bundle), Some(key), _) => sign(bundle, key),
        _ => Err(Failure::usage("a bundle or --file, and --key or --check are needed")),
    }
}

/// Checks every file of the bundle, signs, and writes `manifest.sig` beside the manifest.
fn sign(place: &Path, key: &Path) -> Result<(), Failure> {
    let key = secret(key)?;
    let bundle = Bundle::open(place)?;
    // What is signed is what was checked: a signature over a broken bundle would only move the error to the board.
    bundle.verify_all()?;
    let path = manifest_path(place);
    let manifest = read_bounded(&path, MAX_MANIFEST_BYTES as u64)?;
    write_whole(&path.with_extension(SIGNATURE_ENDING), key.sign(&manifest).as_bytes())?;
    print(&format!(
        "bundle {} release {} signed with {}\n",
        bundle.id(),
        bundle.manifest().release,
        key.public()
    ))
}

fn sign_file(file: &Path, key: &Path) -> Result<(), Failure> {
    let key = secret(key)?;
    let contents = read_bounded(file, MAX_SIGNED_BYTES).or_exit(Exit::Usage)?;
    write_whole(&signature_of(file), key.sign_file(&contents).as_bytes())?;
    print(&format!("{} signed with {}\n", file.display(), key.public()))
}

fn check(file: &Path, key: &Path) -> Result<(), Failure> {
    let text = |path: &Path| {
        let bytes = read_bounded(path, MAX_KEY_BYTES).or_exit(Exit::Usage)?;
        Ok::<_, Failure>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let public = PublicKey::parse(&text(key)?).or_exit(Exit::Usage);
    let public = public.map_err(|failure| failure.context(key.display().to_string()))?;
    let contents = read_bounded(file, MAX_SIGNED_BYTES).or_exit(Exit::Usage)?;
    let signed = verify_file(&contents, &text(&signature_of(file))?, &[public]).or_exit(Exit::BundleRefused);
    let by = signed.map_err(|failure| failure.context(file.display().to_string()))?;
    print(&format!("{} was signed with {by}\n", file.display()))
}

fn secret(file: &Path) -> Result<SecretKey, Failure> {
    let key = read_bounded(file, MAX_KEY_BYTES).or_exit(Exit::Usage)?;
    let key = SecretKey::parse(&String::from_utf8_lossy(&key)).or_exit(Exit::Usage);
    key.map_err(|failure| failure.context(file.display().to_string()))
}

/// `FILE.sig`.
fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(SIGNATURE_ENDING);
    name.into()
}
