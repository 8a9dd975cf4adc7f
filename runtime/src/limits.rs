//! Every bound of a stage, in one place. What is over a bound is refused, never clamped.

/// Largest model or artifact file, bytes. A protobuf cannot be longer than 2 GiB.
pub const MAX_ARTIFACT_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Largest companion of an artifact (external weights), bytes.
pub const MAX_COMPANION_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Most messages (nodes, tensors, attributes, …) of an ONNX file; 121-layer DenseNet has 9,000.
pub const MAX_ONNX_MESSAGES: usize = 2_000_000;
/// Most nodes of an ONNX file, subgraphs included.
pub const MAX_ONNX_NODES: usize = 200_000;
/// Most strings and numbers outside packed fields of an ONNX file.
pub const MAX_ONNX_FIELDS: usize = 16_000_000;
/// Deepest nesting of graphs within attributes of an ONNX file.
pub const MAX_ONNX_DEPTH: usize = 16;
/// Most bytes of one ONNX tensor, decoded.
pub const MAX_ONNX_TENSOR_BYTES: u64 = MAX_ARTIFACT_BYTES;
/// Most compiled plans that a session keeps for different input shapes.
pub const MAX_PLANS: usize = 4;
/// Longest configuration file, bytes.
pub const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Longest image file, bytes.
pub const MAX_IMAGE_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Most pixels of an image: 100 megapixels.
pub const MAX_IMAGE_PIXELS: u64 = 100_000_000;
/// Longest side of an image or of a model's input, pixels.
pub const MAX_IMAGE_SIDE: u32 = 32_768;
/// Longest tensor file (.npy, .npz), bytes.
pub const MAX_TENSOR_FILE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Most bytes of one tensor.
pub const MAX_TENSOR_BYTES: u64 = 1024 * 1024 * 1024;
/// Most arrays of one .npz file.
pub const MAX_NPZ_ARRAYS: usize = 1024;
/// Most files that one folder source takes.
pub const MAX_SOURCE_FILES: usize = 1_000_000;
/// Most elements of an output that a result carries in full, unless configured.
pub const RESULT_ELEMENTS: usize = 1024;
/// Classes in a result.
pub const RESULT_TOP: usize = 5;
/// Most runs that `bench` makes.
pub const MAX_BENCH_RUNS: u32 = 1_000_000;
/// Most threads that an engine may be told to use.
pub const MAX_THREADS: usize = 1024;
/// Fewest runs that a measurement counts: below, its interval says nothing.
pub const MIN_MEASURED_RUNS: u32 = 6;
/// Longest text that a vendor's library says of one error, bytes.
pub const MAX_VENDOR_MESSAGE_BYTES: usize = 4096;
/// Largest batch that a TensorRT engine of an open batch is built for.
pub const MAX_TENSORRT_BATCH: u32 = 32;
/// Largest vendor library whose symbols are looked at before it is opened, bytes.
pub const MAX_LIBRARY_BYTES: u64 = 256 * 1024 * 1024;
/// Most frames that run together.
pub const MAX_BATCH: usize = 64;
/// Longest time that a frame waits for others to run with, ms.
pub const MAX_BATCH_WAIT_MS: u64 = 10_000;
