//! What goes into a network of OpenVINO 2022 and what comes out, in the artifact's order.
//!
//! Its old interface gives names in the order of the alphabet, so the manifest's names decide.

use std::ffi::c_int;

use kerf_wire::{DType, Dim, TensorSpec};

use crate::backend::{Artifact, Signature};

pub(super) mod sys;

use sys::{Network, Side};

/// `precision_e` of `ie_c_api.h` and `InferenceEngine::Precision` for ours.
const PRECISIONS: &[(DType, c_int)] = &[
    (DType::F32, 10),
    (DType::F16, 11),
    (DType::Bf16, 12),
    (DType::F64, 13),
    (DType::I16, 30),
    (DType::U8, 40),
    (DType::Bool, 41),
    (DType::I8, 50),
    (DType::U16, 60),
    (DType::I32, 70),
    (DType::I64, 72),
    (DType::U64, 73),
    (DType::U32, 74),
];

/// Our element type for the library's.
pub(super) fn dtype(precision: c_int) -> Option<DType> {
    PRECISIONS
        .iter()
        .find(|(_, code)| *code == precision)
        .map(|(dtype, _)| *dtype)
}

/// Makes shapes and types concrete, and says them: open dimensions become 1, for the stick knows no others.
pub(super) fn settle(network: &mut Network, artifact: &Artifact) -> Result<Signature, String> {
    let told = artifact.signature.as_ref();
    if let Some(told) = told {
        let open = |spec: &&TensorSpec| spec.shape.contains(&Dim::Dynamic);
        let shapes: Vec<_> = told
            .inputs
            .iter()
            .filter(open)
            .map(|s| (s.name.to_string(), concrete(s)))
            .collect();
        if !shapes.is_empty() {
            network.reshape(&shapes)?;
        }
        for spec in &told.inputs {
            let code = PRECISIONS
                .iter()
                .find(|(dtype, _)| *dtype == spec.dtype)
                .map(|(_, code)| *code);
            network.set_input_precision(&spec.name, code.ok_or_else(|| format!("{}: its type", spec.name))?)?;
        }
    }
    Ok(Signature {
        inputs: side(network, Side::Input, told.map(|told| told.inputs.as_slice()))?,
        outputs: side(network, Side::Output, told.map(|told| told.outputs.as_slice()))?,
    })
}

fn concrete(spec: &TensorSpec) -> Vec<usize> {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(n) => *n as usize,
        Dim::Dynamic => 1,
    };
    spec.shape.iter().map(dim).collect()
}

fn side(network: &Network, side: Side, told: Option<&[TensorSpec]>) -> Result<Vec<TensorSpec>, String> {
    let own = network.names(side)?;
    let names: Vec<String> = match told {
        Some(told) => told.iter().map(|spec| spec.name.to_string()).collect(),
        None if own.len() == 1 => own.clone(),
        None => {
            return Err(format!(
                "it has the {side:?}s {own:?} in no known order: this needs the manifest of a bundle"
            ));
        }
    };
    if names.len() != own.len() || names.iter().any(|name| !own.contains(name)) {
        return Err(format!("the manifest's {side:?}s are {names:?}, the model's {own:?}"));
    }
    let spec = |name: &String| {
        let about = network.about(side, name);
        let (dims, precision) = about.map_err(|why| {
            let open = told.is_none();
            format!(
                "{why}{}",
                if open {
                    "; a model with open dimensions needs the manifest of a bundle"
                } else {
                    ""
                }
            )
        })?;
        let dtype = dtype(precision).ok_or_else(|| format!("{name} is of the library's type {precision}"))?;
        let dims = dims
            .list()
            .ok_or_else(|| format!("{name} has more than 8 dimensions"))?;
        let fixed = |dim: &usize| u32::try_from(*dim).map(Dim::Fixed).map_err(|why| why.to_string());
        let dims = dims.iter().map(fixed).collect::<Result<Vec<_>, _>>()?;
        TensorSpec::new(name, dtype, dims).map_err(|why| format!("{name}: {why}"))
    };
    names.iter().map(spec).collect()
}
