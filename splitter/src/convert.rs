//! Turns parts into what vendors' runtimes load, and says how far each result is from the part as it was cut.
//!
//! Owns: the kinds of artifacts, the converters and where they are kept, the comparison, the manifest's entry.
//! Must not know: why a part was cut there. Start at [`add`]; a new kind is one line in [`Kind`] and one arm in `make`;
//! what is too far off to be taken is in `judge`.
//! Every result is compared with ONNX Runtime on the same inputs before it is listed; what nothing here can run, a MYRIAD blob
//! or what `edgetpu_compiler` wrote, is listed without a comparison, and the bundle's self-test judges it on the board.

mod add;
mod answers;
mod compile;
mod fixed;
mod half;
mod judge;
mod kind;
mod python;
mod samples;
mod tools;

use std::path::PathBuf;

pub use add::{Request, add};
pub use compile::ready;
pub use kind::{Kind, kinds_of};
pub use samples::{Samples, reference};
pub use tools::{Tool, folder, is_there, setup};

use crate::exit::{Exit, Failure};

/// What a converter made of a part.
struct Made {
    /// What the manifest will say of it.
    conversion: kerf_wire::manifest::Conversion,
    /// What it gave for each sample.
    got: Vec<samples::Values>,
}

/// Why a part was not converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A converter is not installed.
    #[error("{what} is not there: {how}")]
    Missing {
        /// Which.
        what: String,
        /// How to get it.
        how: String,
    },
    /// A converter does not take the part.
    #[error("{kind} of part {part}: {why}; the converter's log is {}", log.display())]
    Refused {
        /// What was to be made.
        kind: Kind,
        /// Of which part.
        part: usize,
        /// What the converter says.
        why: String,
        /// All that it said.
        log: PathBuf,
    },
    /// The part cannot be converted at all.
    #[error("{kind} of part {part}: {why}")]
    Unfit {
        /// What was to be made.
        kind: Kind,
        /// Of which part.
        part: usize,
        /// What is in the way.
        why: String,
    },
    /// It answers otherwise than the part as it was cut.
    #[error("{kind} of part {part} answers otherwise: {what}; calibrate with other --data, or cut elsewhere")]
    Differs {
        /// What was made.
        kind: Kind,
        /// Of which part.
        part: usize,
        /// The measure, what was measured and the limit.
        what: String,
    },
    /// A file cannot be written or read.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: std::io::Error,
    },
}

impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Self {
        let exit = match &error {
            ConvertError::Missing { .. } => Exit::BackendMissing,
            ConvertError::Refused { .. } | ConvertError::Unfit { .. } => Exit::ModelRefused,
            ConvertError::Differs { .. } => Exit::PartsDiffer,
            ConvertError::File { why, .. } if why.kind() == std::io::ErrorKind::StorageFull => Exit::DiskFull,
            ConvertError::File { .. } => Exit::Usage,
        };
        Self::new(exit, error)
    }
}

/// Binds an I/O error to its file.
fn at(path: &std::path::Path) -> impl Fn(std::io::Error) -> ConvertError {
    let path = path.to_owned();
    move |why| ConvertError::File {
        path: path.clone(),
        why,
    }
}
