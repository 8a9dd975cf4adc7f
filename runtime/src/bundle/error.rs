//! Why a bundle, or a bare model, was refused.

use std::path::PathBuf;

use kerf_wire::Digest;
use kerf_wire::manifest::ManifestError;

use super::signature::SignatureError;

/// Why a bundle, or a bare model, was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// What the command line names is not there.
    #[error("{}: {what}", path.display())]
    Missing {
        /// The folder or file.
        path: PathBuf,
        /// Which of the two is missing.
        what: &'static str,
    },
    /// A file of the bundle cannot be read.
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: std::io::Error,
    },
    /// No regular file: links could lead out of the bundle.
    #[error("{} is no regular file: a bundle has neither links nor folders", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Over its bound.
    #[error("{} has {got} bytes, the limit is {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        got: u64,
        /// The bound.
        limit: u64,
    },
    /// The manifest was refused.
    #[error("{}: {why}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The cause.
        why: ManifestError,
    },
    /// The part does not exist.
    #[error("no part {index}: the bundle has {parts}, counted from 0")]
    NoSuchPart {
        /// The part asked for.
        index: usize,
        /// How many there are.
        parts: usize,
    },
    /// The set has no manifest for a frame's cut, or for the whole model.
    #[error("{} has no manifest for {what}", path.display())]
    NotInSet {
        /// The set's folder.
        path: PathBuf,
        /// The cut by its id, or the whole model.
        what: String,
    },
    /// A file has another length than the manifest says.
    #[error("{} has {got} bytes, its manifest says {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: u64,
        /// Its length.
        got: u64,
    },
    /// A file has another digest than the manifest says.
    #[error("{} has SHA-256 {got}, its manifest says {expected}", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: Digest,
        /// What it is.
        got: Digest,
    },
    /// The model's bytes are damaged or over a bound.
    #[error("{}: {why}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Node, tensor or offset, and what is wrong with it.
        why: String,
    },
    /// The stage has no keys, so nobody's bundle is taken.
    #[error(
        "{}: no keys say whose bundles run here: name their folder with --keys, or take any with --allow-unsigned",
        path.display()
    )]
    NoKeys {
        /// The bundle.
        path: PathBuf,
    },
    /// There is no signature beside the manifest.
    #[error("{} is not there: the bundle is not signed, see `kerf sign`", path.display())]
    Unsigned {
        /// Where the signature should lie.
        path: PathBuf,
    },
    /// Not signed by a key of this stage.
    #[error("{}: {why}", path.display())]
    Signature {
        /// The signature, or the key that is none.
        path: PathBuf,
        /// The cause.
        why: SignatureError,
    },
    /// Older than what has already run here.
    #[error("{}: release {got} is older than {floor}, which has run here", path.display())]
    TooOld {
        /// The manifest.
        path: PathBuf,
        /// Its release.
        got: u64,
        /// The lowest that is taken.
        floor: u64,
    },
    /// The file with the lowest release has none.
    #[error("{} has no release number: a floor that is lost is not a floor of 0", path.display())]
    Floor {
        /// The file.
        path: PathBuf,
    },
    /// More keys than a stage holds.
    #[error("{} has more than {} keys", path.display(), super::trust::MAX_KEYS)]
    TooManyKeys {
        /// The folder.
        path: PathBuf,
    },
}
