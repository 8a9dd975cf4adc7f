//! The C API of TensorFlow Lite, opened at run time, behind types that cannot be misused.
//!
//! Owns: the calls to it. Must not know: what tensors mean. Delegates are in `delegate/sys.rs`, opening and the library's
//! messages in `library/sys.rs`.
//! The functions and their rules are those of `tensorflow/lite/c/c_api.h` of TensorFlow 2.9; later versions kept them.

#![allow(unsafe_code, reason = "foreign functions; each call says why it is sound")]

use std::ffi::{c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use kerf_wire::limits::MAX_RANK;
use libloading::Library;

use super::delegate::Delegate;
use super::library::{Messages, Opaque, Report, open, reason, report, text};

/// `TfLiteStatus`: 0 is good.
const OK: c_int = 0;

/// `TfLiteQuantizationParams`: real = `scale` × (stored − `zero_point`); a scale of 0 says that there are none.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantisation {
    pub(super) scale: f32,
    pub(super) zero_point: i32,
}

macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// TensorFlow Lite's functions.
        struct Functions {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            fn of(library: &'static Library) -> Result<Self, String> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the type is the one that c_api.h declares for this name, and the library is never closed.
                        *unsafe { library.get(concat!($symbol, "\0").as_bytes()) }.map_err(|why| reason(&why))?
                    },)*
                })
            }
        }
    };
}

functions! {
    version = "TfLiteVersion": fn() -> *const c_char;
    model_create = "TfLiteModelCreate": fn(*const c_void, usize) -> Opaque;
    model_delete = "TfLiteModelDelete": fn(Opaque);
    options_create = "TfLiteInterpreterOptionsCreate": fn() -> Opaque;
    options_delete = "TfLiteInterpreterOptionsDelete": fn(Opaque);
    options_threads = "TfLiteInterpreterOptionsSetNumThreads": fn(Opaque, i32);
    options_report = "TfLiteInterpreterOptionsSetErrorReporter": fn(Opaque, Report, *mut c_void);
    options_delegate = "TfLiteInterpreterOptionsAddDelegate": fn(Opaque, Opaque);
    create = "TfLiteInterpreterCreate": fn(Opaque, Opaque) -> Opaque;
    delete = "TfLiteInterpreterDelete": fn(Opaque);
    allocate = "TfLiteInterpreterAllocateTensors": fn(Opaque) -> c_int;
    invoke = "TfLiteInterpreterInvoke": fn(Opaque) -> c_int;
    inputs = "TfLiteInterpreterGetInputTensorCount": fn(Opaque) -> i32;
    outputs = "TfLiteInterpreterGetOutputTensorCount": fn(Opaque) -> i32;
    input = "TfLiteInterpreterGetInputTensor": fn(Opaque, i32) -> Opaque;
    output = "TfLiteInterpreterGetOutputTensor": fn(Opaque, i32) -> Opaque;
    tensor_type = "TfLiteTensorType": fn(Opaque) -> c_int;
    tensor_rank = "TfLiteTensorNumDims": fn(Opaque) -> i32;
    tensor_dim = "TfLiteTensorDim": fn(Opaque, i32) -> i32;
    tensor_bytes = "TfLiteTensorByteSize": fn(Opaque) -> usize;
    tensor_data = "TfLiteTensorData": fn(Opaque) -> *mut c_void;
    tensor_name = "TfLiteTensorName": fn(Opaque) -> *const c_char;
    tensor_quantisation = "TfLiteTensorQuantizationParams": fn(Opaque) -> Quantisation;
}

/// TensorFlow Lite, opened.
#[derive(Clone, Copy)]
pub(crate) struct TfLite(&'static Functions);

impl TfLite {
    /// Opens it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        static OPENED: Mutex<Vec<(PathBuf, TfLite)>> = Mutex::new(Vec::new());
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, library)) = opened.iter().find(|(p, _)| p == path) {
            return Ok(*library);
        }
        let library = Self(Box::leak(Box::new(Functions::of(open(path)?)?)));
        opened.push((path.to_owned(), library));
        Ok(library)
    }

    /// e.g. `2.9.0`.
    pub(crate) fn version(self) -> String {
        // SAFETY: takes nothing and gives a static string.
        text(unsafe { (self.0.version)() })
    }
}

/// A loaded model with its memory. Fields are dropped in this order: what is used outlives its user.
pub(super) struct Interpreter {
    raw: Raw,
    _delegate: Option<Delegate>,
    messages: Box<Messages>,
    /// The model's bytes at an address that flatbuffers and kernels may take as aligned.
    _model: Vec<u128>,
}

struct Raw {
    interpreter: NonNull<c_void>,
    api: TfLite,
}

// SAFETY: an interpreter may be used by one thread at a time from any thread (c_api.h, "NOTE: not thread-safe").
unsafe impl Send for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: made by this library, deleted once.
        unsafe { (self.api.0.delete)(self.interpreter.as_ptr()) }
    }
}

/// One input or output as the library describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub(super) name: String,
    /// `TfLiteType`.
    pub(super) kind: c_int,
    /// Outermost first.
    pub(super) dims: Vec<u32>,
    pub(super) quantisation: Quantisation,
}

