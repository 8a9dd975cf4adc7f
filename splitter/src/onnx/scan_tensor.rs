//! Checks that a tensor's payload is what its dims and type ask for, while the scan walks over it.

use super::element::ElementType;
use super::error::ReadError;
use super::scan::{Payload, Raw, Walk, malformed};
use super::schema::number;

/// What the scan has seen of one tensor.
pub(super) struct TensorCheck {
    at: u64,
    elements: Option<u64>,
    element: i32,
    numbers: Option<u64>,
    packed: bool,
    external: bool,
}

/// Protobuf fields of TensorProto that hold elements as numbers, not as raw bytes.
const FLOATS: u32 = 4;
const INT32S: u32 = 5;
const STRINGS: u32 = 6;
const INT64S: u32 = 7;
const DOUBLES: u32 = 10;
const UINT64S: u32 = 11;
const LOCATION: u32 = 14;

impl TensorCheck {
    pub(super) fn new(at: u64) -> Self {
        Self {
            at,
            elements: Some(1),
            element: 0,
            numbers: None,
            packed: false,
            external: false,
        }
    }

    pub(super) fn field(&mut self, raw: &Raw, packed: bool, walk: &mut Walk<'_>) -> Result<(), ReadError> {
        match raw.number {
            number::TENSOR_DIMS if !packed => self.dim(raw.value),
            number::TENSOR_DIMS => {
                let mut at = raw.body.start;
                while at < raw.body.end {
                    let (dim, next) = walk.varint(at, raw.body.end)?;
                    at = next;
                    self.dim(dim)?;
                }
                Ok(())
            }
            number::TENSOR_TYPE => {
                self.element = i32::try_from(raw.value).unwrap_or(0);
                Ok(())
            }
            LOCATION => {
                self.external = raw.value == 1;
                Ok(())
            }
            FLOATS if packed => self.count(raw.body.end - raw.body.start, 4),
            DOUBLES if packed => self.count(raw.body.end - raw.body.start, 8),
            INT32S | INT64S | UINT64S if packed => {
                let mut at = raw.body.start;
                let mut count = 0_u64;
                while at < raw.body.end {
                    let bytes = walk.window.at(at).map_err(|why| malformed(at, why.to_string()))?;
                    let take = usize::try_from(raw.body.end - at)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    count += bytes.iter().take(take).filter(|b| **b < 0x80).count() as u64;
                    at += take.max(1) as u64;
                }
                self.count(count, 1)
            }
            FLOATS | INT32S | INT64S | DOUBLES | UINT64S | STRINGS => self.count(1, 1),
            _ => Ok(()),
        }
    }

    fn count(&mut self, bytes: u64, each: u64) -> Result<(), ReadError> {
        if !bytes.is_multiple_of(each) {
            return Err(malformed(
                self.at,
                format!("{bytes} bytes of elements, {each} bytes each"),
            ));
        }
        self.packed = true;
        self.numbers = Some(self.numbers.unwrap_or(0) + bytes / each);
        Ok(())
    }

    /// A negative dim comes as a varint over `i64::MAX`.
    fn dim(&mut self, dim: u64) -> Result<(), ReadError> {
        let signed = i64::try_from(dim).map_err(|_| malformed(self.at, "a tensor has a negative dim".to_owned()))?;
        self.elements = self.elements.and_then(|n| n.checked_mul(signed.unsigned_abs()));
        Ok(())
    }

    pub(super) fn check(&self, payload: Option<&Payload>) -> Result<(), ReadError> {
        let Some(elements) = self.elements else {
            return Err(malformed(
                self.at,
                "a tensor's dims multiply to more than 64 bits".to_owned(),
            ));
        };
        let element = ElementType::from_onnx(self.element);
        let bytes = element.payload_bytes(elements);
        if bytes.is_none() && element.bits().is_some() {
            return Err(malformed(
                self.at,
                "a tensor's bytes are more than 64 bits can count".to_owned(),
            ));
        }
        if self.external {
            return Ok(());
        }
        match payload {
            Some(payload) if payload.field == number::TENSOR_RAW => {
                let got = payload.bytes.end - payload.bytes.start;
                match bytes {
                    Some(expected) if expected != got => Err(malformed(
                        self.at,
                        format!("a tensor of {elements} {element} has {got} bytes, expected {expected}"),
                    )),
                    _ => Ok(()),
                }
            }
            _ => self.check_numbers(elements, element),
        }
    }

    /// Typed fields: packed 4-bit and narrower types share an int32, complex numbers take two floats.
    fn check_numbers(&self, elements: u64, element: ElementType) -> Result<(), ReadError> {
        let got = self.numbers.unwrap_or(0);
        let narrow = element.bits().is_some_and(|bits| bits < 8);
        let expected = match element {
            ElementType::Complex64 | ElementType::Complex128 => elements.saturating_mul(2),
            _ if narrow => return Ok(()),
            _ => elements,
        };
        if got == expected {
            return Ok(());
        }
        Err(malformed(
            self.at,
            format!("a tensor of {elements} {element} has {got} numbers, expected {expected}"),
        ))
    }
}
