//! A file that is put together from bytes at hand and byte ranges of the model.

use std::io::{self, Write};

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::onnx::{Model, Span};

/// A stretch of a file to be.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    Span(Span),
}

/// Pieces in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces {
    list: Vec<Piece>,
    len: u64,
}

const COPY_BYTES: usize = 1 << 20;

impl Pieces {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes at hand; they join the piece before them.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        match self.list.last_mut() {
            Some(Piece::Bytes(last)) => last.extend_from_slice(bytes),
            _ => self.list.push(Piece::Bytes(bytes.to_vec())),
        }
    }

    /// A range of one of the model's sources; one that follows the last joins it.
    pub(super) fn span(&mut self, span: Span) {
        self.len += span.len();
        match self.list.last_mut() {
            Some(Piece::Span(last)) if last.source == span.source && last.bytes.end == span.bytes.start => {
                last.bytes.end = span.bytes.end;
            }
            _ => self.list.push(Piece::Span(span)),
        }
    }

    /// A range of the model's own file.
    pub(super) fn own(&mut self, bytes: &std::ops::Range<u64>) {
        self.span(Span {
            source: 0,
            bytes: bytes.clone(),
        });
    }

    /// A field that holds a message at hand.
    pub(super) fn message(&mut self, field: u32, message: &impl prost::Message) {
        let body = message.encode_to_vec();
        self.prefix(field, body.len() as u64);
        self.bytes(&body);
    }

    /// A field that holds other pieces.
    pub(super) fn field(&mut self, field: u32, body: Self) {
        self.prefix(field, body.len);
        self.append(body);
    }

    /// Tag and length of a field whose contents follow.
    pub(super) fn prefix(&mut self, field: u32, len: u64) {
        let mut prefix = Vec::with_capacity(12);
        encode_key(field, WireType::LengthDelimited, &mut prefix);
        encode_varint(len, &mut prefix);
        self.bytes(&prefix);
    }

    fn append(&mut self, other: Self) {
        for piece in other.list {
            match piece {
                Piece::Bytes(bytes) => self.bytes(&bytes),
                Piece::Span(span) => self.span(span),
            }
        }
    }

    /// Copies everything to `out`, a megabyte at a time.
    pub(super) fn write(&self, model: &Model, out: &mut impl Write) -> io::Result<()> {
        let mut buffer = Vec::new();
        for piece in &self.list {
            match piece {
                Piece::Bytes(bytes) => out.write_all(bytes)?,
                Piece::Span(span) => copy(model, span, &mut buffer, out)?,
            }
        }
        Ok(())
    }
}

fn copy(model: &Model, span: &Span, buffer: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    let source = model.sources.get(span.source).ok_or(io::ErrorKind::NotFound)?;
    let mut at = span.bytes.start;
    while at < span.bytes.end {
        let take = usize::try_from(span.bytes.end - at)
            .unwrap_or(usize::MAX)
            .min(COPY_BYTES);
        buffer.resize(take, 0);
        source.read_exact_at(buffer, at)?;
        out.write_all(buffer)?;
        at += take as u64;
    }
    Ok(())
}
