//! Every bound of the format, in one place. What is over a bound is refused, never clamped.

/// Most dimensions of a tensor. ONNX models in the wild stay below 7.
pub const MAX_RANK: usize = 8;
/// Longest value name in bytes, UTF-8.
pub const MAX_NAME_BYTES: usize = 256;
/// Longest device name in bytes.
pub const MAX_DEVICE_BYTES: usize = 48;
/// Most tensors in one frame: a cut through a 121-layer DenseNet crosses fewer than 64 values.
pub const MAX_TENSORS: usize = 64;
/// Most stages a frame passes.
pub const MAX_HOPS: usize = 8;
/// Longest codec parameters of one tensor in a frame, bytes. Tables live in the manifest.
pub const MAX_CODEC_PARAMETER_BYTES: usize = 32;
/// Longest postcard header of a sealed message, bytes.
pub const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Longest sealed message, bytes: what one stage accepts from another.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;
/// Most bytes that the tensors of one frame take once decoded, all together. A few bytes can declare any shape, so this
/// bounds what a reader allocates for them.
pub const MAX_DECODED_BYTES: usize = MAX_MESSAGE_BYTES;
/// Longest object location in a reference, bytes: a presigned URL with a session token is 1 to 1.5 KiB long.
pub const MAX_LOCATION_BYTES: usize = 2048;
/// Longest reason in a receipt, bytes.
pub const MAX_REASON_BYTES: usize = 200;
