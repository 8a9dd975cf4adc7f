//! What the ONNX parts make of an input, one after the other, on the first engine that runs each.
//!
//! Owns: the engines and their order, the values between parts. Must not know: what they are for.

use kerf_runtime::backend::{self, LoadOptions};
use kerf_runtime::bundle::Bundle;
use kerf_runtime::exit::{Exit, Failure, OrExit as _};
use kerf_runtime::source::Input;
use kerf_runtime::step::{Choice, Step};
use kerf_runtime::tensor::Tensor;
use kerf_wire::Manifest;
use kerf_wire::manifest::{Axis, Format};

/// In the order in which they are asked; one that this program or this machine has not is passed over.
const ENGINES: [&str; 2] = ["tract", "onnxruntime"];

/// What goes into a part, and what comes out.
pub(super) type Run = (Input, Vec<(String, Tensor)>);

/// One part's runs.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) one: Run,
    /// A batch of two, where the part takes batches.
    pub(super) two: Option<Run>,
}

/// Runs every part.
///
/// # Errors
/// When no engine runs a part.
pub(super) fn trace(bundle: &Bundle, input: &Input) -> Result<Vec<Ran>, Failure> {
    let mut reaching = input.clone();
    let mut all = Vec::new();
    for index in 0..bundle.manifest().parts.len() {
        let mut step = first_engine(bundle, index)?;
        let leaving = run(&mut step, &reaching)?;
        let doubled = doubled(bundle.manifest(), &reaching);
        // A part may have a batch of one baked into it somewhere: then it is only ever run with one.
        let two = doubled.and_then(|input| run(&mut step, &input).ok().map(|leaving| (input, leaving)));
        let next = Input {
            label: String::new(),
            tensors: leaving.clone(),
        };
        let one = (std::mem::replace(&mut reaching, next), leaving);
        all.push(Ran { one, two });
    }
    Ok(all)
}

fn first_engine(bundle: &Bundle, index: usize) -> Result<Step, Failure> {
    let how = Choice {
        format: Some(Format::Onnx),
        unproven: true,
    };
    let mut first = None;
    let there = |name: &&&str| backend::named(name).is_ok_and(|b| b.check(&LoadOptions::default()).is_ok());
    for engine in ENGINES.iter().filter(there) {
        let engine = [(*engine).to_owned()];
        match Step::load_as(bundle, index, &engine, &LoadOptions::default(), how) {
            Ok(step) => return Ok(step),
            Err(why) => first = first.or(Some(Failure::from(why))),
        }
    }
    Err(first.unwrap_or_else(|| Failure::usage("this program has no engine for ONNX")))
}

fn run(step: &mut Step, input: &Input) -> Result<Vec<(String, Tensor)>, Failure> {
    let leaving = step.run(input)?;
    let own = |(name, tensor): &(&str, kerf_wire::TensorRef<'_>)| {
        Ok(((*name).to_owned(), Tensor::copy_of(*tensor).or_exit(Exit::RunFailed)?))
    };
    leaving.values.iter().map(own).collect()
}

/// Each input twice along an open first axis; none where no input has one.
fn doubled(manifest: &Manifest, input: &Input) -> Option<Input> {
    let mut any = false;
    let mut twice = |(name, tensor): &(String, Tensor)| {
        let value = manifest.values.get(name)?;
        if !matches!(value.shape.first(), Some(Axis::Symbol(_))) {
            return Some((name.clone(), tensor.clone()));
        }
        any = true;
        let mut shape = tensor.shape().to_vec();
        *shape.first_mut()? = shape.first()?.checked_mul(2)?;
        let mut both = Tensor::zeros(tensor.dtype(), &shape).ok()?;
        let (first, second) = both.bytes_mut().split_at_mut(tensor.bytes().len());
        first.copy_from_slice(tensor.bytes());
        second.copy_from_slice(tensor.bytes());
        Some((name.clone(), both))
    };
    let tensors = input.tensors.iter().map(&mut twice).collect::<Option<Vec<_>>>()?;
    any.then_some(Input {
        label: String::new(),
        tensors,
    })
}
