//! One part as an ONNX model: what it keeps of the whole, and what it declares at its edges.

use std::collections::{HashMap, HashSet};

use kerf_wire::manifest::Axis;

use super::EmitError;
use super::names::{plain_axis, weights_file};
use super::piece::Pieces;
use super::tensors::{self, Weights};
use super::write::{Folder, Written};
use crate::cut::Part;
use crate::graph::{Graph, Kind, Origin, ValueId};
use crate::limits::MAX_SELF_CONTAINED_BYTES;
use crate::onnx::proto::{TypeProto, ValueInfoProto};
use crate::onnx::{Initialiser, Model, declare};

/// Field numbers of ModelProto and GraphProto that are written here.
const MODEL_GRAPH: u32 = 7;
const MODEL_TRAINING: u32 = 20;
const GRAPH_NAME: u32 = 2;
const GRAPH_INPUT: u32 = 11;
const GRAPH_OUTPUT: u32 = 12;

/// The files of one part.
#[derive(Debug, Clone)]
pub(super) struct PartFiles {
    pub(super) onnx: Written,
    pub(super) weights: Option<Written>,
}

/// Weights that many parts share, in one file that is written already.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) file: Written,
    /// Where each initialiser's elements are in it, by name.
    pub(super) offsets: HashMap<String, u64>,
}

/// Writes a part whose weights go into the same file where that stays short enough for protobuf, else beside it.
pub(super) fn write(
    model: &Model,
    graph: &Graph,
    part: &Part,
    index: usize,
    file_name: &str,
    folder: &mut Folder,
) -> Result<PartFiles, EmitError> {
    let initialisers = initialisers(model, graph, part);
    let total: u64 = initialisers.iter().map(|i| tensors::inline_len(i)).sum();
    let mut weights = (total > MAX_SELF_CONTAINED_BYTES).then(|| Weights {
        file: weights_file(index),
        ..Weights::default()
    });
    let mut put = |initialiser: &Initialiser, out: &mut Pieces| match (&mut weights, &initialiser.raw) {
        (Some(weights), Some(raw)) if tensors::may_lie_beside(initialiser) => {
            tensors::beside(initialiser, raw, out, weights);
        }
        _ => tensors::inline(initialiser, out),
    };
    let file = pieces(model, graph, part, &initialisers, &mut put);
    if file.len() > 2 * MAX_SELF_CONTAINED_BYTES - 1 {
        return Err(EmitError::TooLong { index, got: file.len() });
    }
    let onnx = folder.stream(file_name, |mut out| file.write(model, &mut out))?;
    let beside = |w: &Weights| folder.stream(&w.file, |mut out| w.pieces.write(model, &mut out));
    Ok(PartFiles {
        onnx,
        weights: weights.as_ref().map(beside).transpose()?,
    })
}

/// Writes a part whose weights lie in a file that other parts read as well.
pub(super) fn write_sharing(
    model: &Model,
    graph: &Graph,
    part: &Part,
    file_name: &str,
    shared: &Shared,
    folder: &mut Folder,
) -> Result<PartFiles, EmitError> {
    let initialisers = initialisers(model, graph, part);
    let mut shares = false;
    let mut put = |initialiser: &Initialiser, out: &mut Pieces| {
        let raw = initialiser.raw.as_ref();
        match (shared.offsets.get(initialiser.name()), raw) {
            (Some(offset), Some(raw)) => {
                shares = true;
                tensors::refer(initialiser, &shared.file.name, *offset, raw.len(), out);
            }
            _ => tensors::inline(initialiser, out),
        }
    };
    let file = pieces(model, graph, part, &initialisers, &mut put);
    let onnx = folder.stream(file_name, |mut out| file.write(model, &mut out))?;
    Ok(PartFiles {
        onnx,
        weights: shares.then(|| shared.file.clone()),
    })
}

/// Initialisers that the part's nodes need, and those that its quantisation annotations name.
pub(super) fn initialisers<'m>(model: &'m Model, graph: &Graph, part: &Part) -> Vec<&'m Initialiser> {
    let mut wanted: HashSet<usize> = HashSet::new();
    let mut want = |id: ValueId| {
        if let Origin::Initialiser(index) = graph.value(id).origin {
            wanted.insert(index);
        }
    };
    part.initialisers.iter().for_each(|id| want(*id));
    for annotation in annotations(model, graph, part) {
        let parameters = annotation.proto.quant_parameter_tensor_names.iter();
        parameters.filter_map(|p| graph.find(p.value())).for_each(&mut want);
    }
    let listed = model.initialisers.iter().enumerate();
    listed
        .filter(|(index, _)| wanted.contains(index))
        .map(|(_, i)| i)
        .collect()
}

