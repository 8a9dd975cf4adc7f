//! Reads an artifact into tract's own model, with the types and names of what goes in and out.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use kerf_wire::manifest::Format;
use kerf_wire::{Dim, Shape, TensorSpec};
use prost::Message as _;
#[allow(
    clippy::wildcard_imports,
    reason = "tract's own prelude: its macros expand to these names"
)]
use tract_core::internal::*;
use tract_onnx::data_resolver::ModelDataResolver;
use tract_onnx::pb;
use tract_onnx::prelude::{InferenceFact, InferenceModel, InferenceModelExt as _, WithOnnx as _};

use super::{convert, refuse, refused};
use crate::backend::{Artifact, BackendError, Companion, Signature};

/// A part as tract reads it, before it is compiled.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    graph: Graph,
    /// What goes in and out, in the artifact's order.
    pub(super) signature: Signature,
}

#[derive(Debug, Clone)]
enum Graph {
    /// From ONNX: shapes are still to be inferred.
    Inferred(Box<InferenceModel>),
    /// From NNEF: typed and decluttered offline.
    Typed(Box<TypedModel>),
}

/// Reads an artifact. Its bytes go as soon as they are parsed: a board's memory is fullest while a model is loaded.
pub(super) fn load(artifact: Artifact) -> Result<Loaded, BackendError> {
    let path = artifact.path.clone();
    let loaded = match artifact.format {
        Format::Onnx => load_onnx(artifact),
        Format::TractNnef => load_nnef(artifact),
        other => Err(format_err!("it reads ONNX and tract-nnef, this is {other:?}")),
    };
    loaded.map_err(|error| refused(&path, &error))
}

fn load_onnx(artifact: Artifact) -> TractResult<Loaded> {
    let proto = pb::ModelProto::decode(artifact.contents.as_slice()).context("not an ONNX model")?;
    drop(artifact.contents);
    let graph = proto.graph.as_ref().context("it has no graph")?;
    let mut onnx = tract_onnx::onnx()
        .with_ignore_output_shapes(true)
        .with_ignore_value_info(true);
    refuse::check(&proto, graph, &onnx)?;
    onnx.provider = Arc::new(Companions(artifact.companions));
    let dir = artifact.path.parent().and_then(Path::to_str).unwrap_or(".");
    let parsed = onnx.parse(&proto, Some(if dir.is_empty() { "." } else { dir }))?;
    ensure!(
        parsed.unresolved_inputs.is_empty(),
        "values {:?} are used and never made",
        parsed.unresolved_inputs
    );
    let own = own_signature(graph)?;
    let signature = match artifact.signature {
        None => own,
        Some(told) => {
            same_names("inputs", &told.inputs, &own.inputs)?;
            same_names("outputs", &told.outputs, &own.outputs)?;
            told
        }
    };
    Ok(Loaded {
        graph: Graph::Inferred(Box::new(parsed.model)),
        signature,
    })
}

fn same_names(what: &str, told: &[TensorSpec], own: &[TensorSpec]) -> TractResult<()> {
    let names = |specs: &[TensorSpec]| specs.iter().map(|s| s.name.to_string()).collect::<Vec<_>>();
    let (told, own) = (names(told), names(own));
    ensure!(told == own, "the manifest's {what} are {told:?}, the model's {own:?}");
    Ok(())
}

fn own_signature(graph: &pb::GraphProto) -> TractResult<Signature> {
    let constant = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    let inputs = graph.input.iter().filter(|input| !constant(&input.name));
    Ok(Signature {
        inputs: inputs.map(spec).collect::<TractResult<_>>()?,
        outputs: graph.output.iter().map(spec).collect::<TractResult<_>>()?,
    })
}

