//! Counts what an ONNX file holds before anything decodes it, and finds the external files that it names.
//!
//! Owns: the bounds of ONNX as protobuf. Must not know: operators and their meaning.
//! Why before decoding: a decoder allocates for every message, so 4 MiB of empty nodes become 330 MiB; and an engine
//! follows an external file's name wherever it leads (ONNX Runtime even into memory). Nothing is allocated here but
//! the external names.

use std::collections::BTreeSet;

use crate::backend::Companion;
use crate::limits::{MAX_ONNX_DEPTH, MAX_ONNX_FIELDS, MAX_ONNX_MESSAGES, MAX_ONNX_NODES};

mod fields;
mod tensor;

use fields::{Content, Fields};
use tensor::TensorSummary;

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn field(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut length = inner.len();
        while length >= 0x80 {
            bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
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
