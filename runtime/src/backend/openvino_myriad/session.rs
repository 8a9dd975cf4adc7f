//! Runs a compiled network of OpenVINO 2022: one copy into its memory, one out.

use kerf_wire::{TensorRef, TensorSpec};

use super::network::dtype;
use crate::backend::{RunError, Session, Signature, check_call};
use crate::tensor::Tensor;

pub(super) mod sys;

use sys::Request;

/// One loaded part.
pub(super) struct MyriadSession {
    pub(super) request: Request,
    pub(super) signature: Signature,
}

impl Session for MyriadSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.signature.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.signature.outputs
    }

    fn run_into(&mut self, inputs: &[TensorRef<'_>], outputs: &mut [Tensor]) -> Result<(), RunError> {
        check_call(self, inputs, outputs.len())?;
        let Self { request, signature } = self;
        for (spec, input) in signature.inputs.iter().zip(inputs) {
            let copied = request.value(&spec.name, |_, _, bytes| {
                let fits = bytes.len() == input.bytes.len();
                if fits {
                    bytes.copy_from_slice(input.bytes);
                }
                fits
            });
            if !copied.map_err(RunError::Engine)? {
                return Err(RunError::Engine(format!(
                    "{} has another length in the engine",
                    spec.name
                )));
            }
        }
        request.infer().map_err(RunError::Engine)?;
        for (spec, output) in signature.outputs.iter().zip(outputs) {
            let read = request.value(&spec.name, |dims, precision, bytes| {
                let dtype = dtype(precision).ok_or_else(|| format!("type {precision}"))?;
                let dims = dims.list().ok_or("more than 8 dimensions")?.iter();
                let dims = dims.map(|dim| u32::try_from(*dim)).collect::<Result<Vec<_>, _>>();
                let dims = dims.map_err(|why| why.to_string())?;
                output.reset(dtype, &dims).map_err(|why| why.to_string())?;
                if output.bytes().len() != bytes.len() {
                    return Err(format!("{} bytes for shape {dims:?}", bytes.len()));
                }
                output.bytes_mut().copy_from_slice(bytes);
                Ok(())
            });
            let read: Result<(), String> = read.map_err(RunError::Engine)?;
            read.map_err(|why| RunError::Engine(format!("{}: {why}", spec.name)))?;
        }
        Ok(())
    }
}
