//! What a tensor of an ONNX file claims, and whether its bytes bear it out.

use super::GuardError;
use super::fields::{Content, Field, Fields};
use crate::limits::MAX_ONNX_TENSOR_BYTES;

/// What is needed of a TensorProto to know how large it becomes.
#[derive(Default)]
pub(super) struct TensorSummary<'a> {
    name: &'a str,
    elements: Option<u64>,
    overflows: bool,
    data_type: u64,
    raw: Option<u64>,
    external: bool,
    pub(super) location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl<'a> TensorSummary<'a> {
    pub(super) fn take(&mut self, field: &Field<'a>) -> Result<(), GuardError> {
        match (field.number, &field.content) {
            (1, Content::Varint(dim)) => self.dimension(*dim),
            (1, Content::Bytes(packed, at)) => {
                let mut dims = Fields {
                    bytes: packed,
                    at: 0,
                    base: *at,
                };
                while dims.at < packed.len() {
                    let dim = dims.varint()?;
                    self.dimension(dim);
                }
            }
            (2, Content::Varint(data_type)) => self.data_type = *data_type,
            (8, Content::Bytes(name, _)) => self.name = std::str::from_utf8(name).unwrap_or("?"),
            (9, Content::Bytes(raw, _)) => self.raw = Some(raw.len() as u64),
            (13, Content::Bytes(entry, at)) => self.entry(entry, *at)?,
            (14, Content::Varint(location)) => self.external = *location == 1,
            _ => {}
        }
        Ok(())
    }

    fn dimension(&mut self, dim: u64) {
        match self.elements.unwrap_or(1).checked_mul(dim) {
            Some(product) => self.elements = Some(product),
            None => self.overflows = true,
        }
    }

    fn entry(&mut self, bytes: &'a [u8], at: usize) -> Result<(), GuardError> {
        let (mut key, mut value) = ("", "");
        let mut fields = Fields { bytes, at: 0, base: at };
        while let Some(field) = fields.next()? {
            if let Content::Bytes(text, at) = field.content {
                let text = std::str::from_utf8(text).map_err(|_| GuardError::Broken(at))?;
                match field.number {
                    1 => key = text,
                    2 => value = text,
                    _ => {}
                }
            }
        }
        let number = || {
            value.parse::<u64>().map_err(|_| GuardError::Tensor {
                name: self.name.to_owned(),
                what: format!("external {key} {value:?} is no number"),
            })
        };
        match key {
            "location" => self.location = value,
            "offset" => self.offset = number()?,
            "length" => self.length = Some(number()?),
            _ => {}
        }
        Ok(())
    }

    /// The end offset in the external file, where there is one.
    pub(super) fn check(&self) -> Result<Option<u64>, GuardError> {
        let refuse = |what: String| GuardError::Tensor {
            name: self.name.to_owned(),
            what,
        };
        let elements = self.elements.unwrap_or(1);
        let bits = element_bits(self.data_type);
        let bytes = elements.checked_mul(bits).map(|b| b.div_ceil(8));
        let bytes = bytes
            .filter(|b| *b <= MAX_ONNX_TENSOR_BYTES && !self.overflows)
            .ok_or_else(|| refuse(format!("its shape asks for more than {MAX_ONNX_TENSOR_BYTES} bytes")))?;
        if let Some(raw) = self.raw.filter(|raw| *raw != 0 && bits != 0 && *raw != bytes) {
            return Err(refuse(format!("it has {raw} bytes, its shape asks for {bytes}")));
        }
        if !self.external {
            return Ok(None);
        }
        if !is_plain(self.location) {
            return Err(GuardError::ExternalName(self.location.to_owned()));
        }
        let length = self.length.unwrap_or(bytes);
        if length != bytes {
            return Err(refuse(format!(
                "it has {length} external bytes, its shape asks for {bytes}"
            )));
        }
        self.offset
            .checked_add(length)
            .map(Some)
            .ok_or_else(|| refuse("its external offset overflows".to_owned()))
    }
}

/// A name that cannot leave the model's folder, and none of ONNX Runtime's in-memory markers.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '*', ':', '\0'])
        && !name.chars().any(char::is_control)
}

/// Bits of one element by `TensorProto.DataType`; 0 for strings and what is not known, whose length is its own.
fn element_bits(data_type: u64) -> u64 {
    match data_type {
        21..=23 => 4,
        2 | 3 | 9 | 17..=20 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        _ => 0,
    }
}
