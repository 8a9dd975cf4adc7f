//! A model decoded whole, weights inside: for the commands that rewrite weights. Splitting never needs it.

use std::path::Path;

use bytes::Bytes;
use prost::Message as _;

use super::error::{ReadError, invalid};
use super::proto::tensor_proto::DataLocation;
use super::proto::{ModelProto, TensorProto};
use super::{Initialiser, Model};

/// Protocol buffers hold at most 2 GiB.
const MAX_WHOLE_BYTES: u64 = (1 << 31) - 1;

/// Reads a model with all of its weights, external ones drawn in, after every check of [`Model::read`].
///
/// # Errors
/// When [`Model::read`] refuses it, or it does not fit into one protocol buffer.
pub fn read_whole(path: &Path) -> Result<ModelProto, ReadError> {
    let model = Model::read(path)?;
    let external = model
        .initialisers
        .iter()
        .filter_map(|i| i.raw.as_ref().filter(|_| i.external));
    let bytes = external.fold(model.bytes(), |sum, raw| sum.saturating_add(raw.len()));
    if bytes > MAX_WHOLE_BYTES {
        return invalid(format!(
            "{bytes} bytes with its weights; rewriting weights takes models up to {MAX_WHOLE_BYTES} bytes"
        ));
    }
    let mut whole =
        ModelProto::decode(Bytes::from(read(&model, 0, 0..model.bytes())?)).map_err(|why| ReadError::Malformed {
            at: 0,
            what: format!("the model does not decode: {why}"),
        })?;
    let tensors = whole.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    for (tensor, initialiser) in tensors.zip(&model.initialisers) {
        draw_in(&model, tensor, initialiser)?;
    }
    Ok(whole)
}

fn draw_in(model: &Model, tensor: &mut TensorProto, initialiser: &Initialiser) -> Result<(), ReadError> {
    let Some(raw) = initialiser.raw.as_ref().filter(|_| initialiser.external) else {
        return Ok(());
    };
    tensor.raw_data = Some(Bytes::from(read(model, raw.source, raw.bytes.clone())?));
    tensor.external_data.clear();
    tensor.data_location = Some(DataLocation::Default as i32);
    Ok(())
}

fn read(model: &Model, source: usize, range: std::ops::Range<u64>) -> Result<Vec<u8>, ReadError> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    let Some(source) = model.sources.get(source) else {
        return invalid("a weight lies in no file of the model");
    };
    match source.read_exact_at(&mut bytes, range.start) {
        Ok(()) => Ok(bytes),
        Err(why) => invalid(format!("{length} bytes at {} cannot be read: {why}", range.start)),
    }
}