/// Inputs or outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Input,
    Output,
}

impl Interpreter {
    /// Builds it with its tensors allocated; the error is what the library says.
    pub(super) fn new(api: TfLite, model: &[u8], threads: i32, delegate: Option<Delegate>) -> Result<Self, String> {
        let messages = Box::<Messages>::default();
        let mut words = vec![0_u128; model.len().div_ceil(16)];
        bytemuck::cast_slice_mut::<u128, u8>(&mut words)[..model.len()].copy_from_slice(model);
        // SAFETY: model and options are made, used and deleted by the same library; the model's bytes, the reporter's
        // `Messages` (boxed, so they do not move) and the delegate are kept in `Self`, behind the interpreter.
        let interpreter = unsafe {
            let raw_model = (api.0.model_create)(words.as_ptr().cast(), model.len());
            if raw_model.is_null() {
                return Err("it is no intact TFLite file".to_owned());
            }
            let options = (api.0.options_create)();
            (api.0.options_threads)(options, threads);
            (api.0.options_report)(
                options,
                report,
                std::ptr::from_ref::<Messages>(&messages).cast_mut().cast(),
            );
            if let Some(delegate) = &delegate {
                (api.0.options_delegate)(options, delegate.as_ptr());
            }
            let interpreter = (api.0.create)(raw_model, options);
            (api.0.options_delete)(options);
            (api.0.model_delete)(raw_model);
            interpreter
        };
        let interpreter = NonNull::new(interpreter).ok_or_else(|| messages.take())?;
        let this = Self {
            raw: Raw { interpreter, api },
            _delegate: delegate,
            messages,
            _model: words,
        };
        // SAFETY: a live interpreter.
        match unsafe { (api.0.allocate)(this.raw.interpreter.as_ptr()) } {
            OK => Ok(this),
            _ => Err(this.messages.take()),
        }
    }

    /// How many inputs or outputs.
    pub(super) fn count(&self, side: Side) -> usize {
        let f = self.raw.api.0;
        let count = if side == Side::Input { f.inputs } else { f.outputs };
        // SAFETY: a live interpreter.
        usize::try_from(unsafe { count(self.raw.interpreter.as_ptr()) }).unwrap_or(0)
    }

    /// The tensor; none where there is no such number.
    fn tensor(&self, side: Side, index: usize) -> Option<NonNull<c_void>> {
        if index >= self.count(side) {
            return None;
        }
        let f = self.raw.api.0;
        let tensor = if side == Side::Input { f.input } else { f.output };
        // SAFETY: the index is within the count.
        NonNull::new(unsafe { tensor(self.raw.interpreter.as_ptr(), i32::try_from(index).ok()?) })
    }

    /// What the library says of it.
    pub(super) fn describe(&self, side: Side, index: usize) -> Option<Described> {
        let (f, tensor) = (self.raw.api.0, self.tensor(side, index)?.as_ptr());
        // SAFETY: a tensor of a live interpreter; dimensions are asked for within the rank.
        unsafe {
            let rank = (f.tensor_rank)(tensor);
            if usize::try_from(rank).ok()? > MAX_RANK {
                return None;
            }
            let dims = (0..rank).map(|axis| u32::try_from((f.tensor_dim)(tensor, axis)).ok());
            Some(Described {
                name: text((f.tensor_name)(tensor)),
                kind: (f.tensor_type)(tensor),
                dims: dims.collect::<Option<_>>()?,
                quantisation: (f.tensor_quantisation)(tensor),
            })
        }
    }

    fn memory(&self, side: Side, index: usize) -> Option<(NonNull<u8>, usize)> {
        let (f, tensor) = (self.raw.api.0, self.tensor(side, index)?.as_ptr());
        // SAFETY: a tensor of a live interpreter whose tensors are allocated.
        let (data, length) = unsafe { ((f.tensor_data)(tensor), (f.tensor_bytes)(tensor)) };
        Some((NonNull::new(data.cast())?, length))
    }

    /// An input's own memory, to be filled before [`Interpreter::invoke`].
    pub(super) fn input_bytes(&mut self, index: usize) -> Option<&mut [u8]> {
        let (data, length) = self.memory(Side::Input, index)?;
        // SAFETY: the library says where and how long; `&mut self` keeps every other access away.
        Some(unsafe { std::slice::from_raw_parts_mut(data.as_ptr(), length) })
    }

    /// An output's own memory, as the last run left it.
    pub(super) fn output_bytes(&self, index: usize) -> Option<&[u8]> {
        let (data, length) = self.memory(Side::Output, index)?;
        // SAFETY: the library says where and how long; `&self` keeps writers away.
        Some(unsafe { std::slice::from_raw_parts(data.as_ptr(), length) })
    }

    /// Runs once.
    pub(super) fn invoke(&mut self) -> Result<(), String> {
        // SAFETY: a live interpreter whose tensors are allocated.
        match unsafe { (self.raw.api.0.invoke)(self.raw.interpreter.as_ptr()) } {
            OK => Ok(()),
            status => Err(format!("status {status}: {}", self.messages.take())),
        }
    }
}
