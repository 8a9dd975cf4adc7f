//! Bounds of the quantizer.

/// Longest axis list, rank or pad list that is rewritten; ONNX models in the wild stay below 8.
pub(super) const MAX_RANK: usize = 16;
/// Deepest nesting of sub-graphs that is rewritten.
pub(super) const MAX_DEPTH: usize = 32;
/// Bins of an activation's histogram; 4096 over ±max keeps a percentile within 0.05 % of the range.
pub(super) const HISTOGRAM_BINS: usize = 4096;
/// Smallest scale: below it a 32-bit float division loses meaning.
pub(super) const MIN_SCALE: f32 = 1e-12;
