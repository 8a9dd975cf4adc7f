//! What is done offline so that a board need not do it, or can prove at its start that it does it right.
//!
//! Owns: a bundle's self-test, and on request each part as tract's NNEF, proven equal before it is listed.
//! Must not know: how a bundle is written. Start at [`prepare`].
//! NNEF spares a stage the analysis of ONNX. That pays for graphs of a thousand nodes; for small ones reading NNEF costs
//! more than it spares (docs/proofs.md has the figures), so it is not the default.

mod trace;

use std::io::Cursor;
use std::path::Path;

use kerf_runtime::backend::{LoadOptions, tract};
use kerf_runtime::bundle::Bundle;
use kerf_runtime::exit::{Exit, Failure, OrExit as _};
use kerf_runtime::self_test::relative_difference;
use kerf_runtime::source::{Input, Reader, npz};
use kerf_runtime::step::{Choice, Step};
use kerf_runtime::tensor::Tensor;
use kerf_wire::Manifest;
use kerf_wire::manifest::{Artifact, Format, SelfTest};

use crate::emit::Draft;
use crate::graph::shapes::Symbols;
use crate::limits::{MAX_PREPARED_BYTES, MAX_SELF_TEST_BYTES};
use crate::verify;
use trace::{Ran, trace};

/// The self-test's file.
const SELF_TEST: &str = "self-test.npz";
/// Seed of the self-test's input where none is given.
const SEED: u64 = 1;
/// Largest max|a−b| / max|b| between a part's two forms: both are tract's, which may fold constants in another order.
const SAME: f64 = 1e-5;
/// What a backend may differ by in the self-test. Accelerators that compute in half precision differ by up to some 1e-3;
/// the wrong answers that the self-test is there for were wrong by 0.5 and more.
const TOLERANCE: f64 = 1e-2;
/// The same where values are integers of 8 bits: two engines may round one step apart, and later layers widen it.
const TOLERANCE_QUANTISED: f64 = 5e-2;

/// What to prepare.
#[derive(Debug, Clone, Copy)]
pub struct Preparing<'a> {
    /// Write the self-test.
    pub self_test: bool,
    /// Write each part as tract's NNEF too.
    pub nnef: bool,
    /// The self-test's input, as a stage reads it; seeded random numbers where none.
    pub input: Option<&'a Path>,
    /// Numbers for symbolic dimensions.
    pub symbols: &'a Symbols,
    /// The model computes in integers of 8 bits.
    pub quantised: bool,
}

/// Puts a self-test and prepared forms into a bundle that is being written. Where no engine here runs the model, there is
/// none of either, and a warning says why.
///
/// # Errors
/// When the given input does not fit, or something cannot be written.
pub fn prepare(draft: &mut Draft, how: &Preparing<'_>) -> Result<(), Failure> {
    let bytes = longest_part(&draft.manifest);
    if (!how.self_test && !how.nnef) || draft.manifest.parts.iter().all(|p| p.artifacts.is_empty()) {
        return Ok(());
    }
    if bytes > MAX_PREPARED_BYTES {
        log::warn!(
            "no self-test: a part of {bytes} bytes is over the limit of {MAX_PREPARED_BYTES} for running it here"
        );
        return Ok(());
    }
    let bundle = Bundle::open(draft.staged()?)?;
    let input = match how.input {
        Some(path) => Reader::of_bundle(&bundle, 0)?.read(path)?,
        None => random(&draft.manifest, how.symbols)?,
    };
    let ran = match trace(&bundle, &input) {
        Ok(ran) => ran,
        Err(why) if how.input.is_some() => return Err(why.context("self-test")),
        Err(why) => {
            log::warn!("no self-test: no engine here runs the parts ({why})");
            return Ok(());
        }
    };
    if how.nnef {
        for (index, ran) in ran.iter().enumerate() {
            nnef(draft, index, ran)?;
        }
    }
    if how.self_test {
        let tolerance = if how.quantised { TOLERANCE_QUANTISED } else { TOLERANCE };
        self_test(draft, &ran, tolerance)?;
    }
    Ok(())
}

fn longest_part(manifest: &Manifest) -> u64 {
    let artifacts = manifest.parts.iter().flat_map(|part| &part.artifacts);
    let bytes = artifacts.map(|a| a.bytes + a.companions.iter().map(|c| c.bytes).sum::<u64>());
    bytes.max().unwrap_or(0)
}

