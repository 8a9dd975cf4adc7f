//! A walk over a model's bytes that allocates nothing that a count has not allowed.
//!
//! Owns: finding every field of the model and of its graph, checking lengths, depths, names and tensor sizes, and a
//! *skeleton*: the model's bytes without the long tensor payloads. Must not know: what the operators mean.
//! Start at [`scan`]. The decoder (prost) only ever sees the skeleton: 3.9 MiB of empty nodes would make it take 328 MiB.

mod skeleton;

use std::ops::Range;

use super::error::ReadError;
use super::schema::{Kind, decoded_bytes, number};
use super::source::{Source, Window};
use crate::limits::{MAX_DECODED_BYTES, MAX_MODEL_BYTES};

/// One field of the model or of its graph.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) number: u32,
    /// The whole field in the file, tag and length included.
    pub(super) span: Range<u64>,
    /// The whole field in the skeleton, tag and length included.
    pub(super) skeleton: Range<usize>,
    /// Its contents in the skeleton, for messages.
    pub(super) body: Range<usize>,
    /// The payload of an initialiser, where it has one.
    pub(super) payload: Option<Payload>,
}

/// Where a tensor's elements are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    /// The field that holds them: raw_data, float_data ….
    pub(super) field: u32,
    /// In the model's file.
    pub(super) bytes: Range<u64>,
    /// True where the skeleton does not have them.
    pub(super) left_out: bool,
}

/// What the scan found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) model: Vec<Field>,
    pub(super) graph: Vec<Field>,
    pub(super) skeleton: Vec<u8>,
}

/// Walks the whole model.
pub(super) fn scan(source: &Source) -> Result<Scan, ReadError> {
    let len = source.len();
    over("bytes of model file", len, MAX_MODEL_BYTES)?;
    let mut walk = Walk {
        window: Window::new(source),
        decoded: 0,
        kept: 0,
    };
    let mut found = Scan::default();
    let mut graphs = Vec::new();
    walk.fields(
        Kind::Model,
        0..len,
        &mut found.model,
        &mut found.skeleton,
        &mut |field| {
            if field.number == number::MODEL_GRAPH && field.wire == LEN {
                graphs.push(field.body.clone());
                true
            } else {
                false
            }
        },
    )?;
    // Protobuf merges a message that comes twice.
    for body in graphs {
        walk.fields(Kind::Graph, body, &mut found.graph, &mut found.skeleton, &mut |_| false)?;
    }
    Ok(found)
}

const VARINT: u8 = 0;
const I64: u8 = 1;
const LEN: u8 = 2;
const I32: u8 = 5;

/// A field as it stands in the file.
pub(super) struct Raw {
    pub(super) number: u32,
    wire: u8,
    span: Range<u64>,
    pub(super) body: Range<u64>,
    /// The number itself, for varints.
    pub(super) value: u64,
}

pub(super) struct Walk<'a> {
    pub(super) window: Window<'a>,
    decoded: u64,
    kept: u64,
}

impl Walk<'_> {
    /// Walks the fields of the model or of the graph, keeping where each one is. `skip` takes those that it wants to
    /// walk by itself.
    fn fields(
        &mut self,
        kind: Kind,
        range: Range<u64>,
        fields: &mut Vec<Field>,
        skeleton: &mut Vec<u8>,
        skip: &mut dyn FnMut(&Raw) -> bool,
    ) -> Result<(), ReadError> {
        self.charge(decoded_bytes(kind))?;
        let mut at = range.start;
        while at < range.end {
            let raw = self.field(at, range.end)?;
            at = raw.span.end;
            if skip(&raw) {
                continue;
            }
            self.charge(std::mem::size_of::<Field>() as u64)?;
            let start = skeleton.len();
            let payload = self.keep(kind, &raw, 1, skeleton)?;
            let body_start = start + prefix_len(skeleton.get(start..).unwrap_or(&[]));
            fields.push(Field {
                number: raw.number,
                span: raw.span,
                skeleton: start..skeleton.len(),
                body: body_start..skeleton.len(),
                payload,
            });
        }
        Ok(())
    }

    fn charge(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.decoded = self.decoded.saturating_add(bytes);
        over("bytes of decoded model", self.decoded, MAX_DECODED_BYTES)
    }

    /// Reads a field's tag and bounds at `at`; it must end within `end`.
    pub(super) fn field(&mut self, at: u64, end: u64) -> Result<Raw, ReadError> {
        let (tag, body) = self.varint(at, end)?;
        let wire = (tag & 7) as u8;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if number == 0 || number > (1 << 29) - 1 {
            return Err(malformed(at, format!("{} is no field number", tag >> 3)));
        }
        let mut value = 0;
        let body = match wire {
            VARINT => {
                let (number, next) = self.varint(body, end)?;
                value = number;
                body..next
            }
            I64 => body..body + 8,
            I32 => body..body + 4,
            LEN => {
                let (len, start) = self.varint(body, end)?;
                start..start.saturating_add(len)
            }
            other => return Err(malformed(at, format!("wire type {other} is not known"))),
        };
        if body.end > end {
            return Err(malformed(
                at,
                format!("field {number} ends at byte {}, what holds it at {end}", body.end),
            ));
        }
        Ok(Raw {
            number,
            wire,
            span: at..body.end,
            body,
            value,
        })
    }

    /// Reads a varint at `at`; gives it and the offset behind it.
    pub(super) fn varint(&mut self, at: u64, end: u64) -> Result<(u64, u64), ReadError> {
        let mut value = 0_u64;
        let mut offset = at;
        // Twice, where the window ends within the number.
        while offset < end {
            let bytes = self
                .window
                .at(offset)
                .map_err(|why| malformed(offset, why.to_string()))?;
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            for byte in bytes.iter().take(left) {
                let shift = 7 * (offset - at);
                if shift > 63 || (shift == 63 && *byte > 1) {
                    return Err(malformed(at, "a number has more than 64 bits".to_owned()));
                }
                value |= u64::from(*byte & 0x7f) << shift;
                offset += 1;
                if *byte < 0x80 {
                    return Ok((value, offset));
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        Err(malformed(offset, "a number is cut short".to_owned()))
    }
}

/// Bytes of a field's tag and length.
fn prefix_len(field: &[u8]) -> usize {
    let varint = |bytes: &[u8]| bytes.iter().position(|b| *b < 0x80).map_or(0, |last| last + 1);
    let tag = varint(field);
    match field.first() {
        Some(byte) if byte & 7 == LEN => tag + varint(field.get(tag..).unwrap_or(&[])),
        _ => tag,
    }
}

pub(super) fn malformed(at: u64, what: String) -> ReadError {
    ReadError::Malformed { at, what }
}

pub(super) fn over(what: &'static str, got: u64, limit: u64) -> Result<(), ReadError> {
    if got > limit {
        return Err(ReadError::OverLimit { what, got, limit });
    }
    Ok(())
}
