//! What libedgetpu says of itself and its devices (`edgetpu_c.h`), where it has functions for that.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{c_char, c_int};

use libloading::Library;

use crate::backend::tflite::text;

/// libedgetpu's version, where the library has the function for it (`edgetpu_c.h`).
pub(super) fn version(library: &'static Library) -> Option<String> {
    // SAFETY: the type is the one that edgetpu_c.h declares; it gives a static string.
    let version = unsafe { library.get::<unsafe extern "C" fn() -> *const c_char>(b"edgetpu_version\0") }.ok()?;
    // SAFETY: as above.
    Some(text(unsafe { version() }))
}

#[repr(C)]
struct EdgeTpuDevice {
    kind: c_int,
    path: *const c_char,
}

/// Edge TPUs that libedgetpu sees, e.g. `pci /dev/apex_0`; none where the library has no function for it.
pub(super) fn devices(library: &'static Library) -> Option<Vec<String>> {
    type List = unsafe extern "C" fn(*mut usize) -> *mut EdgeTpuDevice;
    type Free = unsafe extern "C" fn(*mut EdgeTpuDevice);
    // SAFETY: the types are those that edgetpu_c.h declares.
    let (list, free) = unsafe {
        let list = library.get::<List>(b"edgetpu_list_devices\0").ok()?;
        (list, library.get::<Free>(b"edgetpu_free_devices\0").ok()?)
    };
    let mut count = 0;
    // SAFETY: `count` is written; the list has so many entries until it is freed.
    unsafe {
        let first = list(&raw mut count);
        if first.is_null() {
            return Some(Vec::new());
        }
        let devices = std::slice::from_raw_parts(first, count);
        let name = |d: &EdgeTpuDevice| format!("{} {}", if d.kind == 0 { "pci" } else { "usb" }, text(d.path));
        let names = devices.iter().map(name).collect();
        free(first);
        Some(names)
    }
}
