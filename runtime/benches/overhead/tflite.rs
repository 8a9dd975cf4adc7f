//! TensorFlow Lite with nothing around it.

mod sys;

pub(crate) use sys::Bare;
