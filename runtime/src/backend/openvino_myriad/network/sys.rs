//! A network of OpenVINO 2022's old C API, before it is compiled.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{CStr, c_int};
use std::ptr;

use super::super::sys::{Api, Dimensions, InputShape, InputShapes, Opaque, c_string, ok};

/// Which side of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Side {
    Input,
    Output,
}

/// `ie_network_t`.
pub(in super::super) struct Network {
    pub(in super::super) api: Api,
    pub(in super::super) network: Opaque,
}

impl Drop for Network {
    fn drop(&mut self) {
        // SAFETY: freed once, and not used after.
        unsafe { (self.api.0.ie_network_free)(&raw mut self.network) };
    }
}

impl Network {
    /// The names of one side, in the library's order, which is that of the alphabet.
    pub(in super::super) fn names(&self, side: Side) -> Result<Vec<String>, String> {
        let api = self.api.0;
        let (count, name) = match side {
            Side::Input => (api.ie_network_get_inputs_number, api.ie_network_get_input_name),
            Side::Output => (api.ie_network_get_outputs_number, api.ie_network_get_output_name),
        };
        let mut number = 0;
        // SAFETY: a live network, and a place of ours that the call fills.
        ok("names", unsafe { count(self.network, &raw mut number) })?;
        let one = |index| {
            let mut text = ptr::null_mut();
            // SAFETY: an index below the number just told.
            ok("name", unsafe { name(self.network, index, &raw mut text) })?;
            // SAFETY: the string just given, NUL-terminated.
            let owned = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
            // SAFETY: that string, freed once.
            unsafe { (api.ie_network_name_free)(&raw mut text) };
            Ok(owned)
        };
        (0..number).map(one).collect()
    }

    /// Dimensions and precision (`precision_e`) of one value.
    pub(in super::super) fn about(&self, side: Side, name: &str) -> Result<(Dimensions, c_int), String> {
        let api = self.api.0;
        let (dims, precision) = match side {
            Side::Input => (api.ie_network_get_input_dims, api.ie_network_get_input_precision),
            Side::Output => (api.ie_network_get_output_dims, api.ie_network_get_output_precision),
        };
        let text = c_string(name)?;
        let (mut shape, mut kind) = (Dimensions::NONE, 0);
        // SAFETY: a live network and name, and a place of ours that the call fills.
        ok(name, unsafe { dims(self.network, text.as_ptr(), &raw mut shape) })?;
        // SAFETY: as above.
        ok(name, unsafe { precision(self.network, text.as_ptr(), &raw mut kind) })?;
        Ok((shape, kind))
    }

    /// Says in which type an input comes.
    pub(in super::super) fn set_input_precision(&mut self, name: &str, precision: c_int) -> Result<(), String> {
        let text = c_string(name)?;
        // SAFETY: a live network and name; the precision is one of the library's.
        ok(name, unsafe {
            (self.api.0.ie_network_set_input_precision)(self.network, text.as_ptr(), precision)
        })
    }

    /// Fixes the shapes of inputs.
    pub(in super::super) fn reshape(&mut self, shapes: &[(String, Vec<usize>)]) -> Result<(), String> {
        let names = shapes
            .iter()
            .map(|(name, _)| c_string(name))
            .collect::<Result<Vec<_>, _>>()?;
        let mut list = Vec::with_capacity(shapes.len());
        for ((name, dims), text) in shapes.iter().zip(&names) {
            let mut shape = Dimensions {
                ranks: dims.len(),
                ..Dimensions::NONE
            };
            let room = shape.dims.get_mut(..dims.len());
            room.ok_or_else(|| format!("{name} has more than 8 dimensions"))?
                .copy_from_slice(dims);
            list.push(InputShape {
                name: text.as_ptr().cast_mut(),
                shape,
            });
        }
        let shapes = InputShapes {
            shapes: list.as_mut_ptr(),
            shape_num: list.len(),
        };
        // SAFETY: a live network; names and shapes live through the call, which only reads them.
        ok("fixing the shapes", unsafe {
            (self.api.0.ie_network_reshape)(self.network, shapes)
        })
    }
}
