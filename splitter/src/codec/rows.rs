//! Inputs from one `.npz`, whose first axis counts them.

use std::path::Path;

use kerf_runtime::source::Input;
use kerf_runtime::source::npz::Archive;
use kerf_runtime::tensor::Tensor;
use kerf_wire::{DType, TensorSpec};

use super::data::Labelled;
use crate::exit::{Exit, Failure, OrExit as _};

/// Largest tensor file, bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// The rows of an archive's arrays: those named as the model's inputs, or `in_0`, `in_1` …, and `labels`.
pub(super) fn rows(file: &Path, specs: &[TensorSpec]) -> Result<Labelled, Failure> {
    let doing = || format!("reading {}", file.display());
    let bytes = kerf_runtime::bundle::read_bounded(file, MAX_FILE_BYTES)?;
    let mut archive = Archive::from_bytes(&bytes)
        .or_exit(Exit::Usage)
        .map_err(|e| e.context(doing()))?;
    let names = archive.names();
    let mut arrays = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let numbered = format!("in_{index}");
        let name = [spec.name.as_str(), &numbered]
            .into_iter()
            .find(|n| names.iter().any(|have| have == n));
        let name = name.ok_or_else(|| {
            Failure::usage(format!(
                "{}: no array {:?} or {numbered:?}; it has {names:?}",
                file.display(),
                spec.name
            ))
        })?;
        arrays.push((
            spec.name.to_string(),
            archive
                .read(name)
                .or_exit(Exit::Usage)
                .map_err(|e| e.context(doing()))?,
        ));
    }
    let labels = names
        .iter()
        .any(|n| n == "labels")
        .then(|| archive.read("labels"))
        .transpose();
    let labels = labels.or_exit(Exit::Usage)?.map(|t| classes_of(&t)).unwrap_or_default();
    let count = arrays
        .first()
        .and_then(|(_, t)| t.shape().first())
        .copied()
        .unwrap_or(0);
    (0..count as usize)
        .map(|row| {
            let tensors = arrays.iter().map(|(name, all)| Ok((name.clone(), one_row(all, row)?)));
            let tensors: Result<_, Failure> = tensors.collect();
            let label = format!("{}#{row}", file.display());
            Ok((
                Input {
                    label,
                    tensors: tensors?,
                },
                labels.get(row).copied(),
            ))
        })
        .collect()
}

fn classes_of(labels: &Tensor) -> Vec<usize> {
    let width = labels.dtype().size_bytes();
    let little = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    match labels.dtype() {
        DType::U8 | DType::I8 | DType::I16 | DType::U16 | DType::I32 | DType::U32 | DType::I64 | DType::U64 => labels
            .bytes()
            .chunks_exact(width)
            .map(|bytes| usize::try_from(little(bytes)).unwrap_or(usize::MAX))
            .collect(),
        _ => Vec::new(),
    }
}

/// One row, as a batch of one.
fn one_row(all: &Tensor, row: usize) -> Result<Tensor, Failure> {
    let mut shape = all.shape().to_vec();
    let rows = shape.first().copied().unwrap_or(1).max(1) as usize;
    if let Some(batch) = shape.first_mut() {
        *batch = 1;
    }
    let bytes = all.bytes().len() / rows;
    let slice = all.bytes().get(row * bytes..(row + 1) * bytes).unwrap_or_default();
    let view = kerf_wire::TensorRef::new(all.dtype(), &shape, slice).or_exit(Exit::Usage)?;
    Tensor::copy_of(view).or_exit(Exit::Usage)
}
