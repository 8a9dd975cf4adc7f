//! ONNX in 16-bit floats: made by our own quantizer, compared on the reference engine.

use std::path::Path;

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::bundle::open_model;
use kerf_runtime::source::Input;
use kerf_runtime::step::Step;
use kerf_runtime::tensor::Tensor;
use kerf_wire::TensorRef;
use kerf_wire::manifest::{Comparison, Conversion};
use prost::Message as _;

use super::samples::{PartSamples, Values};
use super::{ConvertError, Kind, Made, at};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::onnx::read_whole;
use crate::quantize;
use crate::verify::Difference;

/// Writes the part in half precision and compares it.
pub(super) fn convert(part: &PartSamples<'_>, from: &Path, to: &Path) -> Result<Made, Failure> {
    let unfit = |why: String| ConvertError::Unfit {
        kind: Kind::OnnxF16,
        part: part.index,
        why,
    };
    let model = read_whole(from).map_err(|why| unfit(why.to_string()))?;
    let made = quantize::half(model).map_err(|why| unfit(why.to_string()))?;
    std::fs::write(to, made.model.encode_to_vec()).map_err(at(to))?;
    let (comparison, got) = compare(part, to)?;
    let conversion = Conversion {
        tool: concat!("kerf ", env!("CARGO_PKG_VERSION")).to_owned(),
        precision: Kind::OnnxF16.precision(),
        tolerance: Some(Kind::OnnxF16.tolerance(Some(comparison.difference_relative))),
        inputs: Vec::new(),
        outputs: Vec::new(),
        comparison: Some(comparison),
    };
    Ok(Made { conversion, got })
}

/// How far it is off, and what it gave for each sample.
fn compare(part: &PartSamples<'_>, file: &Path) -> Result<(Comparison, Vec<Values>), Failure> {
    let artifact = open_model(file)?;
    let mut step = Step::of_model(&artifact, &[part.engine.to_owned()], &LoadOptions::default())?;
    let (mut difference, mut all) = (Difference::default(), Vec::new());
    for (given, wanted) in part.given.iter().zip(part.wanted) {
        let input = Input {
            label: String::new(),
            tensors: given.clone(),
        };
        let own = |(name, tensor): (&str, TensorRef<'_>)| {
            Ok((name.to_owned(), Tensor::copy_of(tensor).or_exit(Exit::RunFailed)?))
        };
        let got = step.run(&input)?.values.into_iter().map(own);
        let got = got.collect::<Result<Values, Failure>>()?;
        for (name, wanted) in wanted.iter().filter(|(name, _)| part.outputs.contains(name)) {
            let found = got.iter().find(|(n, _)| n == name);
            difference.add(name, found.map(|(_, tensor)| tensor), wanted, 0.0);
        }
        all.push(got);
    }
    let comparison = Comparison {
        against: part.engine_version.to_owned(),
        inputs: u32::try_from(part.given.len()).unwrap_or(u32::MAX),
        difference_max: difference.max,
        difference_relative: difference.relative,
        argmax_agreement: difference.argmax_agreement(),
        difference_rms: Some(difference.rms()),
        answers: None,
    };
    Ok((comparison, all))
}