fn spec(value: &pb::ValueInfoProto) -> TractResult<TensorSpec> {
    let name = &value.name;
    let value = value.r#type.as_ref().and_then(|t| t.value.as_ref());
    let Some(pb::type_proto::Value::TensorType(tensor)) = value else {
        bail!("value {name:?} is no tensor");
    };
    let datum: DatumType = pb::tensor_proto::DataType::try_from(tensor.elem_type)
        .map_err(|_| format_err!("value {name:?} has unknown type {}", tensor.elem_type))?
        .try_into()?;
    let dtype = convert::dtype(datum).with_context(|| format!("value {name:?} is of type {datum:?}"))?;
    let shape = tensor.shape.as_ref();
    let shape = shape.with_context(|| format!("value {name:?} has no declared shape"))?;
    let dim = |dim: &pb::tensor_shape_proto::Dimension| match dim.value {
        Some(pb::tensor_shape_proto::dimension::Value::DimValue(n)) if n > 0 => {
            Ok(Dim::Fixed(u32::try_from(n).context("a dimension is over 4 billion")?))
        }
        _ => Ok(Dim::Dynamic),
    };
    let dims = shape.dim.iter().map(dim).collect::<TractResult<Vec<_>>>()?;
    TensorSpec::new(name, dtype, dims).with_context(|| format!("value {name:?}"))
}

fn load_nnef(artifact: Artifact) -> TractResult<Loaded> {
    let model = nnef().model_for_read(&mut artifact.contents.as_slice())?;
    let signature = artifact
        .signature
        .context("a tract-nnef file needs the manifest of its bundle")?;
    let counts = (model.inputs.len(), model.outputs.len());
    let told = (signature.inputs.len(), signature.outputs.len());
    ensure!(
        counts == told,
        "it has {counts:?} inputs and outputs, the manifest {told:?}"
    );
    Ok(Loaded {
        graph: Graph::Typed(Box::new(model)),
        signature,
    })
}

/// tract's NNEF with every operator of its own and of ONNX that it can write.
fn nnef() -> tract_nnef::framework::Nnef {
    tract_nnef::nnef().with_onnx()
}

impl Loaded {
    /// The NNEF form of it as a tar, decluttered, the same bytes for the same model.
    pub(super) fn into_nnef(self) -> TractResult<Vec<u8>> {
        let model = match self.graph {
            Graph::Typed(model) => *model,
            Graph::Inferred(model) => model.into_typed()?.into_decluttered()?,
        };
        nnef().write_to_tar_with_config(&model, Vec::new(), false, true)
    }

    /// The typed model for these input shapes.
    pub(super) fn into_concrete(self, shapes: &[Shape]) -> TractResult<TypedModel> {
        match self.graph {
            Graph::Typed(model) => bind_symbols(*model, shapes),
            Graph::Inferred(model) => {
                let mut model = *model;
                for (index, (shape, spec)) in shapes.iter().zip(&self.signature.inputs).enumerate() {
                    let fact = InferenceFact::dt_shape(convert::datum(spec.dtype)?, convert::shape(shape));
                    model.set_input_fact(index, fact)?;
                }
                model.into_typed()?.into_decluttered()
            }
        }
    }
}

/// Gives the symbols in the inputs' shapes their numbers.
fn bind_symbols(model: TypedModel, shapes: &[Shape]) -> TractResult<TypedModel> {
    let mut symbols = HashMap::new();
    for (index, shape) in shapes.iter().enumerate() {
        let fact = model.input_fact(index)?.clone();
        ensure!(fact.rank() == shape.len(), "input {index} has rank {}", fact.rank());
        for (dim, number) in fact.shape.iter().zip(shape) {
            if let TDim::Sym(symbol) = dim {
                symbols.insert(symbol.clone(), TDim::from(u64::from(*number)));
            }
        }
    }
    if symbols.is_empty() {
        Ok(model)
    } else {
        model.set_symbols(&symbols)
    }
}

/// Serves external weights from the bytes whose digest was checked, never from the disk.
struct Companions(Vec<Companion>);

impl ModelDataResolver for Companions {
    fn read_bytes_from_path(
        &self,
        buffer: &mut Vec<u8>,
        path: &Path,
        offset: usize,
        length: Option<usize>,
    ) -> TractResult<()> {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let companion = self.0.iter().find(|c| c.name == name);
        let contents = &companion
            .with_context(|| format!("no external file {name:?}"))?
            .contents;
        let end = match length {
            Some(length) => offset.checked_add(length).context("external offset overflows")?,
            None => contents.len(),
        };
        let bytes = contents.get(offset..end);
        buffer.extend_from_slice(bytes.with_context(|| format!("{name:?} ends before byte {end}"))?);
        Ok(())
    }
}
