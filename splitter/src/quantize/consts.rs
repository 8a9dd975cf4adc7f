//! Constants of a graph: reading float initialisers, writing new ones.

use std::collections::HashMap;

use crate::onnx::proto::tensor_proto::{DataLocation, DataType};
use crate::onnx::proto::{GraphProto, TensorProto};

use super::QuantizeError;

/// A float constant, decoded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Floats {
    pub(super) data: Vec<f32>,
    pub(super) dims: Vec<usize>,
}

/// Initialisers by name, those of the enclosing graphs included. Bytes are shared, not copied.
#[derive(Debug, Default)]
pub(super) struct Constants<'outer> {
    own: HashMap<String, TensorProto>,
    outer: Option<&'outer Constants<'outer>>,
}

impl<'outer> Constants<'outer> {
    pub(super) fn of(graph: &GraphProto) -> Self {
        let own = graph
            .initializer
            .iter()
            .map(|t| (t.name().to_owned(), t.clone()))
            .collect();
        Self { own, outer: None }
    }

    pub(super) fn within(self, outer: &'outer Constants<'outer>) -> Self {
        Self {
            outer: Some(outer),
            ..self
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&TensorProto> {
        let mut scope = Some(self);
        while let Some(constants) = scope {
            if let Some(tensor) = constants.own.get(name) {
                return Some(tensor);
            }
            scope = constants.outer;
        }
        None
    }

    /// The constant of this name when it is one of 32-bit floats.
    pub(super) fn floats(&self, name: &str) -> Result<Option<Floats>, QuantizeError> {
        match self.tensor(name) {
            Some(tensor) if tensor.data_type() == DataType::Float as i32 => floats(tensor).map(Some),
            _ => Ok(None),
        }
    }

    /// True when it is a constant of 32-bit floats of this rank or more.
    pub(super) fn is_float(&self, name: &str, least_rank: usize) -> bool {
        self.tensor(name)
            .is_some_and(|t| t.data_type() == DataType::Float as i32 && t.dims.len() >= least_rank)
    }
}

/// Elements that a tensor's shape asks for.
pub(super) fn elements(tensor: &TensorProto) -> Result<(Vec<usize>, usize), QuantizeError> {
    let wrong = || QuantizeError::Model(format!("initialiser {} has shape {:?}", tensor.name(), tensor.dims));
    let dims: Vec<usize> = tensor
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| wrong()))
        .collect::<Result<_, _>>()?;
    let count = dims
        .iter()
        .try_fold(1_usize, |product, &d| product.checked_mul(d))
        .ok_or_else(wrong)?;
    Ok((dims, count))
}

/// Decodes 32-bit floats, raw or as a list.
pub(super) fn floats(tensor: &TensorProto) -> Result<Floats, QuantizeError> {
    if tensor.data_location() == DataLocation::External {
        return Err(QuantizeError::External(tensor.name().to_owned()));
    }
    let (dims, expected) = elements(tensor)?;
    let data: Vec<f32> = match &tensor.raw_data {
        Some(raw) if tensor.float_data.is_empty() => raw
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        _ => tensor.float_data.clone(),
    };
    if data.len() != expected {
        return Err(QuantizeError::Elements {
            name: tensor.name().to_owned(),
            expected,
            got: data.len(),
        });
    }
    Ok(Floats { data, dims })
}
