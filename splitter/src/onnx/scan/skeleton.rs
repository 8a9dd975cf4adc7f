//! What of each field goes to the skeleton, down through all messages.

use std::ops::Range;

use super::{LEN, Payload, Raw, Walk, malformed, over};
use crate::limits::{MAX_BODY_DEPTH, MAX_MESSAGE_DEPTH, MAX_NAME_BYTES, MAX_SKELETON_BYTES, MIN_PAYLOAD_BYTES};
use crate::onnx::error::ReadError;
use crate::onnx::scan_tensor::TensorCheck;
use crate::onnx::schema::{Content, Kind, content, decoded_bytes};

impl Walk<'_> {
    /// Walks a message; its skeleton goes to `out`. Gives the payload, where it is a tensor with one.
    fn message(
        &mut self,
        kind: Kind,
        range: Range<u64>,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Payload>, ReadError> {
        if depth > MAX_MESSAGE_DEPTH {
            return Err(ReadError::OverLimit {
                what: "graphs within graphs, at least",
                got: (depth / 3) as u64,
                limit: MAX_BODY_DEPTH as u64,
            });
        }
        self.charge(decoded_bytes(kind))?;
        let mut tensor = (kind == Kind::Tensor).then(|| TensorCheck::new(range.start));
        let mut payload = None;
        let mut at = range.start;
        while at < range.end {
            let raw = self.field(at, range.end)?;
            at = raw.span.end;
            if let Some(tensor) = &mut tensor {
                tensor.field(&raw, raw.wire == LEN, self)?;
            }
            if let Some(found) = self.keep(kind, &raw, depth, out)? {
                payload = Some(found);
            }
        }
        match tensor {
            Some(tensor) => {
                tensor.check(payload.as_ref())?;
                Ok(payload)
            }
            None => Ok(None),
        }
    }

    /// Appends one field to the skeleton, as far as it is kept.
    pub(super) fn keep(
        &mut self,
        kind: Kind,
        raw: &Raw,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Payload>, ReadError> {
        if raw.wire != LEN {
            self.charge(16)?;
            self.copy(raw.span.clone(), out)?;
            return Ok(None);
        }
        let len = raw.body.end - raw.body.start;
        match content(kind, raw.number) {
            Content::Message(child) => {
                let mut body = Vec::new();
                let payload = self.message(child, raw.body.clone(), depth + 1, &mut body)?;
                prost::encoding::encode_key(raw.number, prost::encoding::WireType::LengthDelimited, out);
                prost::encoding::encode_varint(body.len() as u64, out);
                out.extend_from_slice(&body);
                return Ok(payload);
            }
            Content::Payload => {
                let left_out = len >= MIN_PAYLOAD_BYTES;
                if !left_out {
                    self.charge(8 * len)?;
                    self.copy(raw.span.clone(), out)?;
                }
                return Ok(Some(Payload {
                    field: raw.number,
                    bytes: raw.body.clone(),
                    left_out,
                }));
            }
            Content::Dropped => return Ok(None),
            Content::Name => over("bytes in one name", len, MAX_NAME_BYTES)?,
            Content::Numbers | Content::Bytes | Content::Rare => {}
        }
        self.charge(match content(kind, raw.number) {
            Content::Numbers => 16 * len,
            Content::Rare => 64 + 40 * len,
            // A String, its place in a Vec that doubles as it grows, and the allocation's own header.
            _ => 64 + len,
        })?;
        self.copy(raw.span.clone(), out)?;
        Ok(None)
    }

    fn copy(&mut self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), ReadError> {
        self.kept += range.end - range.start;
        over("bytes of model without its weights", self.kept, MAX_SKELETON_BYTES)?;
        let at = range.start;
        self.window
            .copy(range, out)
            .map_err(|why| malformed(at, why.to_string()))
    }
}
