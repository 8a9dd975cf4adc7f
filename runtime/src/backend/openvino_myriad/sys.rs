//! OpenVINO 2022's old C API, opened at run time, behind types that cannot be misused.
//!
//! Owns: the library, its core and devices. Must not know: what tensors mean. Networks are in `network/sys.rs`, runs in
//! `session/sys.rs`. The functions and their rules are those of
//! `src/bindings/c/include/c_api/ie_c_api.h` of OpenVINO 2022.2, the last of PyPI that carries the MYRIAD plugin.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use libloading::Library;

use super::network::sys::Network;
use super::session::sys::Request;

/// An object of the library; never looked into.
pub(super) type Opaque = *mut c_void;

/// `dimensions_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Dimensions {
    pub(super) ranks: usize,
    pub(super) dims: [usize; 8],
}

/// `input_shape_t` and `input_shapes_t`.
#[repr(C)]
pub(super) struct InputShape {
    pub(super) name: *mut c_char,
    pub(super) shape: Dimensions,
}

#[repr(C)]
pub(super) struct InputShapes {
    pub(super) shapes: *mut InputShape,
    pub(super) shape_num: usize,
}

/// `ie_available_devices_t`.
#[repr(C)]
pub(super) struct Devices {
    devices: *mut *mut c_char,
    num_devices: usize,
}

/// `ie_config_t`: a linked list.
#[repr(C)]
pub(super) struct Config {
    name: *const c_char,
    value: *const c_char,
    next: *mut Config,
}

