//! Frame files: what would travel on the broker, as a file, sealed the same way.

use std::path::Path;

use kerf_wire::limits::MAX_MESSAGE_BYTES;
use kerf_wire::manifest::Cut;
use kerf_wire::tensor::payload_bytes;
use kerf_wire::{CodecId, CutId, Digest, Frame};

use super::{Input, SourceError};
use crate::tensor::Tensor;

/// The ending of a frame file.
pub const ENDING: &str = "frame";

/// The cut that a frame file crosses; none for a file that is no frame by its ending.
///
/// # Errors
/// When it cannot be read or is no intact frame.
pub fn cut_of(path: &Path) -> Result<Option<CutId>, SourceError> {
    if path.extension().is_none_or(|ending| ending != ENDING) {
        return Ok(None);
    }
    let bytes = read(path)?;
    let frame = Frame::parse(&bytes).map_err(|why| SourceError::DoesNotFit {
        path: path.display().to_string(),
        what: why.to_string(),
    })?;
    Ok(Some(frame.header.cut))
}

/// A frame file's bytes, not more than a frame may have.
///
/// # Errors
/// When it cannot be read or is too long.
pub fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let unreadable = |why: std::io::Error| SourceError::Unreadable {
        path: path.display().to_string(),
        why: why.to_string(),
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_MESSAGE_BYTES as u64 {
        return Err(SourceError::OverLimit {
            path: path.display().to_string(),
            what: format!("{bytes} bytes, expected at most {MAX_MESSAGE_BYTES}"),
        });
    }
    std::fs::read(path).map_err(unreadable)
}

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
