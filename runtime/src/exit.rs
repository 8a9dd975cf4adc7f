//! Exit codes: the one table, and how an error gets its code.
//!
//! Owns: which number a program ends with. Must not know: what the commands do.
//! Both `kerf` and `kerf-stage` use it; scripts and services rely on the numbers, so they never change.

use std::fmt;
use std::process::ExitCode;

use crate::backend::{BackendError, RunError, UnknownBackend};
use crate::broker::BrokerError;
use crate::bundle::BundleError;
use crate::object::ObjectError;
use crate::source::SourceError;

/// Why a program ended. Services do not restart on [`Exit::Usage`], [`Exit::ModelRefused`] and [`Exit::BundleRefused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A bug in Kerf.
    Bug = 1,
    /// The command line, the configuration or an input named by them is wrong.
    Usage = 2,
    /// The model is damaged, over a bound, or has something that nothing here runs.
    ModelRefused = 10,
    /// No legal cut is there, or none fits.
    NoCut = 11,
    /// The parts answer otherwise than the whole.
    PartsDiffer = 12,
    /// The bundle's manifest, digests or signature are not right.
    BundleRefused = 20,
    /// A backend, its library or its device is missing.
    BackendMissing = 30,
    /// The engine failed while running.
    RunFailed = 31,
    /// The backend answers the bundle's self-test wrongly.
    SelfTestDiffers = 32,
    /// The broker is not there.
    BrokerUnreachable = 40,
    /// The broker or the store does not authorise us.
    NotAuthorised = 41,
    /// The object store is not there.
    StoreUnreachable = 42,
    /// The disk is full.
    DiskFull = 50,
    /// The spool is damaged beyond its own repair.
    SpoolDamaged = 51,
}

/// An error with the exit code that it ends the program with.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What happened, with its causes.
    pub error: anyhow::Error,
}

impl Failure {
    /// Binds an error to a code.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    /// A wrong command line, configuration or input.
    pub fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, anyhow::anyhow!("{text}"))
    }

    /// Says what was being done.
    #[must_use]
    pub fn context(self, text: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self {
            exit: self.exit,
            error: self.error.context(text),
        }
    }
}

impl fmt::Display for Failure {
    /// One line: the error and its causes, outermost first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{:#}", self.error);
        f.write_str(&line.replace('\n', " "))
    }
}

/// Gives the errors of libraries their exit code.
pub trait OrExit<T> {
    /// Ends with this code where it is an error.
    ///
    /// # Errors
    /// The error itself, with its code.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}

/// Ends a program: prints the failure on one line of standard error and gives the code.
pub fn finish(program: &str, outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{program}: {failure}");
            ExitCode::from(failure.exit as u8)
        }
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let exit = match &error {
            BundleError::Missing { .. } | BundleError::NoSuchPart { .. } => Exit::Usage,
            BundleError::Model { .. } => Exit::ModelRefused,
            _ => Exit::BundleRefused,
        };
        Self::new(exit, error)
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let exit = match &error {
            BackendError::Missing { .. } => Exit::BackendMissing,
            BackendError::Refused { .. } => Exit::ModelRefused,
            BackendError::Option { .. } => Exit::Usage,
            BackendError::SelfTest { .. } => Exit::SelfTestDiffers,
        };
        Self::new(exit, error)
    }
}

impl From<UnknownBackend> for Failure {
    fn from(error: UnknownBackend) -> Self {
        Self::new(Exit::BackendMissing, error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit = match &error {
            RunError::Count { .. } | RunError::Mismatch { .. } => Exit::Usage,
            RunError::Engine(_) | RunError::Unsupported(_) => Exit::RunFailed,
        };
        Self::new(exit, error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Self {
        let exit = match &error {
            BrokerError::Unauthorised { .. } => Exit::NotAuthorised,
            BrokerError::TooLarge { .. } => Exit::Usage,
            BrokerError::Unreachable { .. } => Exit::BrokerUnreachable,
        };
        Self::new(exit, error)
    }
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Self {
        Self::new(error.exit(), error)
    }
}
