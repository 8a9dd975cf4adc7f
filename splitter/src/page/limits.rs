//! Bounds of the picture: past them a page helps nobody, and a browser stalls.

/// Most nodes that are drawn.
pub(super) const MAX_DRAWN_NODES: usize = 20_000;
/// Most points between layers that carry long edges; a graph whose every edge spans all of it is not drawn.
pub(super) const MAX_BENDS: usize = 200_000;
/// Longest text in a box, characters; the rest stands in the details.
pub(super) const MAX_LABEL_CHARS: usize = 26;
/// Most constants listed with one node; more are counted.
pub(super) const MAX_LISTED_CONSTANTS: usize = 64;
