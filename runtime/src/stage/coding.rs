//! Tensors into a frame and out of it, each by its value's codec.
//!
//! Owns: pairing values, codecs and payloads. Must not know: codecs themselves, links.

use kerf_wire::codec::{Codec, Coder};
use kerf_wire::{Frame, FrameBuilder, WireError};

use super::Border;
use crate::source::Input;
use crate::step::Leaving;
use crate::tensor::Tensor;

/// Adds each leaving tensor to the frame under construction, each by its codec.
///
/// # Errors
/// When a codec does not take its tensor, or the frame grows over its bound.
pub(super) fn encode(
    builder: &mut FrameBuilder,
    coder: &mut Coder,
    codecs: &[Codec],
    leaving: &Leaving<'_>,
) -> Result<(), WireError> {
    for ((_, tensor), codec) in leaving.values.iter().zip(codecs) {
        builder.push_with(|out| coder.encode(codec, tensor, out))?;
    }
    Ok(())
}

/// The frame's tensors by name. The caller has compared their number with the cut's values.
///
/// # Errors
/// When a payload is not one of its codec, or the codec is not known.
pub(super) fn decode(coder: &mut Coder, border: &Border, frame: &Frame<'_>) -> Result<Input, WireError> {
    let mut tensors = Vec::with_capacity(border.values.len());
    let values = border.values.iter().zip(&border.codecs);
    for ((name, codec), (header, payload)) in values.zip(frame.tensors()) {
        let tensor = if let Some(view) = header.view(payload)? {
            Tensor::copy_of(view)?
        } else {
            let mut tensor = Tensor::zeros(header.dtype, &header.shape)?;
            coder.decode(codec, header, payload, tensor.bytes_mut())?;
            tensor
        };
        tensors.push((name.clone(), tensor));
    }
    Ok(Input {
        label: frame.header.id.to_string(),
        tensors,
    })
}