fn random(manifest: &Manifest, symbols: &Symbols) -> Result<Input, Failure> {
    let inputs = verify::random(manifest, symbols, SEED, 1).or_exit(Exit::Usage)?;
    let first = inputs.into_iter().next();
    first.ok_or_else(|| Failure::new(Exit::Bug, anyhow::anyhow!("no input was made")))
}

/// Writes one part for tract, and keeps it where it gives what the ONNX part gives.
fn nnef(draft: &mut Draft, index: usize, ran: &Ran) -> Result<(), Failure> {
    let bundle = Bundle::open(draft.staged()?)?;
    let Some(onnx) = bundle.artifact(index, &[Format::Onnx], None)? else {
        return Ok(());
    };
    let bytes = match tract::to_nnef(&onnx) {
        Ok(bytes) => bytes,
        Err(why) => {
            log::warn!("part {index} stays ONNX alone: {why}");
            return Ok(());
        }
    };
    let written = draft.add(&format!("part-{index}.nnef.tar"), &bytes)?;
    let artifact = Artifact {
        file: written.name.clone(),
        format: Format::TractNnef,
        sha256: written.sha256,
        bytes: written.bytes,
        companions: Vec::new(),
        compiled_for: Some(format!("{} {}", tract::NAME, tract::VERSION)),
        conversion: None,
    };
    let part = draft.manifest.parts.get_mut(index);
    if let Some(part) = part {
        part.artifacts.push(artifact);
    }
    let bundle = Bundle::open(draft.staged()?)?;
    if let Err(why) = same(&bundle, index, ran) {
        log::warn!("part {index} stays ONNX alone: prepared for tract it is not the same ({why})");
        if let Some(part) = draft.manifest.parts.get_mut(index) {
            part.artifacts.pop();
        }
        draft.remove(&written.name)?;
    }
    Ok(())
}

/// The prepared form gives what the ONNX part gave, for one input and for two in a batch.
fn same(bundle: &Bundle, index: usize, ran: &Ran) -> Result<(), Failure> {
    let (tract, options) = ([tract::NAME.to_owned()], LoadOptions::default());
    let how = Choice {
        format: Some(Format::TractNnef),
        unproven: true,
    };
    let mut step = Step::load_as(bundle, index, &tract, &options, how)?;
    for (input, expected) in std::iter::once(&ran.one).chain(&ran.two) {
        let got = step.run(input)?;
        for (name, tensor) in &got.values {
            let tensor = Tensor::copy_of(*tensor).or_exit(Exit::RunFailed)?;
            let expected = expected.iter().find(|(n, _)| n == name).map(|(_, t)| t);
            let difference = expected
                .filter(|e| e.shape() == tensor.shape() && e.dtype() == tensor.dtype())
                .map_or(f64::NAN, |e| relative_difference(&tensor, e));
            if difference.is_nan() || difference > SAME {
                return Err(Failure::new(
                    Exit::PartsDiffer,
                    anyhow::anyhow!("value {name:?}: max|a−b| / max|b| is {difference:.1e}"),
                ));
            }
        }
    }
    Ok(())
}

fn self_test(draft: &mut Draft, ran: &[Ran], tolerance: f64) -> Result<(), Failure> {
    let mut arrays: Vec<(&str, &Tensor)> = Vec::new();
    for (part, ran) in draft.manifest.parts.iter().zip(ran) {
        let (input, outputs) = &ran.one;
        let reaching = input.tensors.iter().filter(|(name, _)| part.inputs.contains(name));
        let made = outputs.iter().filter(|(name, _)| part.outputs.contains(name));
        for (name, tensor) in reaching.chain(made) {
            if !arrays.iter().any(|(n, _)| n == name) {
                arrays.push((name, tensor));
            }
        }
    }
    let length: usize = arrays.iter().map(|(_, t)| t.bytes().len()).sum();
    if length as u64 > MAX_SELF_TEST_BYTES {
        log::warn!("no self-test: {length} bytes of tensors are over the limit of {MAX_SELF_TEST_BYTES}");
        return Ok(());
    }
    let mut bytes = Cursor::new(Vec::new());
    if let Err(why) = npz::write(arrays.iter().map(|(n, t)| (*n, t.view())), &mut bytes) {
        log::warn!("no self-test: {why}");
        return Ok(());
    }
    let written = draft.add(SELF_TEST, &bytes.into_inner())?;
    draft.manifest.self_test = Some(SelfTest {
        file: written.name,
        sha256: written.sha256,
        bytes: written.bytes,
        tolerance,
    });
    Ok(())
}
