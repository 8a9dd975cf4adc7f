//! ONNX in 16-bit floats: made by our own quantizer, compared on the reference engine.

use std::path::Path;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::open_model;
use kerf_runtime::source::Input;
use kerf_runtime::step::Step;
use kerf_runtime::tensor::Tensor;
use kerf_wire::manifest::{Comparison, Conversion};
use prost::Message as _;

use super::samples::PartSamples;
use super::{ConvertError, Kind, at};
use crate::exit::Failure;
use crate::onnx::read_whole;
use crate::quantize;
use crate::verify::Difference;

/// Writes the part in half precision and compares it.
pub(super) fn convert(part: &PartSamples<'_>, from: &Path, to: &Path) -> Result<Conversion, Failure> {
    let unfit = |why: String| ConvertError::Unfit {
        kind: Kind::OnnxF16,
        part: part.index,
        why,
    };
    let model = read_whole(from).map_err(|why| unfit(why.to_string()))?;
    let made = quantize::half(model).map_err(|why| unfit(why.to_string()))?;
    std::fs::write(to, made.model.encode_to_vec()).map_err(at(to))?;
    let comparison = compare(part, to)?;
    Ok(Conversion {
        tool: concat!("kerf ", env!("CARGO_PKG_VERSION")).to_owned(),
        precision: Kind::OnnxF16.precision(),
        tolerance: Some(Kind::OnnxF16.tolerance(Some(comparison.difference_relative))),
        inputs: Vec::new(),
        outputs: Vec::new(),
        comparison: Some(comparison),
    })
}

fn compare(part: &PartSamples<'_>, file: &Path) -> Result<Comparison, Failure> {
    let artifact = open_model(file)?;
    let mut step = Step::of_model(&artifact, &[part.engine.to_owned()], &LoadOptions::default())?;
    let mut difference = Difference::default();
    for (given, wanted) in part.given.iter().zip(part.wanted) {
        let input = Input {
            label: String::new(),
            tensors: given.clone(),
        };
        let got = step.run(&input)?;
        for (name, wanted) in wanted.iter().filter(|(name, _)| part.outputs.contains(name)) {
            let found = got.values.iter().find(|(n, _)| n == name);
            let found = found.and_then(|(_, tensor)| Tensor::copy_of(*tensor).ok());
            difference.add(name, found.as_ref(), wanted, 0.0);
        }
    }
    Ok(Comparison {
        against: part.engine_version.to_owned(),
        inputs: u32::try_from(part.given.len()).unwrap_or(u32::MAX),
        difference_max: difference.max,
        difference_relative: difference.relative,
        argmax_agreement: difference.argmax_agreement(),
    })
}
