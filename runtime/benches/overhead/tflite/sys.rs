//! TensorFlow Lite's own C API with nothing around it: the peer that our driver is measured against.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{c_int, c_void};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use libloading::Library;

type Opaque = *mut c_void;

/// An interpreter on one thread. It lives as long as the process, as its library does.
pub(crate) struct Bare {
    interpreter: Opaque,
    invoke: unsafe extern "C" fn(Opaque) -> c_int,
}

/// A function of `c_api.h`.
///
/// # Safety
/// `F` is the type that `c_api.h` declares for this name.
unsafe fn function<F: Copy>(library: &'static Library, name: &str) -> Result<F> {
    // SAFETY: the caller's promise; the library is never closed.
    Ok(*unsafe { library.get::<F>(name.as_bytes()) }.with_context(|| name.to_owned())?)
}

impl Bare {
    /// Loads a model; every number of its inputs is 0.5, or 0 where they are no floats.
    pub(crate) fn open(library: &Path, model: &[u8]) -> Result<Self> {
        // SAFETY: the very library that our driver has open.
        let library: &'static Library = Box::leak(Box::new(unsafe { Library::new(library) }?));
        // Aligned as flatbuffers want it, and there for as long as the interpreter is.
        let mut words = vec![0_u128; model.len().div_ceil(16)];
        for (word, bytes) in words.iter_mut().zip(model.chunks(16)) {
            let mut whole = [0; 16];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u128::from_ne_bytes(whole);
        }
        let words: &'static [u128] = words.leak();
        // SAFETY: each type is that of c_api.h of TensorFlow 2.9; each object is used while it lives, and none is freed.
        unsafe {
            let model_create: unsafe extern "C" fn(*const c_void, usize) -> Opaque =
                function(library, "TfLiteModelCreate")?;
            let options_create: unsafe extern "C" fn() -> Opaque = function(library, "TfLiteInterpreterOptionsCreate")?;
            let threads: unsafe extern "C" fn(Opaque, i32) =
                function(library, "TfLiteInterpreterOptionsSetNumThreads")?;
            let create: unsafe extern "C" fn(Opaque, Opaque) -> Opaque = function(library, "TfLiteInterpreterCreate")?;
            let allocate: unsafe extern "C" fn(Opaque) -> c_int =
                function(library, "TfLiteInterpreterAllocateTensors")?;
            let count: unsafe extern "C" fn(Opaque) -> i32 = function(library, "TfLiteInterpreterGetInputTensorCount")?;
            let input: unsafe extern "C" fn(Opaque, i32) -> Opaque =
                function(library, "TfLiteInterpreterGetInputTensor")?;
            let kind: unsafe extern "C" fn(Opaque) -> c_int = function(library, "TfLiteTensorType")?;
            let size: unsafe extern "C" fn(Opaque) -> usize = function(library, "TfLiteTensorByteSize")?;
            let data: unsafe extern "C" fn(Opaque) -> *mut c_void = function(library, "TfLiteTensorData")?;
            let loaded = model_create(words.as_ptr().cast(), model.len());
            ensure!(!loaded.is_null(), "the model does not load");
            let options = options_create();
            threads(options, 1);
            let interpreter = create(loaded, options);
            ensure!(
                !interpreter.is_null() && allocate(interpreter) == 0,
                "the model has no interpreter"
            );
            for index in 0..count(interpreter) {
                let tensor = input(interpreter, index);
                // kTfLiteFloat32 is 1.
                let half = if kind(tensor) == 1 { 0.5_f32 } else { 0.0 };
                let floats = std::slice::from_raw_parts_mut(data(tensor).cast::<f32>(), size(tensor) / 4);
                floats.fill(half);
            }
            let invoke = function(library, "TfLiteInterpreterInvoke")?;
            Ok(Self { interpreter, invoke })
        }
    }

    /// Runs once.
    pub(crate) fn run(&mut self) -> Result<()> {
        // SAFETY: the interpreter is never freed, and `&mut` keeps others from it.
        let status = unsafe { (self.invoke)(self.interpreter) };
        ensure!(status == 0, "TfLiteInterpreterInvoke gave {status}");
        Ok(())
    }
}
