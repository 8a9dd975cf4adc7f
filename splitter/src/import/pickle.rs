//! Reads the pickles that the reference tool leaves, and executes nothing.
//!
//! A pickle is a program for a stack machine, and its instructions GLOBAL and REDUCE call what they name. Here they can
//! name seven things of NumPy's, which stand for an array or its type and are built by this file; every other name,
//! and every instruction that makes an object of a class, is refused. Objects live in one list and refer to each other by
//! index, so a pickle that refers to itself a billion times costs what its bytes cost.
//!
//! Source: CPython `Lib/pickletools.py` (opcodes), NumPy `_reconstruct`, `ndarray.__setstate__`, `dtype.__setstate__`.
//! The crate serde-pickle was looked at: it reads plain data well, but an array would be refused or dropped.

mod cursor;
mod machine;
mod numpy;
mod object;

pub use machine::read;
pub use object::{Array, Objects, PickleError};
