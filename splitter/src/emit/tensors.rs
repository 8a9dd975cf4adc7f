//! Initialisers of a part: as they stand in the model, with their elements drawn in, or referring to a file beside it.

use super::piece::Pieces;
use crate::limits::MIN_PAYLOAD_BYTES;
use crate::onnx::proto::{StringStringEntryProto, TensorProto};
use crate::onnx::{Initialiser, Span};

/// GraphProto's field of initialisers, TensorProto's of raw bytes.
const INITIALIZER: u32 = 5;
const RAW_DATA: u32 = 9;
/// ONNX asks for page alignment of large tensors, so that they can be mapped.
const ALIGN_BYTES: u64 = 4096;
/// Tensors below this are aligned for vector loads only.
const PAGE_FROM_BYTES: u64 = 1 << 20;
const SMALL_ALIGN_BYTES: u64 = 64;

/// A file of weights beside a part.
#[derive(Debug, Default)]
pub(super) struct Weights {
    /// Its name.
    pub(super) file: String,
    /// What it holds.
    pub(super) pieces: Pieces,
}

/// Bytes that an initialiser takes in a part that holds it itself.
pub(super) fn inline_len(initialiser: &Initialiser) -> u64 {
    let own = initialiser.span.end - initialiser.span.start;
    let drawn_in = initialiser.raw.as_ref().filter(|_| initialiser.external);
    own + drawn_in.map_or(0, |raw| raw.len() + 16)
}

/// True where the elements may lie in another file.
pub(super) fn may_lie_beside(initialiser: &Initialiser) -> bool {
    initialiser
        .raw
        .as_ref()
        .is_some_and(|raw| raw.len() >= MIN_PAYLOAD_BYTES)
}

/// The initialiser with all of its elements.
pub(super) fn inline(initialiser: &Initialiser, graph: &mut Pieces) {
    let Some(raw) = initialiser.raw.as_ref().filter(|_| initialiser.external) else {
        graph.own(&initialiser.span);
        return;
    };
    let mut body = Pieces::default();
    body.bytes(&prost::Message::encode_to_vec(&without_elements(&initialiser.proto)));
    body.prefix(RAW_DATA, raw.len());
    body.span(raw.clone());
    graph.field(INITIALIZER, body);
}

/// The initialiser without its elements, which go to `weights`.
pub(super) fn beside(initialiser: &Initialiser, raw: &Span, graph: &mut Pieces, weights: &mut Weights) {
    let offset = weights.put(raw);
    refer(initialiser, &weights.file, offset, raw.len(), graph);
}

/// The initialiser as a reference to a file of its folder.
pub(super) fn refer(initialiser: &Initialiser, file: &str, offset: u64, bytes: u64, graph: &mut Pieces) {
    graph.message(INITIALIZER, &referring(initialiser, file, offset, bytes));
}

/// A tensor whose elements lie in a file of its folder.
fn referring(initialiser: &Initialiser, file: &str, offset: u64, bytes: u64) -> TensorProto {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    let mut proto = without_elements(&initialiser.proto);
    proto.external_data = vec![
        entry("location", file.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", bytes.to_string()),
    ];
    proto.data_location = Some(1);
    proto
}

impl Weights {
    /// Appends elements at an aligned offset, which it gives.
    pub(super) fn put(&mut self, raw: &Span) -> u64 {
        let align = if raw.len() >= PAGE_FROM_BYTES {
            ALIGN_BYTES
        } else {
            SMALL_ALIGN_BYTES
        };
        let gap = self.pieces.len().next_multiple_of(align) - self.pieces.len();
        self.pieces.bytes(&vec![0; usize::try_from(gap).unwrap_or(0)]);
        let offset = self.pieces.len();
        self.pieces.span(raw.clone());
        offset
    }
}

fn without_elements(proto: &TensorProto) -> TensorProto {
    TensorProto {
        dims: proto.dims.clone(),
        data_type: proto.data_type,
        name: proto.name.clone(),
        doc_string: proto.doc_string.clone(),
        metadata_props: proto.metadata_props.clone(),
        ..TensorProto::default()
    }
}
