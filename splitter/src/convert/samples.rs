//! What reaches each part and what leaves it, for some inputs of the whole model: to calibrate on and to compare with.

use std::path::Path;

use kerf_runtime::backend::{self, LoadOptions};
use kerf_runtime::bundle::{Bundle, read_bounded};
use kerf_runtime::limits::MAX_TENSOR_FILE_BYTES;
use kerf_runtime::source::{Input, npz};
use kerf_runtime::step::{Choice, Step};
use kerf_runtime::tensor::Tensor;
use kerf_wire::TensorRef;
use kerf_wire::manifest::{Answers, Format};

use super::{ConvertError, answers, at};
use crate::exit::{Exit, Failure, OrExit as _};

/// Named tensors.
pub(super) type Values = Vec<(String, Tensor)>;

/// The engine that parts as they were cut run on here: ONNX Runtime where it is, else tract. Its name and version.
///
/// # Errors
/// When this program has neither.
pub fn reference() -> Result<(&'static str, String), Failure> {
    let mut first = None;
    for name in ["onnxruntime", "tract"] {
        match backend::named(name)
            .map_err(Failure::from)
            .and_then(|b| Ok(b.check(&LoadOptions::default())?))
        {
            Ok(info) => return Ok((name, info.version)),
            Err(failure) => {
                first.get_or_insert(failure);
            }
        }
    }
    Err(first.unwrap_or_else(|| Failure::usage("this program has no engine")))
}

/// For each part, what went in and what came out, a list a sample.
#[derive(Debug)]
pub struct Samples {
    engine: &'static str,
    engine_version: String,
    given: Vec<Vec<Values>>,
    wanted: Vec<Vec<Values>>,
}

/// One part's samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartSamples<'a> {
    pub(super) index: usize,
    /// The part's inputs and outputs, in order.
    pub(super) inputs: &'a [String],
    pub(super) outputs: &'a [String],
    pub(super) engine: &'static str,
    pub(super) engine_version: &'a str,
    pub(super) given: &'a [Values],
    pub(super) wanted: &'a [Values],
}

impl Samples {
    /// Runs the inputs through all parts as they were cut.
    ///
    /// # Errors
    /// When there is no engine, or it does not run a part.
    pub fn of(bundle: &Bundle, inputs: Vec<Input>) -> Result<Self, Failure> {
        let (engine, engine_version) = reference()?;
        let mut here: Vec<Values> = inputs.into_iter().map(|input| input.tensors).collect();
        let mut samples = Self {
            engine,
            engine_version,
            given: Vec::new(),
            wanted: Vec::new(),
        };
        for index in 0..bundle.manifest().parts.len() {
            let left = as_cut(bundle, index, engine, &here)?;
            samples.given.push(std::mem::replace(&mut here, left.clone()));
            samples.wanted.push(left);
        }
        Ok(samples)
    }

    pub(super) fn part<'a>(&'a self, bundle: &'a Bundle, index: usize) -> Result<PartSamples<'a>, Failure> {
        let part = bundle.part(index)?;
        Ok(PartSamples {
            index,
            inputs: &part.inputs,
            outputs: &part.outputs,
            engine: self.engine,
            engine_version: &self.engine_version,
            given: self.given.get(index).map(Vec::as_slice).unwrap_or_default(),
            wanted: self.wanted.get(index).map(Vec::as_slice).unwrap_or_default(),
        })
    }

    /// What becomes of the model's answers where part `index` gives this, and the parts after it run as they were cut.
    pub(super) fn answers_after(&self, bundle: &Bundle, index: usize, got: &[Values]) -> Result<Answers, Failure> {
        let mut here = self.wanted.get(index).cloned().unwrap_or_default();
        for (values, got) in here.iter_mut().zip(got) {
            for (name, value) in values {
                if let Some(own) = find(got, name) {
                    value.clone_from(own);
                }
            }
        }
        for next in index + 1..bundle.manifest().parts.len() {
            here = as_cut(bundle, next, self.engine, &here)?;
        }
        let wanted = self.wanted.last().map(Vec::as_slice).unwrap_or_default();
        Ok(answers::compare(&here, wanted))
    }

    /// Every value of the first sample, each once, as a self-test keeps them.
    pub(super) fn first(&self) -> Values {
        let all = self
            .given
            .iter()
            .chain(&self.wanted)
            .filter_map(|part| part.first())
            .flatten();
        let mut values: Values = Vec::new();
        for (name, tensor) in all {
            if !values.iter().any(|(known, _)| known == name) {
                values.push((name.clone(), tensor.clone()));
            }
        }
        values
    }
}

