//! What the crate `openvino` has no door to: a request's counters. Its own types hide their pointers, so this makes a core, a
//! compiled model and a request of its own, over the same library, which is open by then and never closed.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr;

use openvino_sys as ov;

/// A kernel that was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counter {
    /// The node of OpenVINO's graph, named after the model's.
    pub(super) node: String,
    /// e.g. `Convolution`.
    pub(super) op: String,
    /// The mean of all runs, whole µs.
    pub(super) micros: i64,
}

macro_rules! owned {
    ($name:ident, $object:ty, $free:path) => {
        /// An object of the library, freed when this ends.
        struct $name(*mut $object);

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the library made it, and this alone owns it.
                unsafe { $free(self.0) }
            }
        }
    };
}

owned!(CoreObject, ov::ov_core_t, ov::ov_core_free);
owned!(Model, ov::ov_model_t, ov::ov_model_free);
owned!(Compiled, ov::ov_compiled_model_t, ov::ov_compiled_model_free);
owned!(RequestObject, ov::ov_infer_request_t, ov::ov_infer_request_free);
owned!(Tensor, ov::ov_tensor_t, ov::ov_tensor_free);

/// An OpenVINO of its own: its properties do not touch the session's.
pub(super) struct Core(CoreObject);

/// A compiled model that can be run. The order of the fields is that in which they end.
pub(super) struct Request {
    request: RequestObject,
    _compiled: Compiled,
    _core: Core,
}

fn done(status: ov::ov_status_e) -> Result<(), String> {
    if status == ov::ov_status_e::OK {
        return Ok(());
    }
    // SAFETY: it gives a text that lives until this thread's next error, or nothing.
    Err(text(unsafe { ov::ov_get_last_err_msg() }).unwrap_or_else(|| format!("{status:?}")))
}

/// A text of the library's, copied; none for a null pointer and for nothing.
fn text(from: *const c_char) -> Option<String> {
    if from.is_null() {
        return None;
    }
    // SAFETY: it is not null, and the library ends its texts with a zero.
    let text = unsafe { CStr::from_ptr(from) }.to_string_lossy();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text:?} has a NUL in it"))
}

fn c_path(path: &Path) -> Result<CString, String> {
    c_string(path.to_str().ok_or("the temporary folder's name is not UTF-8")?)
}

impl Core {
    pub(super) fn new() -> Result<Self, String> {
        let mut core = ptr::null_mut();
        // SAFETY: the library is open; `core` outlives the call, and is a core where the status is OK.
        done(unsafe { ov::ov_core_create(&raw mut core) })?;
        Ok(Self(CoreObject(core)))
    }

    /// Sets a property of a device.
    pub(super) fn set(&self, device: &str, property: &str, value: &str) -> Result<(), String> {
        let (device, property, value) = (c_string(device)?, c_string(property)?, c_string(value)?);
        // SAFETY: a live core and texts that end with a zero; one pair is what the declared type passes.
        done(unsafe { ov::ov_core_set_property(self.0.0, device.as_ptr(), property.as_ptr(), value.as_ptr()) })
    }

    /// Reads a model, with the file of its weights where it is an IR, and makes it ready to run.
    pub(super) fn compile(self, model: &Path, weights: Option<&Path>, device: &str) -> Result<Request, String> {
        let (file, device) = (c_path(model)?, c_string(device)?);
        let weights = weights.map_or_else(|| c_string(""), c_path)?;
        let mut model = ptr::null_mut();
        // SAFETY: a live core and texts; `model` outlives the call.
        done(unsafe { ov::ov_core_read_model(self.0.0, file.as_ptr(), weights.as_ptr(), &raw mut model) })?;
        let model = Model(model);
        let mut compiled = ptr::null_mut();
        // SAFETY: core and model are live; no property follows, as the count of 0 says.
        done(unsafe { ov::ov_core_compile_model(self.0.0, model.0, device.as_ptr(), 0, &raw mut compiled) })?;
        let compiled = Compiled(compiled);
        let mut request = ptr::null_mut();
        // SAFETY: the compiled model is live, and `request` outlives the call.
        done(unsafe { ov::ov_compiled_model_create_infer_request(compiled.0, &raw mut request) })?;
        Ok(Request {
            request: RequestObject(request),
            _compiled: compiled,
            _core: self,
        })
    }
}

impl Request {
    /// Writes an input; `shape` where the model leaves one open.
    pub(super) fn write(&mut self, index: usize, shape: Option<&[u32]>, bytes: &[u8]) -> Result<(), String> {
        let mut tensor = ptr::null_mut();
        // SAFETY: the request is live, and `tensor` outlives the call; the handle that it gives is ours to free.
        done(unsafe { ov::ov_infer_request_get_input_tensor_by_index(self.request.0, index, &raw mut tensor) })?;
        let tensor = Tensor(tensor);
        if let Some(shape) = shape {
            let mut dims: Vec<i64> = shape.iter().map(|dim| i64::from(*dim)).collect();
            let rank = i64::try_from(dims.len()).map_err(|why| why.to_string())?;
            let shape = ov::ov_shape_t {
                rank,
                dims: dims.as_mut_ptr(),
            };
            // SAFETY: the tensor is live; the shape is read during the call, while `dims` holds its numbers.
            done(unsafe { ov::ov_tensor_set_shape(tensor.0, shape) })?;
        }
        let (mut size, mut data) = (0_usize, ptr::null_mut());
        // SAFETY: the tensor is live, and `size` outlives the call.
        done(unsafe { ov::ov_tensor_get_byte_size(tensor.0, &raw mut size) })?;
        if size != bytes.len() {
            return Err(format!("input {index} takes {size} bytes, expected {}", bytes.len()));
        }
        // SAFETY: the tensor is live, and `data` outlives the call.
        done(unsafe { ov::ov_tensor_data(tensor.0, &raw mut data) })?;
        if data.is_null() {
            return Ok(());
        }
        // SAFETY: `data` points to `size` bytes of the live tensor, as many as `bytes` has, which lie elsewhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data.cast::<u8>(), size) };
        Ok(())
    }

    /// Runs once.
    pub(super) fn infer(&mut self) -> Result<(), String> {
        // SAFETY: the request is live, and `&mut` keeps others from it.
        done(unsafe { ov::ov_infer_request_infer(self.request.0) })
    }

    /// What was executed, in the order of OpenVINO's graph.
    pub(super) fn counters(&mut self) -> Result<Vec<Counter>, String> {
        let mut list = ov::ov_profiling_info_list_t {
            profiling_infos: ptr::null_mut(),
            size: 0,
        };
        // SAFETY: the request is live, and `list` outlives the call.
        done(unsafe { ov::ov_infer_request_get_profiling_info(self.request.0, &raw mut list) })?;
        let mut counters = Vec::new();
        if !list.profiling_infos.is_null() {
            // SAFETY: the library wrote `size` entries there, which live until the list is freed.
            let all = unsafe { std::slice::from_raw_parts(list.profiling_infos, list.size) };
            let executed = all
                .iter()
                .filter(|info| info.status == ov::ov_profiling_info_t_Status::EXECUTED);
            counters.extend(executed.map(|info| Counter {
                node: text(info.node_name).unwrap_or_default(),
                op: text(info.node_type).unwrap_or_default(),
                micros: info.real_time,
            }));
        }
        // SAFETY: the library filled it, and nothing points into it any more.
        unsafe { ov::ov_profiling_info_list_free(&raw mut list) };
        Ok(counters)
    }
}
