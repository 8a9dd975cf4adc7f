//! The engines of the table: how `kerf-stage` is told to take each, and Python beside it.
//!
//! Owns: names, places of libraries, the Python. Must not know: what is measured.

/// One engine.
pub(super) struct Engine {
    pub(super) backend: &'static str,
    pub(super) device: Option<&'static str>,
    /// Below the root, or below the judges' packages; the first file that begins so.
    pub(super) library: Option<(&'static str, &'static str)>,
    /// Where Python finds its package, and the lines that make `run`.
    pub(super) python: Option<(Option<&'static str>, &'static str)>,
    /// Whether `runtime/benches/overhead` has its C API.
    pub(super) bare: bool,
}

const ORT: &str = "\
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])
given = session.get_inputs()[0]
x = numpy.full([d if isinstance(d, int) else 1 for d in given.shape], 0.5, numpy.float32)
run = lambda: session.run(None, {given.name: x})
";
const OPENVINO: &str = "\
import openvino
core = openvino.Core()
settings = {'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': 1}
compiled = core.compile_model(sys.argv[1], 'CPU', settings)
shape = compiled.inputs[0].partial_shape
x = numpy.full([d.get_length() if d.is_static else 1 for d in shape], 0.5, numpy.float32)
request = compiled.create_infer_request()
run = lambda: request.infer([x])
";

const ORT_OPENVINO: &str = "\
import onnxruntime
options = onnxruntime.SessionOptions()
settings = {'device_type': 'CPU', 'precision': 'FP32', 'num_of_threads': '1'}
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=[('OpenVINOExecutionProvider', settings)])
given = session.get_inputs()[0]
x = numpy.full([d if isinstance(d, int) else 1 for d in given.shape], 0.5, numpy.float32)
run = lambda: session.run(None, {given.name: x})
";

/// The C library itself, by ctypes: TensorFlow Lite's Python package is of another version, with kernels of its own.
const TFLITE: &str = "\
import ctypes
lite = ctypes.CDLL(sys.argv[4])
def call(name, result, *arguments):
    function = getattr(lite, name)
    function.restype = result
    return function(*arguments)
pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32
settings = pointer(call('TfLiteInterpreterOptionsCreate', pointer))
call('TfLiteInterpreterOptionsSetNumThreads', None, settings, number(1))
model = pointer(call('TfLiteModelCreateFromFile', pointer, sys.argv[1].encode()))
interpreter = pointer(call('TfLiteInterpreterCreate', pointer, model, settings))
assert call('TfLiteInterpreterAllocateTensors', ctypes.c_int, interpreter) == 0
given = pointer(call('TfLiteInterpreterGetInputTensor', pointer, interpreter, number(0)))
made = pointer(call('TfLiteInterpreterGetOutputTensor', pointer, interpreter, number(0)))
def array(tensor):
    shape = [call('TfLiteTensorDim', number, tensor, number(i)) for i in range(call('TfLiteTensorNumDims', number, tensor))]
    return numpy.full(shape, 0.5, numpy.float32)
x, y = array(given), array(made)
def run():
    call('TfLiteTensorCopyFromBuffer', ctypes.c_int, given, pointer(x.ctypes.data), size(x.nbytes))
    assert call('TfLiteInterpreterInvoke', ctypes.c_int, interpreter) == 0
    call('TfLiteTensorCopyToBuffer', ctypes.c_int, made, pointer(y.ctypes.data), size(y.nbytes))
";

pub(super) const ENGINES: &[Engine] = &[
    Engine {
        backend: "tract",
        device: None,
        library: None,
        python: None,
        bare: false,
    },
    Engine {
        backend: "onnxruntime",
        device: None,
        library: Some(("onnxruntime/capi", "libonnxruntime.so.")),
        python: Some((None, ORT)),
        bare: true,
    },
    Engine {
        backend: "openvino",
        device: None,
        library: Some((".vendor/openvino/openvino/libs", "libopenvino_c.so.")),
        python: Some((Some(".vendor/openvino"), OPENVINO)),
        bare: true,
    },
    Engine {
        backend: "onnxruntime",
        device: Some("OPENVINO:CPU"),
        library: Some((".vendor/onnxruntime-openvino/onnxruntime/capi", "libonnxruntime.so.")),
        python: Some((Some(".vendor/onnxruntime-openvino"), ORT_OPENVINO)),
        bare: false,
    },
    Engine {
        backend: "openvino-myriad",
        device: Some("CPU"),
        library: Some((".vendor/openvino-2022/onnxruntime/capi", "libopenvino_c.so")),
        python: None,
        bare: false,
    },
    Engine {
        backend: "tflite",
        device: None,
        library: Some((
            if cfg!(target_arch = "aarch64") {
                ".vendor/tflite/linux_arm64"
            } else {
                ".vendor/tflite/linux_amd64"
            },
            "libtensorflowlite_c.so",
        )),
        python: Some((None, TFLITE)),
        bare: true,
    },
];
