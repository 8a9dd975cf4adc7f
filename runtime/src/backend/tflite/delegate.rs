//! External delegates.

mod sys;

pub(crate) use sys::Delegate;
