//! What goes back: the tensors that were asked for, and the model's metadata.

use hyper::header::HeaderValue;
use kerf_wire::{Dim, TensorSpec};
use serde::Serialize;

use super::datatype::datatype;
use super::{Bad, Wanted, bad};
use crate::http::elements::Flat;
use crate::http::reply::{INFERENCE_HEADER_LENGTH, Reply};
use crate::http::{Card, NamedTensor};

#[derive(Serialize)]
struct Answer<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<AnswerTensor<'a>>,
}

#[derive(Serialize)]
struct AnswerTensor<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [u32],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Flat<'a>>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

/// Writes the answer to a checked request; `outputs` are the card's, in its order.
pub(in crate::http) fn answer(card: &Card, wanted: &Wanted, outputs: &[NamedTensor]) -> Result<Reply, Bad> {
    let mut tensors = Vec::with_capacity(wanted.outputs.len());
    let mut binary = Vec::new();
    for (index, as_binary) in &wanted.outputs {
        let (name, tensor) = outputs
            .get(*index)
            .ok_or_else(|| bad(format!("the model gave {} outputs, not the card's", outputs.len())))?;
        let flat = Flat(tensor.view());
        if let Some(why) = flat.obstacle().filter(|_| !as_binary) {
            return Err(bad(format!("output {name:?}: {why}; ask for it with binary_data")));
        }
        tensors.push(AnswerTensor {
            name,
            datatype: datatype(tensor.dtype()),
            shape: tensor.shape(),
            parameters: as_binary.then(|| BinarySize {
                binary_data_size: tensor.bytes().len(),
            }),
            data: (!as_binary).then_some(flat),
        });
        if *as_binary {
            binary.extend_from_slice(tensor.bytes());
        }
    }
    let document = Answer {
        model_name: &card.name,
        model_version: &card.version,
        id: wanted.id.as_deref(),
        outputs: tensors,
    };
    let mut reply = Reply::json(&document);
    if wanted.outputs.iter().any(|(_, as_binary)| *as_binary) {
        let json_bytes = HeaderValue::from(reply.body.len());
        reply.body.extend_from_slice(&binary);
        reply.content_type = "application/octet-stream";
        reply = reply.with(INFERENCE_HEADER_LENGTH, json_bytes);
    }
    Ok(reply)
}

/// The model's metadata document.
pub(in crate::http) fn metadata(card: &Card) -> serde_json::Value {
    let tensors = |specs: &[TensorSpec]| -> Vec<serde_json::Value> {
        specs
            .iter()
            .map(|spec| {
                let shape: Vec<i64> = spec
                    .shape
                    .iter()
                    .map(|dim| match dim {
                        Dim::Fixed(n) => i64::from(*n),
                        Dim::Dynamic => -1,
                    })
                    .collect();
                serde_json::json!({"name": spec.name.as_str(), "datatype": datatype(spec.dtype), "shape": shape})
            })
            .collect()
    };
    serde_json::json!({
        "name": card.name,
        "versions": [card.version],
        "platform": card.platform,
        "inputs": tensors(&card.inputs),
        "outputs": tensors(&card.outputs),
    })
}
