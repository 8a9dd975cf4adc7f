//! Every bound of planning, in one place.

/// Most tiers (device, edge, fog, cloud …): a frame passes no more stages.
pub const MAX_TIERS: usize = kerf_wire::limits::MAX_HOPS;
/// Most nodes of a network that is planned.
pub const MAX_NODES: usize = 1_000_000;
/// Most steps (one node tried in one tier) of a search where costs do not add; then its best answer so far is given as not proven.
pub const MAX_SEARCH_STEPS: u64 = 20_000_000;
/// Most pieces of a table of ranges.
pub const MAX_PIECES: usize = 256;
/// Most points of a Pareto front.
pub const MAX_FRONT: usize = 512;
/// The sum of all prices must stay below this, so that no sum of flows overflows.
pub const MAX_TOTAL: u64 = 1 << 60;
