//! Frame files: what would travel on the broker, as a file, sealed the same way.

use std::path::Path;

use kerf_wire::manifest::Cut;
use kerf_wire::tensor::payload_bytes;
use kerf_wire::{CodecId, Digest, Frame};

use super::{Input, SourceError};
use crate::tensor::Tensor;

/// The ending of a frame file.
pub const ENDING: &str = "frame";

/// Opens a frame that crosses `cut` of the model with this digest; its payloads must be raw.
///
/// # Errors
/// When the bytes are no intact frame, or belong to another model or cut.
pub fn open(bytes: &[u8], path: &Path, model: Digest, cut: &Cut) -> Result<Input, SourceError> {
    let refuse = |what: String| SourceError::DoesNotFit {
        path: path.display().to_string(),
        what,
    };
    let frame = Frame::parse(bytes).map_err(|why| refuse(why.to_string()))?;
    let header = &frame.header;
    if header.model != model {
        return Err(refuse(format!("it is of model {}, expected {model}", header.model)));
    }
    let expected = cut.cut_id().map_err(|why| refuse(why.to_string()))?;
    if header.cut != expected || header.tensors.len() != cut.values.len() {
        return Err(refuse(format!("it crosses cut {}, expected {expected}", header.cut)));
    }
    let mut input = Input {
        label: header.id.to_string(),
        tensors: Vec::new(),
    };
    for (name, (header, payload)) in cut.values.iter().zip(frame.tensors()) {
        let raw = header.codec == CodecId::RAW && payload_bytes(header.dtype, &header.shape) == Ok(payload.len());
        if !raw {
            return Err(refuse(format!("value {name:?} is encoded, a frame file is raw")));
        }
        let mut tensor = Tensor::zeros(header.dtype, &header.shape).map_err(|why| refuse(why.to_string()))?;
        tensor.bytes_mut().copy_from_slice(payload);
        input.tensors.push((name.clone(), tensor));
    }
    Ok(input)
}
