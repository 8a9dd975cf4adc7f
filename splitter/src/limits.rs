//! Every bound on what comes from outside. What is over a bound is refused, never clamped.

/// Longest model file that is scanned, bytes. External data does not count.
pub const MAX_MODEL_BYTES: u64 = 64 << 30;
/// Longest name of a node, value, operator or domain, bytes. Exporters write a few hundred.
pub const MAX_NAME_BYTES: u64 = 4096;
/// Tensor payloads of this length or more stay in their file and are copied by byte range; shorter ones are decoded.
/// Shapes, axes and scales are shorter, weights that matter are longer.
pub const MIN_PAYLOAD_BYTES: u64 = 1024;
/// Most bytes of a model that are kept in memory when its long payloads are left in the file.
pub const MAX_SKELETON_BYTES: u64 = 64 << 20;
/// Most bytes that the decoded skeleton may take, counted before it is decoded.
pub const MAX_DECODED_BYTES: u64 = 128 << 20;
/// Most graphs within graphs (If, Loop, Scan bodies). Exporters write 3.
pub const MAX_BODY_DEPTH: usize = 16;
/// Most protobuf messages within messages: a body takes three.
pub const MAX_MESSAGE_DEPTH: usize = 3 * MAX_BODY_DEPTH + 12;
/// Most nodes of a graph.
pub const MAX_NODES: usize = 250_000;
/// Most tensors that an engine's shape analysis is given as constants, bytes in total.
pub const MAX_ANALYSED_BYTES: u64 = 64 << 20;
/// Longest shape analysis; what is known until then is kept.
pub const MAX_ANALYSIS: std::time::Duration = std::time::Duration::from_secs(30);
/// Longest expression that stands for one dimension, bytes as text.
pub const MAX_DIMENSION_BYTES: usize = 200;
/// Longest single-file part, bytes: protobuf readers stop at 2 GiB.
pub const MAX_SELF_CONTAINED_BYTES: u64 = 1 << 30;
/// Longest part that is run at a desk when it is split, weights included, bytes.
pub const MAX_PREPARED_BYTES: u64 = 512 << 20;
/// Most bytes of a self-test's tensors: a board reads them at each start.
pub const MAX_SELF_TEST_BYTES: u64 = 16 << 20;
/// Most files of a folder of data: calibration, exits, batches.
pub const MAX_DATA_FILES: usize = 1_000_000;
/// Longest file of the reference tool that is read, bytes.
pub const MAX_IMPORTED_BYTES: u64 = 256 << 20;
/// Longest `target.toml` of a board, bytes.
pub const MAX_TARGET_BYTES: u64 = 64 << 10;
/// Most inputs that a part is calibrated and compared on.
pub const MAX_CALIBRATION_SAMPLES: usize = 1000;
/// Longest result of a converter, bytes.
pub const MAX_CONVERTER_RESULT_BYTES: usize = 1 << 20;
/// Most channels that are decorrelated: the eigenvectors of a matrix of as many rows take minutes.
pub const MAX_DECORRELATED_CHANNELS: usize = 1024;
