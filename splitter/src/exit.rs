//! How `kerf`'s own errors end the program; the table itself is [`kerf_runtime::exit`].

pub use kerf_runtime::exit::{Exit, Failure, OrExit};

use crate::cut::Illegal;
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
