//! Runs a compiled model of OpenVINO: one copy into its input tensors, one out of its outputs.

use kerf_wire::{Dim, Shape, TensorRef, TensorSpec};
use openvino::{CompiledModel, Core, InferRequest, Model, Tensor as Theirs};

use super::model;
use super::timed::Recipe;
use crate::backend::{KernelTime, RunError, Session, check_call};
use crate::tensor::Tensor;

/// One loaded part. The order of the fields is that in which they end.
pub(super) struct OvSession {
    request: InferRequest,
    /// OpenVINO's tensor for each input, of the last shape that came.
    slots: Vec<(Shape, Theirs)>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    /// For a second model that counts.
    recipe: Recipe,
    _compiled: CompiledModel,
    _core: Core,
}

impl OvSession {
    /// Makes ready to run.
    pub(super) fn new(core: Core, model: &Model, mut compiled: CompiledModel, recipe: Recipe) -> Result<Self, String> {
        let signature = model::signature(model, recipe.artifact.signature.as_ref())?;
        let mut request = compiled.create_infer_request().map_err(|why| why.to_string())?;
        let mut slots = Vec::new();
        for (index, spec) in signature.inputs.iter().enumerate() {
            let dim = |dim: &Dim| match dim {
                Dim::Fixed(n) => *n,
                Dim::Dynamic => 1,
            };
            let shape: Shape = spec.shape.iter().map(dim).collect();
            let tensor = slot(&mut request, index, spec, &shape).map_err(|why| why.to_string())?;
            slots.push((shape, tensor));
        }
        Ok(Self {
            request,
            slots,
            inputs: signature.inputs,
            outputs: signature.outputs,
            recipe,
            _compiled: compiled,
            _core: core,
        })
    }

    fn write(&mut self, index: usize, input: &TensorRef<'_>) -> Result<(), openvino::InferenceError> {
        let Some((shape, tensor)) = self.slots.get_mut(index) else {
            return Ok(());
        };
        if *shape != input.shape {
            *shape = input.shape.iter().copied().collect();
            if let Some(spec) = self.inputs.get(index) {
                *tensor = slot(&mut self.request, index, spec, shape)?;
            }
        }
        let bytes = tensor.get_raw_data_mut()?;
        // Equal by the checked shape and type.
        if bytes.len() == input.bytes.len() {
            bytes.copy_from_slice(input.bytes);
        }
        Ok(())
    }

    /// The shape that a run gave. OpenVINO's C interface has no shape without dimensions: that is known from the model.
    fn dims(&self, index: usize, tensor: &Theirs) -> Result<Vec<u32>, String> {
        if self.outputs.get(index).is_some_and(|spec| spec.shape.is_empty()) {
            return Ok(Vec::new());
        }
        let shape = tensor.get_shape().map_err(|why| why.to_string())?;
        let dims = shape.get_dimensions().iter().map(|dim| u32::try_from(*dim));
        dims.collect::<Result<_, _>>().map_err(|why| why.to_string())
    }

    fn read(&self, index: usize, output: &mut Tensor) -> Result<(), String> {
        let text = |why: openvino::InferenceError| why.to_string();
        let tensor = self.request.get_output_tensor_by_index(index).map_err(text)?;
        let element = tensor.get_element_type().map_err(text)?;
        let dtype = model::dtype(element).ok_or_else(|| format!("an output is of type {element}"))?;
        let dims = self.dims(index, &tensor)?;
        output.reset(dtype, &dims).map_err(|why| why.to_string())?;
        if output.bytes().is_empty() {
            return Ok(());
        }
        let bytes = tensor.get_raw_data().map_err(text)?;
        if bytes.len() != output.bytes().len() {
            return Err("an output's length is not its shape's".to_owned());
        }
        output.bytes_mut().copy_from_slice(bytes);
        Ok(())
    }
}

/// A tensor of this shape, given to the request as its input.
fn slot(
    request: &mut InferRequest,
    index: usize,
    spec: &TensorSpec,
    shape: &[u32],
) -> Result<Theirs, openvino::InferenceError> {
    if shape.is_empty() {
        // As above: the request has made the tensor of a single number itself.
        return request.get_tensor(&spec.name);
    }
    let dims: Vec<i64> = shape.iter().map(|dim| i64::from(*dim)).collect();
    let tensor = Theirs::new(model::element(spec.dtype), &openvino::Shape::new(&dims)?)?;
    request.set_input_tensor_by_index(index, &tensor)?;
    Ok(tensor)
}

impl Session for OvSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn run_into(&mut self, inputs: &[TensorRef<'_>], outputs: &mut [Tensor]) -> Result<(), RunError> {
        check_call(self, inputs, outputs.len())?;
        let engine = |why: String| RunError::Engine(why.replace('\n', " "));
        for (index, input) in inputs.iter().enumerate() {
            self.write(index, input).map_err(|why| engine(why.to_string()))?;
        }
        self.request.infer().map_err(|why| engine(why.to_string()))?;
        for (index, output) in outputs.iter_mut().enumerate() {
            self.read(index, output).map_err(engine)?;
        }
        Ok(())
    }

    fn run_timed(&mut self, inputs: &[TensorRef<'_>]) -> Result<Vec<KernelTime>, RunError> {
        check_call(self, inputs, self.outputs.len())?;
        let times = self.recipe.times(&self.inputs, inputs);
        let times = times.map_err(|why| RunError::Engine(format!("counters: {}", why.replace('\n', " "))))?;
        if times.is_empty() {
            return Err(RunError::Unsupported("per-kernel timings on this device"));
        }
        Ok(times)
    }
}
