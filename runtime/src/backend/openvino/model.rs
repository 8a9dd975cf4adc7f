//! Reads an artifact into OpenVINO's own model, and says what goes in and out.

use kerf_wire::manifest::Format;
use kerf_wire::{DType, Dim, TensorSpec};
use openvino::{Core, ElementType, Model, Node, Shape, Tensor};

use crate::backend::{Artifact, Signature};

/// Reads from the verified bytes. OpenVINO reads an ONNX model's external weights by their file's name only, so these are
/// laid out anew from the verified bytes, in a folder of our own that ends with the call.
pub(super) fn read(core: &mut Core, artifact: &Artifact) -> Result<Model, String> {
    let text = |why: &dyn std::fmt::Display| why.to_string();
    match (artifact.format, artifact.companions.as_slice()) {
        (Format::Onnx, []) => core
            .read_model_from_buffer(&artifact.contents, None)
            .map_err(|why| text(&why)),
        (Format::Onnx, companions) => {
            let folder = tempfile::tempdir().map_err(|why| text(&why))?;
            for companion in companions {
                let file = folder.path().join(&companion.name);
                std::fs::write(file, companion.contents.as_slice()).map_err(|why| text(&why))?;
            }
            let model = folder.path().join("model.onnx");
            std::fs::write(&model, artifact.contents.as_slice()).map_err(|why| text(&why))?;
            let model = model.to_str().ok_or("the temporary folder's name is not UTF-8")?;
            core.read_model_from_file(model, "").map_err(|why| text(&why))
        }
        (Format::OpenvinoIr, [weights]) => {
            let length = i64::try_from(weights.contents.len()).map_err(|why| text(&why))?;
            let shape = Shape::new(&[length]).map_err(|why| text(&why))?;
            let mut tensor = Tensor::new(ElementType::U8, &shape).map_err(|why| text(&why))?;
            let bytes = tensor.get_raw_data_mut().map_err(|why| text(&why))?;
            bytes.copy_from_slice(&weights.contents);
            core.read_model_from_buffer(&artifact.contents, Some(&tensor))
                .map_err(|why| text(&why))
        }
        (Format::OpenvinoIr, files) => Err(format!("an IR has one .bin beside it, this has {}", files.len())),
        (other, _) => Err(format!("it reads ONNX and OpenVINO IR, this is {other:?}")),
    }
}

/// What goes in and out, in the model's order, by the manifest's names where there is one.
pub(super) fn signature(model: &Model, told: Option<&Signature>) -> Result<Signature, String> {
    let text = |why: openvino::InferenceError| why.to_string();
    let inputs = (0..model.get_inputs_len().map_err(text)?).map(|at| model.get_input_by_index(at));
    let inputs = inputs.collect::<Result<Vec<_>, _>>().map_err(text)?;
    let outputs = (0..model.get_outputs_len().map_err(text)?).map(|at| model.get_output_by_index(at));
    let outputs = outputs.collect::<Result<Vec<_>, _>>().map_err(text)?;
    Ok(Signature {
        inputs: specs("inputs", &inputs, told.map(|told| told.inputs.as_slice()))?,
        outputs: specs("outputs", &outputs, told.map(|told| told.outputs.as_slice()))?,
    })
}

fn specs(what: &str, nodes: &[Node], told: Option<&[TensorSpec]>) -> Result<Vec<TensorSpec>, String> {
    let own = nodes.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    let Some(told) = told else {
        return Ok(own);
    };
    // One value may have several names in OpenVINO: the place decides, and the type must agree.
    let fits = |(told, own): (&TensorSpec, &TensorSpec)| told.dtype == own.dtype && told.shape.len() == own.shape.len();
    if told.len() == own.len() && told.iter().zip(&own).all(fits) {
        return Ok(told.to_vec());
    }
    let list = |specs: &[TensorSpec]| specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(format!(
        "the manifest's {what} are {}, the model's {}",
        list(told),
        list(&own)
    ))
}

fn spec(node: &Node) -> Result<TensorSpec, String> {
    let text = |why: openvino::InferenceError| why.to_string();
    let name = node.get_name().map_err(text)?;
    let element = node.get_element_type().map_err(text)?;
    let dtype = dtype(element).ok_or_else(|| format!("value {name:?} is of type {element}"))?;
    let shape = node.get_partial_shape().map_err(text)?;
    if shape.get_rank().get_max() < 0 {
        return Err(format!("value {name:?} has no declared rank"));
    }
    let dim = |dim: &openvino::Dimension| match u32::try_from(dim.get_max()) {
        Ok(n) if dim.get_min() == dim.get_max() => Dim::Fixed(n),
        _ => Dim::Dynamic,
    };
    TensorSpec::new(&name, dtype, shape.get_dimensions().iter().map(dim)).map_err(|why| format!("{name:?}: {why}"))
}

/// Our element type for OpenVINO's; none for what does not travel.
pub(super) fn dtype(element: ElementType) -> Option<DType> {
    Some(match element {
        ElementType::F32 => DType::F32,
        ElementType::F16 => DType::F16,
        ElementType::Bf16 => DType::Bf16,
        ElementType::F64 => DType::F64,
        ElementType::I8 => DType::I8,
        ElementType::U8 => DType::U8,
        ElementType::I16 => DType::I16,
        ElementType::U16 => DType::U16,
        ElementType::I32 => DType::I32,
        ElementType::U32 => DType::U32,
        ElementType::I64 => DType::I64,
        ElementType::U64 => DType::U64,
        ElementType::Boolean => DType::Bool,
        _ => return None,
    })
}

/// OpenVINO's element type for ours.
pub(super) fn element(dtype: DType) -> ElementType {
    match dtype {
        DType::F32 => ElementType::F32,
        DType::F16 => ElementType::F16,
        DType::Bf16 => ElementType::Bf16,
        DType::F64 => ElementType::F64,
        DType::I8 => ElementType::I8,
        DType::U8 => ElementType::U8,
        DType::I16 => ElementType::I16,
        DType::U16 => ElementType::U16,
        DType::I32 => ElementType::I32,
        DType::U32 => ElementType::U32,
        DType::I64 => ElementType::I64,
        DType::U64 => ElementType::U64,
        DType::Bool => ElementType::Boolean,
    }
}
