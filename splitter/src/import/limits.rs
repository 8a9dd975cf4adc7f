//! Bounds of what is imported: all of it may come from a stranger.

/// Longest pickle, bytes: the reference tool's largest tensors are some 40 MB.
pub(super) const MAX_PICKLE_BYTES: u64 = 256 * 1024 * 1024;
/// Most objects of one pickle; a list of floats costs one each.
pub(super) const MAX_OBJECTS: usize = 16_000_000;
/// Deepest nesting that is looked into.
pub(super) const MAX_DEPTH: usize = 16;
/// Longest log that is searched for its JSON line, bytes.
pub(super) const MAX_LOG_BYTES: u64 = 256 * 1024 * 1024;
/// Most split folders in one folder.
pub(super) const MAX_FOLDERS: usize = 10_000;
