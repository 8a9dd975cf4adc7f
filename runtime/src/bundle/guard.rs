//! Counts what an ONNX file holds before anything decodes it, and finds the external files that it names.
//!
//! Owns: the bounds of ONNX as protobuf. Must not know: operators and their meaning.
//! Why before decoding: a decoder allocates for every message, so 4 MiB of empty nodes become 330 MiB; and an engine
//! follows an external file's name wherever it leads (ONNX Runtime even into memory). Nothing is allocated here but
//! the external names.

use std::collections::BTreeSet;

use crate::backend::Companion;
use crate::limits::{MAX_ONNX_DEPTH, MAX_ONNX_FIELDS, MAX_ONNX_MESSAGES, MAX_ONNX_NODES, MAX_ONNX_TENSOR_BYTES};

/// What the scan found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Names of external data files, each a plain name.
    pub(super) external_files: BTreeSet<String>,
    /// Where external data must reach: file and end offset.
    reaches: Vec<(String, u64)>,
    messages: usize,
    nodes: usize,
    fields: usize,
    has_graph: bool,
}

/// Why a model's bytes were refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum GuardError {
    #[error("not an ONNX model, or cut short: the protobuf breaks at byte {0}")]
    Broken(usize),
    #[error("not an ONNX model: it has no graph")]
    NoGraph,
    #[error("more than {limit} {what}")]
    OverLimit { what: &'static str, limit: usize },
    #[error("tensor {name:?}: {what}")]
    Tensor { name: String, what: String },
    #[error("external data {0:?} is not a plain file name beside the model")]
    ExternalName(String),
    #[error("external data {0:?} is not among the model's files")]
    ExternalMissing(String),
    #[error("external data {name:?} has {got} bytes, the model reaches to {reach}")]
    ExternalShort { name: String, reach: u64, got: u64 },
}

/// The messages of onnx.proto3 that are walked into; field numbers are from that file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Training,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Entry,
    Other,
}

fn child(kind: Kind, field: u64) -> Option<Kind> {
    match (kind, field) {
        (Kind::Model, 7) | (Kind::Attribute, 6 | 11) | (Kind::Training, 1 | 2) => Some(Kind::Graph),
        (Kind::Model, 20) => Some(Kind::Training),
        (Kind::Model, 25) => Some(Kind::Function),
        (Kind::Graph, 1) | (Kind::Function, 7) => Some(Kind::Node),
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::SparseTensor, 1 | 2) => Some(Kind::Tensor),
        (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Some(Kind::SparseTensor),
        (Kind::Node, 5) | (Kind::Function, 11) => Some(Kind::Attribute),
        (Kind::Tensor, 13) => Some(Kind::Entry),
        (Kind::Graph, 11..=13) => Some(Kind::ValueInfo),
        (Kind::ValueInfo, 2) | (Kind::Attribute, 14 | 15) => Some(Kind::Type),
        (Kind::Type, 1 | 8) => Some(Kind::TensorType),
        (Kind::TensorType, 2) => Some(Kind::Shape),
        (Kind::Shape, 1) | (Kind::Model, 8 | 14) | (Kind::Graph, 14) => Some(Kind::Other),
        _ => None,
    }
}

/// Walks a whole file.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan, GuardError> {
    let mut scan = Scan::default();
    scan.message(bytes, 0, Kind::Model, 0)?;
    if scan.has_graph {
        Ok(scan)
    } else {
        Err(GuardError::NoGraph)
    }
}

/// Every external file must be a companion that is long enough.
pub(super) fn check_external(scan: &Scan, companions: &[Companion]) -> Result<(), GuardError> {
    for (name, reach) in &scan.reaches {
        let companion = companions.iter().find(|c| c.name == *name);
        let got = companion
            .ok_or_else(|| GuardError::ExternalMissing(name.clone()))?
            .contents
            .len() as u64;
        if got < *reach {
            return Err(GuardError::ExternalShort {
                name: name.clone(),
                reach: *reach,
                got,
            });
        }
    }
    Ok(())
}

fn bounded(count: &mut usize, limit: usize, what: &'static str) -> Result<(), GuardError> {
    *count += 1;
    if *count > limit {
        return Err(GuardError::OverLimit { what, limit });
    }
    Ok(())
}

