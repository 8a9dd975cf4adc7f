//! A part with the shapes of its inputs as numbers, for TFLite and compiled blobs have no open dimensions, and where the
//! converter is particular about names, with plain ones.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use prost::Message as _;

use super::samples::PartSamples;
use super::{ConvertError, Kind, at};
use crate::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use crate::onnx::proto::{GraphProto, TensorShapeProto, ValueInfoProto, type_proto};
use crate::onnx::read_whole;

/// Writes the part's ONNX file once more, its inputs as the samples are.
pub(super) fn write(kind: Kind, part: &PartSamples<'_>, from: &Path, to: &Path) -> Result<(), ConvertError> {
    let unfit = |why: String| ConvertError::Unfit {
        kind,
        part: part.index,
        why,
    };
    let mut model = read_whole(from).map_err(|why| unfit(why.to_string()))?;
    let graph = model
        .graph
        .as_mut()
        .ok_or_else(|| unfit("the part has no graph".to_owned()))?;
    let shapes = part.shapes().map_err(&unfit)?;
    for input in &mut graph.input {
        if let Some((_, shape)) = shapes.iter().find(|(name, _)| *name == input.name()) {
            set_shape(input, shape);
        }
    }
    for output in &mut graph.output {
        forget_symbols(output);
    }
    if matches!(kind, Kind::Tflite | Kind::TfliteInt8) {
        rename(graph);
    }
    // Stale sizes of values in between would contradict the numbers.
    graph.value_info.clear();
    std::fs::write(to, model.encode_to_vec()).map_err(at(to))
}

/// Inputs become `in_0` …, outputs `out_0` …: TensorFlow takes no name that begins with a slash, and most of PyTorch's do.
fn rename(graph: &mut GraphProto) {
    let initialisers: HashSet<String> = graph.initializer.iter().map(|i| i.name().to_owned()).collect();
    let mut renames = HashMap::new();
    let inputs = graph.input.iter_mut().filter(|v| !initialisers.contains(v.name()));
    for (k, input) in inputs.enumerate() {
        let name = format!("in_{k}");
        renames.insert(input.name().to_owned(), name.clone());
        input.name = Some(name);
    }
    for (k, output) in graph.output.iter_mut().enumerate() {
        // An output that is an input too keeps the input's name.
        let name = renames
            .entry(output.name().to_owned())
            .or_insert(format!("out_{k}"))
            .clone();
        output.name = Some(name);
    }
    for name in graph
        .node
        .iter_mut()
        .flat_map(|n| n.input.iter_mut().chain(&mut n.output))
    {
        if let Some(new) = renames.get(name) {
            name.clone_from(new);
        }
    }
}

fn tensor(value: &mut ValueInfoProto) -> Option<&mut type_proto::Tensor> {
    match value.r#type.as_mut()?.value.as_mut()? {
        type_proto::Value::TensorType(tensor) => Some(tensor),
        _ => None,
    }
}

fn set_shape(value: &mut ValueInfoProto, shape: &[u32]) {
    if let Some(tensor) = tensor(value) {
        let number = |n: &u32| Dimension {
            denotation: None,
            value: Some(dimension::Value::DimValue(i64::from(*n))),
        };
        tensor.shape = Some(TensorShapeProto {
            dim: shape.iter().map(number).collect(),
        });
    }
}

fn forget_symbols(value: &mut ValueInfoProto) {
    let dims = tensor(value).and_then(|t| t.shape.as_mut()).map(|s| &mut s.dim);
    for dim in dims.into_iter().flatten() {
        if matches!(dim.value, Some(dimension::Value::DimParam(_))) {
            dim.value = None;
        }
    }
}