/// Runs a part as it was cut: all that leaves it, for each of these.
fn as_cut(bundle: &Bundle, index: usize, engine: &'static str, here: &[Values]) -> Result<Vec<Values>, Failure> {
    let has_onnx = bundle.part(index)?.artifacts.iter().any(|a| a.format == Format::Onnx);
    let how = Choice {
        format: has_onnx.then_some(Format::Onnx),
        ..Choice::default()
    };
    let step = Step::load_as(bundle, index, &[engine.to_owned()], &LoadOptions::default(), how);
    let mut step = step.map_err(|e| Failure::from(e).context(format!("running part {index} on {engine}")))?;
    let mut left = Vec::with_capacity(here.len());
    for tensors in here {
        let input = Input {
            label: String::new(),
            tensors: tensors.clone(),
        };
        let own = |(name, tensor): (&str, TensorRef<'_>)| {
            Ok((name.to_owned(), Tensor::copy_of(tensor).or_exit(Exit::RunFailed)?))
        };
        let values = step.run(&input)?.values.into_iter().map(own);
        left.push(values.collect::<Result<Values, Failure>>()?);
    }
    Ok(left)
}

impl PartSamples<'_> {
    /// What a converter's script wrote: `out_0`, `out_1` …, each with the samples behind one another on a first axis.
    pub(super) fn read(&self, file: &Path) -> Result<Vec<Values>, String> {
        let text = |why: &dyn std::fmt::Display| format!("its answers do not read: {why}");
        let bytes = read_bounded(file, MAX_TENSOR_FILE_BYTES).map_err(|why| text(&why))?;
        let mut archive = npz::Archive::from_bytes(&bytes).map_err(|why| text(&why))?;
        let mut all: Vec<Values> = vec![Vec::new(); self.given.len()];
        for (k, name) in self.outputs.iter().enumerate() {
            let stacked = archive.read(&format!("out_{k}")).map_err(|why| text(&why))?;
            let shape = stacked.shape().get(1..).unwrap_or_default();
            let length = stacked.bytes().len() / all.len().max(1);
            let mut rows = stacked.bytes().chunks(length.max(1));
            for values in &mut all {
                let row = rows.next().unwrap_or_default();
                let row = TensorRef::new(stacked.dtype(), shape, row).map_err(|why| text(&why))?;
                values.push((name.clone(), Tensor::copy_of(row).map_err(|why| text(&why))?));
            }
        }
        Ok(all)
    }

    /// The shape of each input, the same in every sample.
    pub(super) fn shapes(&self) -> Result<Vec<(String, Vec<u32>)>, String> {
        let shape = |name: &String| {
            let mut all = self
                .given
                .iter()
                .map(|values| find(values, name).map(|t| t.shape().to_vec()));
            let first = all
                .next()
                .flatten()
                .ok_or_else(|| format!("no sample has a value {name:?}"))?;
            if all.any(|other| other.as_ref() != Some(&first)) {
                return Err(format!(
                    "the samples of {name:?} have several shapes, the first {first:?}"
                ));
            }
            Ok((name.clone(), first))
        };
        self.inputs.iter().map(shape).collect()
    }

    /// Writes `in_0`, `in_1` …: each input's samples behind one another on a new first axis.
    pub(super) fn write(&self, file: &Path) -> Result<(), ConvertError> {
        let failed = |why: String| at(file)(std::io::Error::other(why));
        let mut arrays = Vec::new();
        for (k, (name, shape)) in self.shapes().map_err(failed)?.iter().enumerate() {
            let tensors: Vec<&Tensor> = self.given.iter().filter_map(|values| find(values, name)).collect();
            let count = u32::try_from(tensors.len()).unwrap_or(u32::MAX);
            let stacked: Vec<u32> = std::iter::once(count).chain(shape.iter().copied()).collect();
            let dtype = tensors.first().map_or(kerf_wire::DType::F32, |t| t.dtype());
            let mut all = Tensor::zeros(dtype, &stacked).map_err(|why| failed(why.to_string()))?;
            let bytes: Vec<u8> = tensors.iter().flat_map(|t| t.bytes()).copied().collect();
            if bytes.len() != all.bytes().len() {
                return Err(failed(format!("the samples of {name:?} have several lengths")));
            }
            all.bytes_mut().copy_from_slice(&bytes);
            arrays.push((format!("in_{k}"), all));
        }
        let out = std::fs::File::create(file).map_err(at(file))?;
        let views = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor.view()));
        npz::write(views, std::io::BufWriter::new(out)).map_err(|why| failed(why.to_string()))
    }
}

fn find<'a>(values: &'a Values, name: &str) -> Option<&'a Tensor> {
    values.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor)
}
