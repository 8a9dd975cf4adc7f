//! A compiled network of OpenVINO 2022's old C API, and its runs.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::c_int;
use std::ptr;

use super::super::sys::{Api, Dimensions, Opaque, c_string, ok};

/// `ie_infer_request_t` with the compiled network that it is of.
pub(in super::super) struct Request {
    api: Api,
    compiled: Opaque,
    request: Opaque,
}

// SAFETY: the library's objects may move between threads, and `&mut self` keeps calls apart.
unsafe impl Send for Request {}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: each freed once, the request before what it is of.
        unsafe {
            (self.api.0.ie_infer_request_free)(&raw mut self.request);
            (self.api.0.ie_exec_network_free)(&raw mut self.compiled);
        }
    }
}

impl Request {
    /// Of a compiled network, which it frees.
    pub(in super::super) fn of(api: Api, mut compiled: Opaque) -> Result<Self, String> {
        let mut request = ptr::null_mut();
        // SAFETY: the compiled network just made, and a place of ours that the call fills.
        let status = unsafe { (api.0.ie_exec_network_create_infer_request)(compiled, &raw mut request) };
        if let Err(why) = ok("request", status) {
            // SAFETY: freed once, and not used after.
            unsafe { (api.0.ie_exec_network_free)(&raw mut compiled) };
            return Err(why);
        }
        Ok(Self { api, compiled, request })
    }

    /// Runs once.
    pub(in super::super) fn infer(&mut self) -> Result<(), String> {
        // SAFETY: a live request; its blobs are its own.
        ok("run", unsafe { (self.api.0.ie_infer_request_infer)(self.request) })
    }

    /// Lends the memory of one value: its dimensions, its precision (`precision_e`) and its bytes.
    pub(in super::super) fn value<T>(
        &mut self,
        name: &str,
        with: impl FnOnce(&Dimensions, c_int, &mut [u8]) -> T,
    ) -> Result<T, String> {
        let api = self.api.0;
        let text = c_string(name)?;
        let mut blob = ptr::null_mut();
        // SAFETY: a live request and name, and a place of ours that the call fills.
        ok(name, unsafe {
            (api.ie_infer_request_get_blob)(self.request, text.as_ptr(), &raw mut blob)
        })?;
        let (mut dims, mut precision, mut length, mut buffer) = (Dimensions::NONE, 0, 0, ptr::null_mut());
        // SAFETY: the blob just given; the places are ours.
        let statuses = unsafe {
            [
                (api.ie_blob_get_dims)(blob, &raw mut dims),
                (api.ie_blob_get_precision)(blob, &raw mut precision),
                (api.ie_blob_byte_size)(blob, &raw mut length),
                (api.ie_blob_get_buffer)(blob, &raw mut buffer),
            ]
        };
        let failed = statuses.into_iter().find_map(|status| ok(name, status).err());
        let length = usize::try_from(length).unwrap_or(0);
        let done = match failed {
            Some(why) => Err(why),
            None if buffer.is_null() => Err(format!("{name} has no memory")),
            None => {
                // SAFETY: the blob's own memory of its own length; no run goes on while `self` is borrowed.
                let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
                Ok(with(&dims, precision, bytes))
            }
        };
        // SAFETY: gives the handle back, freed once; the memory is the request's.
        unsafe { (api.ie_blob_free)(&raw mut blob) };
        done
    }
}
