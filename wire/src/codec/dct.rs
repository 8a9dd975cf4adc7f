//! The `dct` codec: mean off, blocks to frequencies, levels by fitted steps, levels coded by their expected magnitude.
//!
//! Feature maps are smooth within a channel, so a cosine transform gathers them in few coefficients; and networks are less
//! sensitive to an error at high frequencies, which later layers average away, so those get coarser steps. Clipping and
//! coarse entropy-constrained levels follow R. A. Cohen, H. Choi, I. V. Bajić, arXiv:2105.06002.

use alloc::vec::Vec;

use super::blocks::{Plan, Steps};
use super::rans::Encoder;
use super::table::{Geometry, Table};
use super::{Codec, Coder, Parameters, all_finite};
use crate::error::WireError;
use crate::frame::TensorHeader;
use crate::tensor::TensorRef;

const NO_TABLE: WireError = WireError::BadCodec("dct needs the table of this value, and the manifest has none");

/// Encodes; none where the tensor is not finite or its shape does not fit the table.
pub(super) fn encode(
    codec: &Codec,
    tensor: &TensorRef<'_>,
    coder: &mut Coder,
    out: &mut Vec<u8>,
) -> Result<Option<Parameters>, WireError> {
    let table = codec.table.as_ref().ok_or(NO_TABLE)?;
    table.check()?;
    let (Some(geometry), Some(steps)) = (
        Geometry::of(table, tensor.shape),
        effective_steps(table, codec.coarseness),
    ) else {
        return Ok(None);
    };
    if !all_finite(tensor.bytes) {
        return Ok(None);
    }
    let plan = Plan {
        table,
        geometry,
        steps,
        coarseness: codec.coarseness,
    };
    let elements = tensor.bytes.as_chunks::<4>().0;
    let Coder {
        codes: plain,
        levels,
        symbols,
        words,
        ..
    } = coder;
    plain.clear();
    if table.takes_turns() {
        plan.to_symbols(elements, symbols, plain);
        Plan::encode_symbols(symbols, Encoder::new(words), out)?;
    } else {
        plan.to_levels(elements, levels, plain);
        plan.encode_tokens(levels, Encoder::new(words), out)?;
    }
    out.extend_from_slice(plain);
    Ok(Parameters::from_slice(&codec.coarseness.to_le_bytes()).ok())
}

/// Decodes into `out`, which has the tensor's length.
pub(super) fn decode(codec: &Codec, header: &TensorHeader, payload: &[u8], out: &mut [u8]) -> Result<(), WireError> {
    let table = codec.table.as_ref().ok_or(NO_TABLE)?;
    table.check()?;
    let Ok([coarseness]) = <[u8; 1]>::try_from(header.parameters.as_slice()) else {
        return Err(WireError::BadCodec("dct has one parameter, the coarseness"));
    };
    let coarseness = i8::from_le_bytes([coarseness]);
    let geometry = Geometry::of(table, &header.shape)
        .ok_or(WireError::BadCodec("the tensor's shape does not fit the table of dct"))?;
    let steps = effective_steps(table, coarseness).ok_or(WireError::BadCodec("a step is out of range"))?;
    let plan = Plan {
        table,
        geometry,
        steps,
        coarseness,
    };
    let elements = out.as_chunks_mut::<4>().0;
    if table.takes_turns() {
        plan.decode_dependent(payload, elements)
    } else {
        plan.decode_uniform(payload, elements)
    }
}

/// The table's steps times 2^(coarseness/4); none where one leaves the normal floats.
fn effective_steps(table: &Table, coarseness: i8) -> Option<Steps> {
    const QUARTERS: [f32; 4] = [1.0, 1.189_207_1, core::f32::consts::SQRT_2, 1.681_792_8];
    let octave = i32::from(coarseness.div_euclid(4));
    let quarter = QUARTERS.get(usize::try_from(coarseness.rem_euclid(4)).ok()?)?;
    let factor = f32::from_bits(u32::try_from(127 + octave).ok()? << 23) * quarter;
    let mut steps = Steps::new();
    for step in &table.steps {
        let step = Some(step * factor).filter(|step| step.is_normal() && step.recip().is_normal())?;
        steps.push(step).ok()?;
    }
    Some(steps)
}
