//! Small networks made up from a seed, so that a machine shows what it takes for shapes that no model at hand has.
//!
//! Owns: which family a seed makes, sizes, the values at a network's end. Must not know: how anything is measured.
//! Start at [`network`]. Engines fuse what stands side by side and keep layouts from layer to layer, so layers are not drawn
//! one by one but in the blocks that networks on boards are made of ([`blocks`]), with sizes over the ranges that they have there.

mod blocks;
mod bodies;
mod chain;
mod integer;
mod sequence;
mod small;
mod write;

use chain::Chain;

/// Kinds of networks.
const FAMILIES: u64 = 12;

/// One made-up network as ONNX; the same seed gives the same bytes.
pub fn network(seed: u64) -> Vec<u8> {
    match seed % FAMILIES {
        6 => return sequence::transformer(seed),
        10 => return bodies::recurrent(seed),
        _ => {}
    }
    let mut chain = Chain::new(seed);
    match seed % FAMILIES {
        0 => chain.mixed(),
        1 => chain.mobile(false),
        2 => chain.residual(),
        3 => chain.dense(),
        4 => chain.mobile(true),
        5 => chain.fire(),
        7 => chain.wide(),
        8 => chain.small(),
        9 => chain.integer(),
        _ => chain.branching(),
    }
    chain.finish()
}
