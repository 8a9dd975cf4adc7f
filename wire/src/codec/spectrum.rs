//! The coefficients that `dct` quantises, for those who fit something to them.

use super::all_finite;
use super::blocks::{Plan, Steps};
use super::table::{Geometry, MAX_BLOCK, Table};
use super::transform::{Block, LANES, forward};
use crate::error::WireError;
use crate::tensor::{DType, TensorRef};

/// Puts the coefficients of a tensor, its means off, into `out`, which has the tensor's length: 32-bit floats, little-endian.
/// The coefficient at frequency (u, v) of a block stands where the element at row u and column v of that block did.
///
/// # Errors
/// When the tensor is no 32-bit floats of the table's channels and blocks, not finite, or `out` has another length.
pub fn coefficients(table: &Table, tensor: &TensorRef<'_>, out: &mut [u8]) -> Result<(), WireError> {
    table.check()?;
    let geometry = Geometry::of(table, tensor.shape)
        .filter(|_| tensor.dtype == DType::F32 && out.len() == tensor.bytes.len() && all_finite(tensor.bytes))
        .ok_or(WireError::BadCodec("the tensor does not fit the table of dct"))?;
    let plan = Plan {
        table,
        geometry,
        steps: Steps::from_slice(&table.steps).map_err(|_| WireError::BadCodec("a table of too many steps"))?,
        coarseness: 0,
    };
    let (rows, columns) = plan.sides();
    let (elements, out) = (tensor.bytes.as_chunks::<4>().0, out.as_chunks_mut::<4>().0);
    let mut block: Block = [[0.0; LANES]; MAX_BLOCK * MAX_BLOCK];
    for group in plan.groups() {
        let without_means = group.without_means();
        for index in 0..plan.blocks_of_plane() {
            let start = plan.block_start(&group, index);
            plan.load(elements, start, &group, &mut block);
            forward(&mut block, rows, columns);
            plan.store(out, start, &without_means, &block);
        }
    }
    Ok(())
}