macro_rules! functions {
    ($($symbol:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The library's functions.
        pub(super) struct Functions {
            $(pub(super) $symbol: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            fn of(library: &'static Library) -> Result<Self, String> {
                Ok(Self {
                    $($symbol: {
                        // SAFETY: the type is the one that ie_c_api.h declares for this name, and the library is never closed.
                        *unsafe { library.get(concat!(stringify!($symbol), "\0").as_bytes()) }.map_err(|why| reason(&why))?
                    },)*
                })
            }
        }
    };
}

functions! {
    ie_c_api_version: fn() -> *mut c_char;
    ie_core_create: fn(*const c_char, *mut Opaque) -> c_int;
    ie_core_get_available_devices: fn(Opaque, *mut Devices) -> c_int;
    ie_core_available_devices_free: fn(*mut Devices);
    ie_core_read_network: fn(Opaque, *const c_char, *const c_char, *mut Opaque) -> c_int;
    ie_core_import_network_from_memory: fn(Opaque, *const u8, usize, *const c_char, *const Config, *mut Opaque) -> c_int;
    ie_core_set_config: fn(Opaque, *const Config, *const c_char) -> c_int;
    ie_core_load_network: fn(Opaque, Opaque, *const c_char, *const Config, *mut Opaque) -> c_int;
    ie_network_free: fn(*mut Opaque);
    ie_network_get_inputs_number: fn(Opaque, *mut usize) -> c_int;
    ie_network_get_outputs_number: fn(Opaque, *mut usize) -> c_int;
    ie_network_get_input_name: fn(Opaque, usize, *mut *mut c_char) -> c_int;
    ie_network_get_output_name: fn(Opaque, usize, *mut *mut c_char) -> c_int;
    ie_network_name_free: fn(*mut *mut c_char);
    ie_network_get_input_dims: fn(Opaque, *const c_char, *mut Dimensions) -> c_int;
    ie_network_get_output_dims: fn(Opaque, *const c_char, *mut Dimensions) -> c_int;
    ie_network_get_input_precision: fn(Opaque, *const c_char, *mut c_int) -> c_int;
    ie_network_get_output_precision: fn(Opaque, *const c_char, *mut c_int) -> c_int;
    ie_network_set_input_precision: fn(Opaque, *const c_char, c_int) -> c_int;
    ie_network_reshape: fn(Opaque, InputShapes) -> c_int;
    ie_exec_network_create_infer_request: fn(Opaque, *mut Opaque) -> c_int;
    ie_exec_network_free: fn(*mut Opaque);
    ie_infer_request_get_blob: fn(Opaque, *const c_char, *mut Opaque) -> c_int;
    ie_infer_request_infer: fn(Opaque) -> c_int;
    ie_infer_request_free: fn(*mut Opaque);
    ie_blob_byte_size: fn(Opaque, *mut c_int) -> c_int;
    ie_blob_get_buffer: fn(Opaque, *mut *mut c_void) -> c_int;
    ie_blob_get_dims: fn(Opaque, *mut Dimensions) -> c_int;
    ie_blob_get_precision: fn(Opaque, *mut c_int) -> c_int;
    ie_blob_free: fn(*mut Opaque);
}

/// The functions that were opened; never closed, for vendors' libraries do not survive that.
#[derive(Clone, Copy)]
pub(super) struct Api(pub(super) &'static Functions);

/// libloading's own text hides why the loader refused.
fn reason(why: &libloading::Error) -> String {
    std::error::Error::source(why).map_or_else(|| why.to_string(), ToString::to_string)
}

pub(super) fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text:?} has a NUL in it"))
}

/// What a status means (`IEStatusCode`).
pub(super) fn ok(doing: &str, status: c_int) -> Result<(), String> {
    let name = match status {
        0 => return Ok(()),
        -1 => "general error",
        -2 => "not implemented",
        -3 => "network not loaded",
        -4 => "parameter mismatch",
        -5 => "not found",
        -6 => "out of bounds",
        -7 => "unexpected",
        -8 => "request busy",
        -9 => "result not ready",
        -10 => "not allocated",
        -11 => "inference not started",
        -12 => "network not read",
        -13 => "inference cancelled",
        _ => "unknown status",
    };
    Err(format!("{doing}: {name} ({status})"))
}

impl Dimensions {
    /// The dimensions; none where the rank is over the library's own bound.
    pub(super) fn list(&self) -> Option<&[usize]> {
        self.dims.get(..self.ranks)
    }

    /// Before a call fills it.
    pub(super) const NONE: Self = Self { ranks: 0, dims: [0; 8] };
}

impl Api {
    /// Opens the library.
    pub(super) fn open(file: &Path) -> Result<Self, String> {
        // SAFETY: the library is one of OpenVINO by the user's word; its initialisers are its vendor's.
        let library = unsafe { Library::new(file) }.map_err(|why| reason(&why))?;
        let library: &'static Library = Box::leak(Box::new(library));
        let functions = Functions::of(library)?;
        Ok(Self(Box::leak(Box::new(functions))))
    }

    /// The library's version, e.g. `2022.2.0-7713-…`.
    pub(super) fn version(self) -> String {
        // SAFETY: gives a struct of one pointer to a string of its own, which is left to it.
        let text = unsafe { (self.0.ie_c_api_version)() };
        // SAFETY: the string just given, NUL-terminated.
        let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
        text.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
    }

    /// A core, which knows the plugins beside the library.
    pub(super) fn core(self) -> Result<Core, String> {
        let mut core = ptr::null_mut();
        // SAFETY: an empty file name asks for the plugins' list beside the library; the place for the core is ours.
        ok("core", unsafe { (self.0.ie_core_create)(c"".as_ptr(), &raw mut core) })?;
        Ok(Core { api: self, core })
    }
}

/// `ie_core_t`. Never freed: with it the plugins' libraries would be closed.
#[derive(Clone, Copy)]
pub(super) struct Core {
    api: Api,
    core: Opaque,
}

impl Core {
    /// The devices that are there now.
    pub(super) fn devices(&self) -> Result<Vec<String>, String> {
        let mut list = Devices {
            devices: ptr::null_mut(),
            num_devices: 0,
        };
        // SAFETY: a live core, and a place of ours that the call fills.
        ok("devices", unsafe {
            (self.api.0.ie_core_get_available_devices)(self.core, &raw mut list)
        })?;
        let name = |index| {
            // SAFETY: the list has this many strings, each NUL-terminated.
            unsafe { CStr::from_ptr(*list.devices.add(index)) }
                .to_string_lossy()
                .into_owned()
        };
        let names = (0..list.num_devices).map(name).collect();
        // SAFETY: the list that the call above filled, freed once.
        unsafe { (self.api.0.ie_core_available_devices_free)(&raw mut list) };
        Ok(names)
    }

    /// Reads an IR, or an ONNX model with weights beside it, from files.
    pub(super) fn read_files(&self, model: &str, weights: &str) -> Result<Network, String> {
        let (model, weights) = (c_string(model)?, c_string(weights)?);
        let mut network = ptr::null_mut();
        // SAFETY: two strings that live through the call.
        let status =
            unsafe { (self.api.0.ie_core_read_network)(self.core, model.as_ptr(), weights.as_ptr(), &raw mut network) };
        ok("reading the model", status)?;
        Ok(Network { api: self.api, network })
    }

    /// Settings of one device, for every network that is loaded on it, alone or in a list.
    pub(super) fn set(&self, device: &str, settings: &[(&str, &str)]) -> Result<(), String> {
        let name = c_string(device)?;
        with_config(settings, |config| {
            // SAFETY: a live core; name and settings live through the call.
            let status = unsafe { (self.api.0.ie_core_set_config)(self.core, config, name.as_ptr()) };
            ok(&format!("settings of {device}"), status)
        })
    }

    /// Compiles a network for a device.
    pub(super) fn load(&self, network: &Network, device: &str) -> Result<Request, String> {
        let name = c_string(device)?;
        with_config(&[], |config| {
            let mut compiled = ptr::null_mut();
            // SAFETY: a live core and network; name and settings live through the call.
            let status = unsafe {
                let load = self.api.0.ie_core_load_network;
                load(self.core, network.network, name.as_ptr(), config, &raw mut compiled)
            };
            ok(&format!("loading on {device}"), status)?;
            Request::of(self.api, compiled)
        })
    }

    /// Takes a network that was compiled before.
    pub(super) fn import(&self, blob: &[u8], device: &str) -> Result<Request, String> {
        let device_name = c_string(device)?;
        with_config(&[], |config| {
            let mut compiled = ptr::null_mut();
            // SAFETY: the bytes, the name and the settings live through the call.
            let status = unsafe {
                let import = self.api.0.ie_core_import_network_from_memory;
                import(
                    self.core,
                    blob.as_ptr(),
                    blob.len(),
                    device_name.as_ptr(),
                    config,
                    &raw mut compiled,
                )
            };
            ok(&format!("importing on {device}"), status)?;
            Request::of(self.api, compiled)
        })
    }
}

/// Builds the linked list of settings for one call.
fn with_config<T>(
    settings: &[(&str, &str)],
    call: impl FnOnce(*const Config) -> Result<T, String>,
) -> Result<T, String> {
    let strings = settings
        .iter()
        .map(|(name, value)| Ok((c_string(name)?, c_string(value)?)));
    let strings = strings.collect::<Result<Vec<_>, String>>()?;
    // The library takes a list whose last entry is empty.
    let mut list = vec![Config {
        name: ptr::null(),
        value: ptr::null(),
        next: ptr::null_mut(),
    }];
    list.extend(strings.iter().map(|(name, value)| Config {
        name: name.as_ptr(),
        value: value.as_ptr(),
        next: ptr::null_mut(),
    }));
    for index in 1..list.len() {
        let next: *mut Config = &raw mut list[index - 1];
        list[index].next = next;
    }
    let first: *const Config = list.last().map_or(ptr::null(), |last| &raw const *last);
    call(first)
}