/// Annotations of values that the part has.
fn annotations<'m>(
    model: &'m Model,
    graph: &Graph,
    part: &Part,
) -> impl Iterator<Item = &'m crate::onnx::Stored<crate::onnx::proto::TensorAnnotation>> {
    let here: HashSet<ValueId> = if model.annotations.is_empty() {
        HashSet::new()
    } else {
        let made = part.nodes.iter().flat_map(|n| graph.node(*n).makes());
        let given = part.inputs.iter().chain(&part.initialisers).copied();
        made.chain(given).collect()
    };
    let ids: Vec<Option<ValueId>> = model
        .annotations
        .iter()
        .map(|a| graph.find(a.proto.tensor_name()))
        .collect();
    let pairs = model.annotations.iter().zip(ids);
    pairs
        .filter(move |(_, id)| id.is_some_and(|id| here.contains(&id)))
        .map(|(a, _)| a)
}

/// The part's whole file.
pub(super) fn pieces(
    model: &Model,
    graph: &Graph,
    part: &Part,
    initialisers: &[&Initialiser],
    put: &mut dyn FnMut(&Initialiser, &mut Pieces),
) -> Pieces {
    let mut body = Pieces::default();
    model.graph_spans.iter().for_each(|(_, span)| body.own(span));
    if model.graph.name().is_empty() {
        // The specification asks for a name; without one onnx.checker refuses the part.
        body.prefix(GRAPH_NAME, model.name.len().max(1) as u64);
        body.bytes(if model.name.is_empty() {
            b"g"
        } else {
            model.name.as_bytes()
        });
    }
    part.nodes
        .iter()
        .for_each(|n| body.own(&model.nodes[graph.node(*n).index].span));
    initialisers.iter().for_each(|i| put(i, &mut body));
    for id in &part.initialisers {
        if let Origin::Sparse(index) = graph.value(*id).origin {
            body.own(&model.sparse[index].span);
        }
    }
    edges(model, graph, part, initialisers, &mut body);
    interior(model, graph, part, &mut body);
    annotations(model, graph, part).for_each(|a| body.own(&a.span));
    let mut file = Pieces::default();
    let kept = model
        .header_spans
        .iter()
        .filter(|(number, _)| *number != MODEL_TRAINING);
    kept.for_each(|(_, span)| file.own(span));
    file.field(MODEL_GRAPH, body);
    file
}

/// Inputs and outputs. Initialisers that the model also lists as inputs (IR version 3) stay listed.
fn edges(model: &Model, graph: &Graph, part: &Part, initialisers: &[&Initialiser], body: &mut Pieces) {
    for id in &part.inputs {
        match graph.value(*id).origin {
            Origin::Input(index) => body.own(&model.inputs[index].span),
            _ => body.message(GRAPH_INPUT, &declared(graph, *id)),
        }
    }
    if model.inputs.len() > graph.inputs().len() {
        let names: HashSet<&str> = initialisers.iter().map(|i| i.name()).collect();
        let both = model.inputs.iter().filter(|i| names.contains(i.proto.name()));
        both.for_each(|i| body.own(&i.span));
    }
    for id in &part.outputs {
        let name = &graph.value(*id).name;
        match model.outputs.iter().find(|o| o.proto.name() == name) {
            Some(output) if output.proto.r#type.is_some() => body.own(&output.span),
            _ => body.message(GRAPH_OUTPUT, &declared(graph, *id)),
        }
    }
}

/// What the model says of values in between, where it can do no harm: engines refuse a symbolic value_info once the
/// input has a number, so it is kept only where everything is fixed.
fn interior(model: &Model, graph: &Graph, part: &Part, body: &mut Pieces) {
    let fixed = |id: ValueId| {
        let shape = graph.value(id).shape.as_ref();
        shape.is_some_and(|s| s.iter().all(|axis| matches!(axis, Axis::Fixed(_))))
    };
    if !part.inputs.iter().all(|id| fixed(*id)) {
        return;
    }
    let made: HashSet<ValueId> = part.nodes.iter().flat_map(|n| graph.node(*n).makes()).collect();
    for info in &model.value_info {
        let inside = |id: &ValueId| made.contains(id) && !part.outputs.contains(id) && fixed(*id);
        if graph.find(info.proto.name()).as_ref().is_some_and(inside) {
            body.own(&info.span);
        }
    }
}

/// How a part declares a value at its edge.
fn declared(graph: &Graph, id: ValueId) -> ValueInfoProto {
    let value = graph.value(id);
    let dimension = |axis: &Axis| match plain_axis(axis) {
        Axis::Fixed(length) => declare::fixed(u64::from(length)),
        Axis::Symbol(name) if name == "?" => None,
        Axis::Symbol(name) => declare::named(&name),
    };
    let shape = value.shape.as_ref().map(|s| s.iter().map(dimension).collect());
    match value.kind {
        Kind::Tensor(element) => declare::declared(&value.name, Some(element), shape),
        Kind::Other(_) | Kind::Unknown => ValueInfoProto {
            name: Some(value.name.clone()),
            r#type: Some(TypeProto::default()),
            ..ValueInfoProto::default()
        },
    }
}
