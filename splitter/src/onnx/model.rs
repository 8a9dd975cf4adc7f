//! A model as it was read: everything but its long payloads decoded, and where each piece stands in the file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use sha2::Digest as _;

use super::element::ElementType;
use super::error::{ReadError, invalid};
use super::external;
use super::proto::{
    FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorAnnotation, TensorProto, ValueInfoProto,
};
use super::scan::{Field, Payload, Scan, over, scan};
use super::schema::number;
use super::source::{Source, Span};
use crate::limits::MAX_NODES;

/// A model. Long payloads are spans of [`Model::sources`], never in memory.
#[derive(Debug)]
pub struct Model {
    /// File name without folder and extension.
    pub name: String,
    /// The file, where it was read from one.
    pub path: Option<PathBuf>,
    /// The folder of the file, where external data lies.
    pub folder: PathBuf,
    /// The model's own file first, then its external data.
    pub sources: Vec<Source>,
    /// IR version, producer, opset imports, metadata …, without graph and functions.
    pub header: ModelProto,
    /// Every field of the model but its graph, as it stands in the file.
    pub header_spans: Vec<(u32, Range<u64>)>,
    /// The graph's name, metadata and doc string; its lists are below.
    pub graph: GraphProto,
    /// Fields of the graph that are not in the lists below, as they stand in the file.
    pub graph_spans: Vec<(u32, Range<u64>)>,
    /// Nodes in the file's order.
    pub nodes: Vec<Stored<NodeProto>>,
    /// Initialisers in the file's order.
    pub initialisers: Vec<Initialiser>,
    /// Sparse initialisers.
    pub sparse: Vec<Stored<SparseTensorProto>>,
    /// Graph inputs, also those that name an initialiser.
    pub inputs: Vec<Stored<ValueInfoProto>>,
    /// Graph outputs.
    pub outputs: Vec<Stored<ValueInfoProto>>,
    /// What the file says about values in between.
    pub value_info: Vec<Stored<ValueInfoProto>>,
    /// Quantisation annotations.
    pub annotations: Vec<Stored<TensorAnnotation>>,
    /// Model-local functions.
    pub functions: Vec<FunctionProto>,
}

/// A decoded message and where it stands in the model's file, tag and length included.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// Decoded, without long payloads.
    pub proto: T,
    /// In the model's own file.
    pub span: Range<u64>,
}

/// A named constant tensor.
#[derive(Debug, Clone)]
pub struct Initialiser {
    /// Name, dims, type, and the elements where they are short.
    pub proto: TensorProto,
    /// The whole field in the model's own file.
    pub span: Range<u64>,
    /// Element type.
    pub element: ElementType,
    /// Number of elements.
    pub elements: u64,
    /// The elements as little-endian bytes, where the file has them in that form.
    pub raw: Option<Span>,
    /// True where the elements lie in another file.
    pub external: bool,
}

impl Initialiser {
    /// Its name.
    pub fn name(&self) -> &str {
        self.proto.name()
    }

    /// True when the elements are not in `proto`.
    pub fn is_left_out(&self) -> bool {
        let p = &self.proto;
        self.elements > 0
            && p.raw_data.is_none()
            && p.float_data.is_empty()
            && p.int32_data.is_empty()
            && p.int64_data.is_empty()
            && p.double_data.is_empty()
            && p.uint64_data.is_empty()
            && p.string_data.is_empty()
    }
}

impl Model {
    /// Reads a model's file and opens its external data.
    ///
    /// # Errors
    /// When the file is missing, damaged, over a bound, or refers to data outside its folder.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let source = external::open_model(path)?;
        let name = path
            .file_stem()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut model = Self::from_source(source, name, folder)?;
        model.path = Some(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()));
        Ok(model)
    }

    /// Reads a model from memory; `folder` is where its external data would lie.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn from_bytes(bytes: Bytes, name: &str, folder: &Path) -> Result<Self, ReadError> {
        Self::from_source(Source::Memory(bytes), name.to_owned(), folder.to_path_buf())
    }

    fn from_source(source: Source, name: String, folder: PathBuf) -> Result<Self, ReadError> {
        let found = scan(&source)?;
        let mut model = decode(found, source, name, folder)?;
        super::check::check(&model)?;
        external::open_all(&mut model)?;
        Ok(model)
    }

    /// Length of the model's own file, bytes.
    pub fn bytes(&self) -> u64 {
        self.sources.first().map_or(0, Source::len)
    }

    /// SHA-256 of the model's own file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn digest(&self) -> std::io::Result<kerf_wire::Digest> {
        let mut hash = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        if let Some(source) = self.sources.first() {
            let mut at = 0;
            while at < source.len() {
                let take = usize::try_from(source.len() - at)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                let (part, _) = buffer.split_at_mut(take);
                source.read_exact_at(part, at)?;
                hash.update(&*part);
                at += take as u64;
            }
        }
        Ok(kerf_wire::Digest(hash.finalize().into()))
    }

    /// The default domain's opset; 1 where the model names none (IR versions before 3).
    pub fn opset(&self) -> i64 {
        super::opset(&self.header.opset_import)
    }

    /// True when this graph input is an initialiser as well (IR version 3, or an overridable default).
    pub fn initialiser_index(&self, name: &str) -> Option<usize> {
        self.initialisers.iter().position(|i| i.name() == name)
    }
}

