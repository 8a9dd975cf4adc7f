//! What takes a bundle to a cloud: container images, and descriptions for OSCAR and Kubernetes.
//!
//! Owns: the files that are written. Must not know: any cluster; `oscar` talks to one.
//! Start at [`image::write`] for the container, at [`manifests::write`] for everything around it.

mod content;
pub mod elf;
pub mod image;
pub mod layer;
pub mod manifests;
mod oci;
pub mod parts;
pub mod scalar;

/// Longest program that goes into an image, bytes.
pub const MAX_PROGRAM_BYTES: u64 = 512 * 1024 * 1024;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// A file cannot be read or written.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// The cause.
        why: std::io::Error,
    },
    /// It is there already, and is not ours to replace.
    #[error("{0} is there already")]
    Exists(String),
    /// The program does not run in an empty root.
    #[error("{file}: {why}")]
    Program {
        /// The program's file.
        file: String,
        /// What is wrong with it.
        why: elf::NotUsable,
    },
    /// Two programs for one architecture.
    #[error("two programs for {0}: one an architecture is enough")]
    TwoPrograms(&'static str),
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] kerf_runtime::bundle::BundleError),
    /// A name, image, quantity or topic that Kubernetes or OSCAR would refuse.
    #[error(transparent)]
    Scalar(#[from] scalar::Wrong),
}

pub(crate) fn file_error(file: &std::path::Path) -> impl Fn(std::io::Error) -> CloudError {
    move |why| CloudError::File {
        file: file.display().to_string(),
        why,
    }
}
