//! What the parts call things: files, and the dimensions of values that cross.

use kerf_wire::manifest::Axis;

/// `part-0.onnx` …
pub(super) fn part_file(index: usize) -> String {
    format!("part-{index}.onnx")
}

/// The weights beside a part that would be too long for one file.
pub(super) fn weights_file(index: usize) -> String {
    format!("part-{index}.weights.bin")
}

/// A cut's parts and manifest in a bundle set: `part-0-ID.onnx`, `manifest-ID.json`.
pub(super) fn part_file_of(index: usize, cut: &str) -> String {
    format!("part-{index}-{cut}.onnx")
}

/// A dimension as the parts say it: a number, a plain symbol, or none. Engines read `dim_param` in different ways where
/// it is an expression, so an expression gets a symbol of its own; equal expressions get the same.
pub(super) fn plain_axis(axis: &Axis) -> Axis {
    match axis {
        Axis::Fixed(n) => Axis::Fixed(*n),
        Axis::Symbol(text) if text == "?" || is_plain(text) => Axis::Symbol(text.clone()),
        Axis::Symbol(text) => {
            let id = kerf_wire::CutId::of([text]).to_string();
            Axis::Symbol(format!("dim_{}", id.get(..8).unwrap_or(&id)))
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
