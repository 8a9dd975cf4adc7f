//! ONNX Runtime's own C API with nothing around it: the peer that our driver is measured against.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{CString, c_char, c_void};
use std::ptr;

use anyhow::{Result, bail};
use kerf_runtime::tensor::Tensor;
use ort::sys;

/// A session of f32 inputs, with its input values made once.
pub(crate) struct Bare {
    session: *mut sys::OrtSession,
    inputs: Vec<*const sys::OrtValue>,
    input_names: Vec<CString>,
    output_names: Vec<CString>,
    /// What the input values point into.
    _data: Vec<Tensor>,
}

fn ok(status: sys::OrtStatusPtr) -> Result<()> {
    if status.0.is_null() {
        return Ok(());
    }
    bail!("ONNX Runtime's C API failed")
}

impl Bare {
    /// Opens the model on one thread. The library is open already.
    pub(crate) fn open(model: &[u8], inputs: &[String], outputs: &[String], data: &[Tensor]) -> Result<Self> {
        let api = ort::api();
        let (mut env, mut options, mut session) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let (mut memory, mut values) = (ptr::null_mut(), Vec::new());
        let mut held: Vec<Tensor> = data.to_vec();
        // SAFETY: each place is ours and filled by the call; the model's bytes live through it.
        unsafe {
            ok((api.CreateEnv)(
                sys::OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR,
                c"bare".as_ptr(),
                &raw mut env,
            ))?;
            ok((api.CreateSessionOptions)(&raw mut options))?;
            ok((api.SetIntraOpNumThreads)(options, 1))?;
            let bytes = model.as_ptr().cast::<c_void>();
            ok((api.CreateSessionFromArray)(
                env,
                bytes,
                model.len(),
                options,
                &raw mut session,
            ))?;
            let (kind, place) = (
                sys::OrtAllocatorType::OrtArenaAllocator,
                sys::OrtMemType::OrtMemTypeDefault,
            );
            ok((api.CreateCpuMemoryInfo)(kind, place, &raw mut memory))?;
        }
        for tensor in &mut held {
            let shape: Vec<i64> = tensor.shape().iter().map(|dim| i64::from(*dim)).collect();
            let (bytes, mut value) = (tensor.bytes_mut(), ptr::null_mut());
            let (data, length) = (bytes.as_mut_ptr().cast::<c_void>(), bytes.len());
            let float = sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
            // SAFETY: the tensor's own memory, which is held as long as the value and does not move with the tensor.
            unsafe {
                let make = api.CreateTensorWithDataAsOrtValue;
                ok(make(
                    memory,
                    data,
                    length,
                    shape.as_ptr(),
                    shape.len(),
                    float,
                    &raw mut value,
                ))?;
            }
            values.push(value.cast_const());
        }
        let strings = |names: &[String]| {
            names
                .iter()
                .map(|n| CString::new(n.as_str()))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            session,
            inputs: values,
            input_names: strings(inputs)?,
            output_names: strings(outputs)?,
            _data: held,
        })
    }

    /// One `OrtApi::Run`; the outputs are given back.
    pub(crate) fn run(&mut self) -> Result<()> {
        let api = ort::api();
        let names = |names: &[CString]| names.iter().map(|name| name.as_ptr()).collect::<Vec<*const c_char>>();
        let (given, made) = (names(&self.input_names), names(&self.output_names));
        let mut outputs = vec![ptr::null_mut(); made.len()];
        // SAFETY: a live session; names and values live through the call, the places of the outputs are ours.
        unsafe {
            let (inputs, count) = (self.inputs.as_ptr(), self.inputs.len());
            let into = outputs.as_mut_ptr();
            let (given, made, wanted) = (given.as_ptr(), made.as_ptr(), made.len());
            ok((api.Run)(
                self.session,
                ptr::null(),
                given,
                inputs,
                count,
                made,
                wanted,
                into,
            ))?;
        }
        for output in outputs {
            // SAFETY: made by the run just now, given back once.
            unsafe { (api.ReleaseValue)(output) };
        }
        Ok(())
    }
}
