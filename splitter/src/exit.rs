//! How `kerf`'s own errors end the program; the table itself is [`kerf_runtime::exit`].

pub use kerf_runtime::exit::{Exit, Failure, OrExit};

use crate::cut::Illegal;
use crate::emit::EmitError;
use crate::onnx::ReadError;

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let exit = match error {
            ReadError::Missing { .. } => Exit::Usage,
            _ => Exit::ModelRefused,
        };
        Self::new(exit, error)
    }
}

impl From<Illegal> for Failure {
    fn from(error: Illegal) -> Self {
        Self::new(Exit::NoCut, error)
    }
}

impl From<EmitError> for Failure {
    fn from(error: EmitError) -> Self {
        let exit = match &error {
            EmitError::Illegal(_) | EmitError::Manifest(_) => Exit::NoCut,
            EmitError::Read { .. } | EmitError::TooLong { .. } => Exit::ModelRefused,
            EmitError::Write { why, .. } if is_full(why) => Exit::DiskFull,
            EmitError::Write { .. } | EmitError::Occupied { .. } | EmitError::Options(_) => Exit::Usage,
        };
        Self::new(exit, error)
    }
}

fn is_full(why: &std::io::Error) -> bool {
    matches!(
        why.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    )
}