fn message<T: Message + Default>(skeleton: &Bytes, range: Range<usize>, at: u64, what: &str) -> Result<T, ReadError> {
    T::decode(skeleton.slice(range)).map_err(|why| ReadError::Malformed {
        at,
        what: format!("{what} does not decode: {why}"),
    })
}

fn decode(found: Scan, source: Source, name: String, folder: PathBuf) -> Result<Model, ReadError> {
    let Scan { model, graph, skeleton } = found;
    if graph.is_empty() {
        return invalid("it has no graph: is this an ONNX model?");
    }
    let skeleton = Bytes::from(skeleton);
    let header_end = model.iter().map(|f| f.skeleton.end).max().unwrap_or(0);
    let mut header: ModelProto = message(&skeleton, 0..header_end, 0, "the model's header")?;
    let functions = std::mem::take(&mut header.functions);
    let mut read = Model {
        name,
        path: None,
        folder,
        sources: vec![source],
        header,
        header_spans: model.into_iter().map(|f| (f.number, f.span)).collect(),
        graph: GraphProto::default(),
        graph_spans: Vec::new(),
        nodes: Vec::new(),
        initialisers: Vec::new(),
        sparse: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        value_info: Vec::new(),
        annotations: Vec::new(),
        functions,
    };
    let mut rest = Vec::new();
    for field in graph {
        graph_field(&mut read, &skeleton, field, &mut rest)?;
    }
    let rest_bytes = rest.len();
    read.graph = message(&rest.into(), 0..rest_bytes, 0, "the graph's header")?;
    over("nodes", read.nodes.len() as u64, MAX_NODES as u64)?;
    Ok(read)
}

fn graph_field(read: &mut Model, skeleton: &Bytes, field: Field, rest: &mut Vec<u8>) -> Result<(), ReadError> {
    fn stored<T: Message + Default>(skeleton: &Bytes, field: Field, what: &str) -> Result<Stored<T>, ReadError> {
        Ok(Stored {
            proto: message(skeleton, field.body, field.span.start, what)?,
            span: field.span,
        })
    }
    match field.number {
        number::GRAPH_NODE => read.nodes.push(stored(skeleton, field, "a node")?),
        number::GRAPH_INPUT => read.inputs.push(stored(skeleton, field, "a graph input")?),
        number::GRAPH_OUTPUT => read.outputs.push(stored(skeleton, field, "a graph output")?),
        number::GRAPH_VALUE_INFO => read.value_info.push(stored(skeleton, field, "a value_info")?),
        number::GRAPH_ANNOTATION => read
            .annotations
            .push(stored(skeleton, field, "a quantisation annotation")?),
        number::GRAPH_SPARSE => read.sparse.push(stored(skeleton, field, "a sparse initialiser")?),
        number::GRAPH_INITIALIZER => read.initialisers.push(initialiser(skeleton, field)?),
        _ => {
            rest.extend_from_slice(skeleton.get(field.skeleton).unwrap_or(&[]));
            read.graph_spans.push((field.number, field.span));
        }
    }
    Ok(())
}

/// Fields of TensorProto whose bytes are the elements' little-endian bytes, for a type that is not packed further.
fn is_raw(payload: &Payload, element: ElementType) -> bool {
    const FLOATS: u32 = 4;
    const DOUBLES: u32 = 10;
    match payload.field {
        number::TENSOR_RAW => true,
        FLOATS => matches!(
            element,
            ElementType::Wire(kerf_wire::DType::F32) | ElementType::Complex64
        ),
        DOUBLES => matches!(
            element,
            ElementType::Wire(kerf_wire::DType::F64) | ElementType::Complex128
        ),
        _ => false,
    }
}

fn initialiser(skeleton: &Bytes, field: Field) -> Result<Initialiser, ReadError> {
    let proto: TensorProto = message(skeleton, field.body, field.span.start, "an initialiser")?;
    let element = ElementType::from_onnx(proto.data_type());
    let elements = proto
        .dims
        .iter()
        .try_fold(1_u64, |n, dim| n.checked_mul(dim.unsigned_abs()))
        .unwrap_or(u64::MAX);
    let external = proto.data_location == Some(1);
    let expected = element.payload_bytes(elements);
    let raw = field
        .payload
        .filter(|p| !external && is_raw(p, element) && expected == Some(p.bytes.end - p.bytes.start))
        .map(|p| Span {
            source: 0,
            bytes: p.bytes,
        });
    Ok(Initialiser {
        proto,
        span: field.span,
        element,
        elements,
        raw,
        external,
    })
}
