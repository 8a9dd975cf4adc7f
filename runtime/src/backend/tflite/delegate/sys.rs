//! External delegates: a vendor's library that takes over operators of TensorFlow Lite.
//!
//! Owns: making and destroying one. Must not know: which vendor's.
//! Its two functions are those that `tensorflow/lite/delegates/external/external_delegate.cc` looks for.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{CString, c_char, c_void};
use std::ptr::NonNull;

use libloading::Library;

use super::super::library::{Messages, Opaque, reason, text};

type CreateDelegate =
    unsafe extern "C" fn(*const *const c_char, *const *const c_char, usize, extern "C" fn(*const c_char)) -> Opaque;

/// An external delegate.
pub(crate) struct Delegate {
    raw: NonNull<c_void>,
    destroy: unsafe extern "C" fn(Opaque),
}

/// What the delegate that is being made says; its callback has no other place to go.
static DELEGATE_SAYS: Messages = Messages::new();

extern "C" fn delegate_reports(message: *const c_char) {
    DELEGATE_SAYS.add(&text(message));
}

impl Delegate {
    /// For the interpreter that it is given to.
    pub(crate) fn as_ptr(&self) -> Opaque {
        self.raw.as_ptr()
    }

    /// Makes one with these options; fails with what it says, e.g. that there is no device.
    #[cfg_attr(
        not(feature = "edgetpu"),
        allow(dead_code, reason = "for those who bring a delegate")
    )]
    pub(crate) fn create(library: &'static Library, options: &[(&str, &str)]) -> Result<Self, String> {
        // SAFETY: the types are those that external_delegate.cc calls these names with.
        let (create, destroy) = unsafe {
            let create = library.get::<CreateDelegate>(b"tflite_plugin_create_delegate\0");
            let destroy = library.get::<unsafe extern "C" fn(Opaque)>(b"tflite_plugin_destroy_delegate\0");
            (
                create.map_err(|why| reason(&why))?,
                destroy.map_err(|why| reason(&why))?,
            )
        };
        let string = |text: &str| CString::new(text).map_err(|_| format!("option {text:?} has a zero byte"));
        let keys = options.iter().map(|(k, _)| string(k)).collect::<Result<Vec<_>, _>>()?;
        let values = options.iter().map(|(_, v)| string(v)).collect::<Result<Vec<_>, _>>()?;
        let pointers = |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).collect::<Vec<_>>();
        let (keys, values) = (pointers(&keys), pointers(&values));
        // SAFETY: both arrays have as many strings as is said, and they outlive the call.
        let raw = unsafe { create(keys.as_ptr(), values.as_ptr(), keys.len(), delegate_reports) };
        let raw = NonNull::new(raw).ok_or_else(|| DELEGATE_SAYS.take())?;
        Ok(Self { raw, destroy: *destroy })
    }
}

// SAFETY: a delegate is only used through its interpreter, and destroyed once.
unsafe impl Send for Delegate {}

impl Drop for Delegate {
    fn drop(&mut self) {
        // SAFETY: made by the same library, destroyed once, after the interpreter that used it (see `Interpreter`).
        unsafe { (self.destroy)(self.raw.as_ptr()) }
    }
}
