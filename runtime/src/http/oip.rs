//! The Open Inference Protocol, version 2: what a request says and what an answer looks like.
//!
//! Sources: KServe `docs/predict-api/v2/required_api.md` (JSON), Triton `extension_binary_data.md` (binary tensors behind
//! the JSON, its length in `Inference-Header-Content-Length`), `extension_model_repository.md` (the index).

use std::borrow::Cow;

use kerf_wire::TensorSpec;
use kerf_wire::limits::MAX_RANK;
use kerf_wire::tensor::{elements, payload_bytes};
use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::elements::Fill;
use super::limits::MAX_ECHO_CHARS;
use super::{Card, NamedTensor};
use crate::tensor::Tensor;

mod answer;
mod bounded;
mod datatype;

pub(super) use answer::{answer, metadata};
use bounded::Bounded;
use datatype::{datatype, dtype};

/// Why a request was refused: the text for the client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Bad(String);

/// An error text that may repeat what the client sent, up to a bound.
fn bad(text: impl Into<String>) -> Bad {
    let text = text.into();
    if text.chars().count() <= 4 * MAX_ECHO_CHARS {
        return Bad(text);
    }
    Bad(text.chars().take(4 * MAX_ECHO_CHARS).chain(['…']).collect())
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    inputs: Bounded<InputTensor<'a>>,
    #[serde(borrow, default)]
    outputs: Option<Bounded<OutputTensor<'a>>>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize)]
struct InputTensor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    datatype: Cow<'a, str>,
    shape: Bounded<u32, MAX_RANK>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OutputTensor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    parameters: Parameters,
}

/// The parameters that change an answer; others are the client's own affair and are not looked at.
#[derive(Deserialize, Default)]
struct Parameters {
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
    classification: Option<u64>,
}

/// A request that was checked against the model's card.
#[derive(Debug)]
pub(super) struct Request {
    /// A tensor for each input of the card, in its order.
    pub(super) inputs: Vec<NamedTensor>,
    /// What goes back.
    pub(super) wanted: Wanted,
}

/// What goes back.
#[derive(Debug)]
pub(super) struct Wanted {
    id: Option<String>,
    /// Index into the card's outputs, and whether it goes back as binary.
    outputs: Vec<(usize, bool)>,
}

/// Reads a body; `json_bytes` is the JSON's length where binary tensors follow it.
pub(super) fn parse(card: &Card, body: &[u8], json_bytes: Option<usize>) -> Result<Request, Bad> {
    let split = json_bytes.unwrap_or(body.len());
    let (json, mut binary) = body.split_at_checked(split).ok_or_else(|| {
        bad(format!(
            "inference-header-content-length is {split}, the body has {} bytes",
            body.len()
        ))
    })?;
    let document: Document<'_> = serde_json::from_slice(json).map_err(|why| bad(format!("request JSON: {why}")))?;
    let mut found: Vec<Option<Tensor>> = card.inputs.iter().map(|_| None).collect();
    for input in &document.inputs.0 {
        let (slot, spec) = found
            .iter_mut()
            .zip(&card.inputs)
            .find(|(_, spec)| spec.name == *input.name)
            .ok_or_else(|| {
                bad(format!(
                    "no input {:?}; the model has {}",
                    echo(&input.name),
                    names(&card.inputs)
                ))
            })?;
        if slot.is_some() {
            return Err(bad(format!("input {:?} is given twice", input.name)));
        }
        *slot = Some(tensor(spec, input, &mut binary)?);
    }
    if !binary.is_empty() {
        return Err(bad(format!("{} bytes follow the last binary tensor", binary.len())));
    }
    let inputs = found
        .into_iter()
        .zip(&card.inputs)
        .map(|(tensor, spec)| match tensor {
            Some(tensor) => Ok((spec.name.as_str().to_owned(), tensor)),
            None => Err(bad(format!("input {spec} is missing"))),
        })
        .collect::<Result<_, _>>()?;
    Ok(Request {
        inputs,
        wanted: wanted(card, &document)?,
    })
}

/// One input, from JSON or from the front of `binary`.
fn tensor(spec: &TensorSpec, input: &InputTensor<'_>, binary: &mut &[u8]) -> Result<Tensor, Bad> {
    let shape = &input.shape.0;
    let dtype = dtype(&input.datatype).filter(|dtype| spec.accepts(*dtype, shape));
    let Some(dtype) = dtype else {
        let got = format!("{} {shape:?}", echo(&input.datatype));
        return Err(bad(format!("input {spec} ({}): got {got}", datatype(spec.dtype))));
    };
    let too_large = |_| bad(format!("input {spec}: shape {shape:?} overflows"));
    let count = elements(shape).map_err(too_large)?;
    let expected = payload_bytes(dtype, shape).map_err(too_large)?;
    let wrong_length = |got| bad(format!("input {spec}: shape {shape:?} has {expected} bytes, got {got}"));
    match (input.data, input.parameters.binary_data_size) {
        (Some(_), Some(_)) => Err(bad(format!("input {spec}: both data and binary_data_size"))),
        (None, None) => Err(bad(format!("input {spec}: neither data nor binary_data_size"))),
        (None, Some(got)) => {
            let (here, rest) = binary.split_at_checked(got).ok_or_else(|| wrong_length(binary.len()))?;
            *binary = rest;
            let view = kerf_wire::TensorRef::new(dtype, shape, here).map_err(|_| wrong_length(got))?;
            Tensor::copy_of(view).map_err(too_large)
        }
        (Some(data), None) => {
            // An element takes at least a digit: what claims more is not given the memory.
            if count > data.get().len() {
                let text = format!("input {spec}: shape {shape:?} has {count} elements, data is shorter");
                return Err(bad(text));
            }
            let mut tensor = Tensor::zeros(dtype, shape).map_err(too_large)?;
            let mut fill = Fill::new(dtype, tensor.bytes_mut());
            let mut json = serde_json::Deserializer::from_str(data.get());
            fill.deserialize(&mut json)
                .map_err(|why| bad(format!("input {spec}: {why}")))?;
            match fill.written {
                written if written == count => Ok(tensor),
                written => Err(bad(format!("input {spec}: expected {count} elements, got {written}"))),
            }
        }
    }
}

fn wanted(card: &Card, document: &Document<'_>) -> Result<Wanted, Bad> {
    let all_binary = document.parameters.binary_data_output.unwrap_or(false);
    let outputs = match &document.outputs {
        None => (0..card.outputs.len()).map(|index| (index, all_binary)).collect(),
        Some(asked) => asked
            .0
            .iter()
            .map(|output| {
                if output.parameters.classification.is_some_and(|n| n > 0) {
                    return Err(bad("the classification extension is not served: ask for the tensor"));
                }
                let binary = output.parameters.binary_data.unwrap_or(all_binary);
                let index = card.outputs.iter().position(|spec| spec.name == *output.name);
                index.map(|index| (index, binary)).ok_or_else(|| {
                    let known = names(&card.outputs);
                    bad(format!("no output {:?}; the model has {known}", echo(&output.name)))
                })
            })
            .collect::<Result<_, _>>()?,
    };
    Ok(Wanted {
        id: document.id.as_deref().map(str::to_owned),
        outputs,
    })
}

fn names(specs: &[TensorSpec]) -> String {
    specs.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO_CHARS).collect()
}
