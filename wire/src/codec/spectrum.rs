//! The coefficients that `dct` quantises, for those who fit something to them.

use super::all_finite;
use super::blocks::{Plan, Steps};
use super::table::{Geometry, Table};
use crate::error::WireError;
use crate::tensor::{DType, TensorRef};

/// Puts the coefficients of a tensor, its means off, into `out`, which has the tensor's length: 32-bit floats, little-endian.
/// The coefficient at frequency (u, v) of a block stands where the element at row u and column v of that block did.
///
/// # Errors
/// When the tensor is no 32-bit floats of the table's channels and blocks, not finite, or `out` has another length.
pub fn coefficients(table: &Table, tensor: &TensorRef<'_>, out: &mut [u8]) -> Result<(), WireError> {
    let plan = plan(table, tensor)?;
    if out.len() != tensor.bytes.len() {
        return Err(WireError::BadCodec("as many coefficients as elements"));
    }
    let out = out.as_chunks_mut::<4>().0;
    plan.transformed(tensor.bytes.as_chunks::<4>().0, |group, index, block| {
        plan.store(out, plan.block_start(group, index), &group.without_means(), block);
    });
    Ok(())
}

/// Adds the magnitudes of a tensor's coefficients, in steps of the table and before rounding, to `sums`: for channel c and
/// frequency f of a block of a, `sums[c × a + f]`. Gives how many were added to each, so that a fit can take the mean.
///
/// # Errors
/// When the tensor is no 32-bit floats of the table's channels and blocks, not finite, or `sums` has another length.
pub fn add_magnitudes(table: &Table, tensor: &TensorRef<'_>, sums: &mut [f64]) -> Result<usize, WireError> {
    let plan = plan(table, tensor)?;
    let area = plan.steps.len();
    if sums.len() != area.saturating_mul(plan.geometry.channels) {
        return Err(WireError::BadCodec("one sum a channel and frequency"));
    }
    plan.transformed(tensor.bytes.as_chunks::<4>().0, |group, _, block| {
        for (frequency, (lanes, step)) in block.iter().zip(&plan.steps).enumerate() {
            let sums = sums.iter_mut().skip(group.channel * area + frequency).step_by(area);
            for (sum, x) in sums.zip(lanes).take(group.lanes) {
                *sum += f64::from((x / step).abs());
            }
        }
    });
    Ok(plan.blocks_of_plane().saturating_mul(plan.geometry.images))
}

/// A tensor's way through the table as it was fitted.
fn plan<'a>(table: &'a Table, tensor: &TensorRef<'_>) -> Result<Plan<'a>, WireError> {
    table.check()?;
    let geometry = Geometry::of(table, tensor.shape)
        .filter(|_| tensor.dtype == DType::F32 && all_finite(tensor.bytes))
        .ok_or(WireError::BadCodec("the tensor does not fit the table of dct"))?;
    Ok(Plan {
        table,
        geometry,
        steps: Steps::from_slice(&table.steps).map_err(|_| WireError::BadCodec("a table of too many steps"))?,
        coarseness: 0,
    })
}
