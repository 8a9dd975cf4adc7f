//! Opening vendors' libraries, and hearing what they say of errors.
//!
//! Owns: the libraries that are open, and the callback that the C API reports through. Must not know: what for.
//! A library is never closed again: it leaves threads and statics behind.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::Library;

use crate::limits::MAX_VENDOR_MESSAGE_BYTES;

/// A foreign object.
pub(crate) type Opaque = *mut c_void;
/// The C API's error reporter: its own pointer, a format and a `va_list`.
pub(crate) type Report = extern "C" fn(*mut c_void, *const c_char, *mut c_void);

unsafe extern "C" {
    /// The C library's. A `va_list` argument is a pointer on every Linux ABI that we build for: an array that decays
    /// (x86-64), a struct of 32 bytes passed by reference (AArch64), a struct of one pointer (AArch32).
    fn vsnprintf(into: *mut c_char, length: usize, format: *const c_char, arguments: *mut c_void) -> c_int;
}

/// libloading's text hides the loader's reason; this is both.
pub(crate) fn reason(why: &libloading::Error) -> String {
    std::error::Error::source(why).map_or_else(|| why.to_string(), ToString::to_string)
}

/// A shared library, opened once a process and never closed.
pub(crate) fn open(path: &Path) -> Result<&'static Library, String> {
    static OPENED: Mutex<Vec<(PathBuf, &'static Library)>> = Mutex::new(Vec::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, library)) = opened.iter().find(|(p, _)| p == path) {
        return Ok(*library);
    }
    // SAFETY: opening runs the library's constructors; it is the vendor's own library, named by the person who runs us.
    let library = unsafe { Library::new(path) }.map_err(|why| reason(&why))?;
    let library: &'static Library = Box::leak(Box::new(library));
    opened.push((path.to_owned(), library));
    Ok(library)
}

/// What the library says of errors: it has no other way than a callback.
#[derive(Default)]
pub(crate) struct Messages(Mutex<String>);

impl Messages {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(String::new()))
    }

    pub(crate) fn add(&self, text: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() + text.len() < MAX_VENDOR_MESSAGE_BYTES {
            let separator = if all.is_empty() { "" } else { "; " };
            all.push_str(separator);
            all.push_str(text.trim());
        }
    }

    pub(crate) fn take(&self) -> String {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return "the library gives no reason".to_owned();
        }
        std::mem::take(&mut all)
    }
}

/// Adds a message to the [`Messages`] that the reporter was registered with.
pub(crate) extern "C" fn report(messages: *mut c_void, format: *const c_char, arguments: *mut c_void) {
    let mut text = [0_u8; 512];
    // SAFETY: `format` and its arguments are the caller's own pair; what is written is bounded and ends with a zero.
    let written = unsafe { vsnprintf(text.as_mut_ptr().cast(), text.len(), format, arguments) };
    let text = CStr::from_bytes_until_nul(&text).map(CStr::to_string_lossy);
    if let (true, Ok(text)) = (written > 0, text) {
        // SAFETY: the pointer is to the `Messages` of the interpreter that is calling, which outlives it.
        unsafe { &*messages.cast::<Messages>() }.add(&text);
    }
}

/// A foreign string; empty where it is null.
pub(crate) fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: the library's strings end with a zero and live as long as what they name, which the caller holds.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