impl Scan {
    fn message(&mut self, bytes: &[u8], at: usize, kind: Kind, depth: usize) -> Result<(), GuardError> {
        bounded(&mut self.messages, MAX_ONNX_MESSAGES, "messages")?;
        let depth = match kind {
            Kind::Graph => depth + 1,
            _ => depth,
        };
        if depth > MAX_ONNX_DEPTH {
            return Err(GuardError::OverLimit {
                what: "graphs within each other",
                limit: MAX_ONNX_DEPTH,
            });
        }
        match kind {
            Kind::Graph => self.has_graph = true,
            Kind::Node => bounded(&mut self.nodes, MAX_ONNX_NODES, "nodes")?,
            Kind::Tensor => return self.tensor(bytes, at),
            _ => {}
        }
        let mut fields = Fields { bytes, at: 0, base: at };
        while let Some(field) = fields.next()? {
            bounded(&mut self.fields, MAX_ONNX_FIELDS, "fields")?;
            if let (Some(kind), Content::Bytes(inner, at)) = (child(kind, field.number), field.content) {
                self.message(inner, at, kind, depth)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, bytes: &[u8], at: usize) -> Result<(), GuardError> {
        let mut tensor = TensorSummary::default();
        let mut fields = Fields { bytes, at: 0, base: at };
        while let Some(field) = fields.next()? {
            bounded(&mut self.fields, MAX_ONNX_FIELDS, "fields")?;
            tensor.take(&field)?;
        }
        if let Some(reach) = tensor.check()? {
            let name = tensor.location.to_owned();
            self.external_files.insert(name.clone());
            self.reaches.push((name, reach));
        }
        Ok(())
    }
}

/// What is needed of a TensorProto to know how large it becomes.
#[derive(Default)]
struct TensorSummary<'a> {
    name: &'a str,
    elements: Option<u64>,
    overflows: bool,
    data_type: u64,
    raw: Option<u64>,
    external: bool,
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl<'a> TensorSummary<'a> {
    fn take(&mut self, field: &Field<'a>) -> Result<(), GuardError> {
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
    fn check(&self) -> Result<Option<u64>, GuardError> {
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

struct Field<'a> {
    number: u64,
    content: Content<'a>,
}

enum Content<'a> {
    Varint(u64),
    /// Bytes and their offset in the file.
    Bytes(&'a [u8], usize),
    Fixed,
}

/// Walks the fields of one message.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    base: usize,
}

impl<'a> Fields<'a> {
    fn broken<T>(&self) -> Result<T, GuardError> {
        Err(GuardError::Broken(self.base + self.at))
    }

    fn varint(&mut self) -> Result<u64, GuardError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return self.broken();
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.broken()
    }

    fn skip(&mut self, bytes: usize) -> Result<&'a [u8], GuardError> {
        let end = self.at.checked_add(bytes);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return self.broken();
        };
        self.at += bytes;
        Ok(taken)
    }

    fn next(&mut self) -> Result<Option<Field<'a>>, GuardError> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let content = match key & 7 {
            0 => Content::Varint(self.varint()?),
            1 => self.skip(8).map(|_| Content::Fixed)?,
            5 => self.skip(4).map(|_| Content::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                let offset = self.base + self.at;
                Content::Bytes(self.skip(length)?, offset)
            }
            _ => return self.broken(),
        };
        let number = key >> 3;
        if number == 0 {
            return self.broken();
        }
        Ok(Some(Field { number, content }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn field(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut length = inner.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap());
        bytes.extend_from_slice(inner);
        bytes
    }

    fn with_tensor(tensor: &[u8]) -> Vec<u8> {
        field(7, &field(5, tensor))
    }

    fn external(location: &str, extra: &[u8]) -> Vec<u8> {
        let entry = [field(1, b"location"), field(2, location.as_bytes())].concat();
        let mut tensor = [&[8, 2, 16, 1][..], &field(13, &entry), &[112, 1]].concat();
        tensor.extend_from_slice(extra);
        with_tensor(&tensor)
    }

    #[test]
    fn an_empty_file_and_text_are_no_models() {
        assert_eq!(scan(b"").unwrap_err(), GuardError::NoGraph);
        assert!(matches!(scan(b"hello, world").unwrap_err(), GuardError::Broken(_)));
    }

    #[test]
    fn empty_nodes_are_counted_before_they_cost_memory() {
        let nodes = field(1, b"").repeat(MAX_ONNX_NODES + 1);
        let error = scan(&field(7, &nodes)).unwrap_err();
        assert!(matches!(error, GuardError::OverLimit { what: "nodes", .. }), "{error}");
    }

    #[test]
    fn graphs_within_graphs_are_bounded() {
        let nested = (0..=MAX_ONNX_DEPTH).fold(Vec::new(), |inner, _| field(1, &field(5, &field(6, &inner))));
        let error = scan(&field(7, &nested)).unwrap_err();
        assert!(matches!(error, GuardError::OverLimit { .. }), "{error}");
    }

    #[test]
    fn shapes_must_fit_their_bytes() {
        // dims [2], data_type f32, raw_data of 4 bytes instead of 8.
        let short = [&[8, 2, 16, 1][..], &field(9, &[0; 4])].concat();
        assert!(matches!(scan(&with_tensor(&short)), Err(GuardError::Tensor { .. })));
        let right = [&[8, 2, 16, 1][..], &field(9, &[0; 8])].concat();
        assert!(scan(&with_tensor(&right)).is_ok());
        let huge = [&[8][..], &[0xff; 9], &[1, 8, 2, 16, 1]].concat();
        assert!(matches!(scan(&with_tensor(&huge)), Err(GuardError::Tensor { .. })));
    }

    #[test]
    fn external_names_stay_in_the_folder() {
        for name in [
            "../weights",
            "/etc/passwd",
            "*/_ORT_MEM_ADDR_/*",
            "a/b",
            "",
            ".hidden",
            "C:x",
        ] {
            let error = scan(&external(name, b"")).unwrap_err();
            assert_eq!(error, GuardError::ExternalName(name.to_owned()));
        }
        let scan = scan(&external("weights.bin", b"")).unwrap();
        assert_eq!(scan.external_files.iter().collect::<Vec<_>>(), ["weights.bin"]);
        assert!(matches!(
            check_external(&scan, &[]),
            Err(GuardError::ExternalMissing(_))
        ));
    }
}
