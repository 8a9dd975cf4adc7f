//! The self-test: a backend must give the bundle's expected output for the bundle's own input before it may answer.
//!
//! Owns: the comparison. Must not know: which backend it is.
//! Why at every load: engines were seen to answer wrongly with status 0, each in its own way, on one board and not on
//! another. A run costs milliseconds.

use kerf_wire::{DType, TensorRef};

use crate::backend::{BackendError, Session};
use crate::bundle::{Bundle, BundleError};
use crate::source::npz::Archive;
use crate::step::LoadError;
use crate::tensor::Tensor;

/// How far a loaded part was from the self-test's expected values.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The value with the largest difference.
    pub value: String,
    /// max|a−b| / max|b| of that value; NaN where one side is NaN.
    pub difference: f64,
    /// What the manifest allows this artifact, or where it says nothing, the bundle.
    pub tolerance: f64,
}

impl Outcome {
    /// True within the tolerance; a NaN never is.
    pub fn holds(&self) -> bool {
        self.difference <= self.tolerance
    }
}

/// Runs the self-test of the bundle through a loaded part; nothing to do where the bundle has none.
///
/// # Errors
/// When the file is not what the manifest says, or the answer differs by more than the manifest's tolerance for this
/// artifact, or where it has none, for the bundle.
pub fn check(
    bundle: &Bundle,
    own: Option<f64>,
    backend: &'static str,
    session: &mut dyn Session,
) -> Result<(), LoadError> {
    let Some(outcome) = measure(bundle, own, backend, session)? else {
        return Ok(());
    };
    if !outcome.holds() {
        let (value, difference) = (&outcome.value, outcome.difference);
        return Err(LoadError::Backend(BackendError::SelfTest {
            backend,
            what: format!(
                "value {value}: max|a−b| / max|b| is {difference:.2e}, the tolerance {:.0e}",
                outcome.tolerance
            ),
        }));
    }
    log::debug!("event=self-test backend={backend} result=passed");
    Ok(())
}

/// Runs the self-test and says how far the answer is off; none where the bundle has no self-test.
///
/// # Errors
/// When the file is not what the manifest says, the run fails, or an output is of another shape or type.
pub fn measure(
    bundle: &Bundle,
    own: Option<f64>,
    backend: &'static str,
    session: &mut dyn Session,
) -> Result<Option<Outcome>, LoadError> {
    let Some(test) = &bundle.manifest().self_test else {
        return Ok(None);
    };
    let Some(bytes) = bundle.self_test_bytes()? else {
        return Ok(None);
    };
    let refused = |why: &dyn std::fmt::Display| bundle.refused(format!("self-test {:?}: {why}", test.file));
    let mut archive = Archive::from_bytes(&bytes).map_err(|why| refused(&why))?;
    let mut read = |name: &str| -> Result<Tensor, BundleError> { archive.read(name).map_err(|why| refused(&why)) };
    let inputs = session.inputs().iter().map(|spec| read(&spec.name));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let expected = session.outputs().iter().map(|spec| read(&spec.name));
    let expected = expected.collect::<Result<Vec<_>, _>>()?;

    let differs = |what: String| LoadError::Backend(BackendError::SelfTest { backend, what });
    let views: Vec<TensorRef<'_>> = inputs.iter().map(Tensor::view).collect();
    let mut outputs = vec![Tensor::default(); expected.len()];
    session
        .run_into(&views, &mut outputs)
        .map_err(|why| differs(why.to_string()))?;
    let mut outcome = Outcome {
        value: String::new(),
        difference: 0.0,
        tolerance: own.unwrap_or(test.tolerance),
    };
    for (spec, (got, expected)) in session.outputs().iter().zip(outputs.iter().zip(&expected)) {
        if got.dtype() != expected.dtype() || got.shape() != expected.shape() {
            return Err(differs(format!(
                "value {}: expected {}{:?}, got {}{:?}",
                spec.name,
                expected.dtype(),
                expected.shape(),
                got.dtype(),
                got.shape()
            )));
        }
        let difference = relative_difference(got, expected);
        if outcome.value.is_empty() || difference.is_nan() || difference > outcome.difference {
            outcome.value = spec.name.to_string();
            outcome.difference = difference;
        }
        if difference.is_nan() {
            break;
        }
    }
    Ok(Some(outcome))
}

/// max|a − b| / max|b|; NaN where one side is NaN and the other is not.
pub fn relative_difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (numbers(&a.view()), numbers(&b.view()));
    let mut largest = 0.0_f64;
    let mut scale = f64::MIN_POSITIVE;
    for (a, b) in a.iter().zip(&b) {
        if a.is_nan() != b.is_nan() {
            return f64::NAN;
        }
        #[allow(clippy::float_cmp, reason = "equal infinities have no difference")]
        if a == b || a.is_nan() {
            scale = scale.max(if b.is_finite() { b.abs() } else { 0.0 });
            continue;
        }
        largest = largest.max((a - b).abs());
        scale = scale.max(b.abs());
    }
    largest / scale
}

fn words<const N: usize>(tensor: &TensorRef<'_>) -> impl Iterator<Item = [u8; N]> {
    let chunks = tensor.bytes.chunks_exact(N);
    chunks.map(|chunk| <[u8; N]>::try_from(chunk).unwrap_or([0; N]))
}

fn numbers(tensor: &TensorRef<'_>) -> Vec<f64> {
    match tensor.dtype {
        DType::F32 => words(tensor).map(|w| f64::from(f32::from_le_bytes(w))).collect(),
        DType::F64 => words(tensor).map(f64::from_le_bytes).collect(),
        DType::F16 => words(tensor).map(|w| half::f16::from_le_bytes(w).to_f64()).collect(),
        DType::Bf16 => words(tensor).map(|w| half::bf16::from_le_bytes(w).to_f64()).collect(),
        DType::I8 => words(tensor).map(|w| f64::from(i8::from_le_bytes(w))).collect(),
        DType::U8 | DType::Bool => tensor.bytes.iter().map(|b| f64::from(*b)).collect(),
        DType::I16 => words(tensor).map(|w| f64::from(i16::from_le_bytes(w))).collect(),
        DType::U16 => words(tensor).map(|w| f64::from(u16::from_le_bytes(w))).collect(),
        DType::I32 => words(tensor).map(|w| f64::from(i32::from_le_bytes(w))).collect(),
        DType::U32 => words(tensor).map(|w| f64::from(u32::from_le_bytes(w))).collect(),
        DType::I64 => words(tensor).map(|w| i64::from_le_bytes(w) as f64).collect(),
        DType::U64 => words(tensor).map(|w| u64::from_le_bytes(w) as f64).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn nan_never_passes() {
        let tensor = |data: &[f32]| Tensor::from_f32(&[2], data).unwrap();
        assert!(relative_difference(&tensor(&[1.0, f32::NAN]), &tensor(&[1.0, 2.0])).is_nan());
        assert!(relative_difference(&tensor(&[1.0, 3.0]), &tensor(&[1.0, 2.0])) > 0.4);
        assert!(relative_difference(&tensor(&[1.0, f32::INFINITY]), &tensor(&[1.0, 2.0])).is_infinite());
        assert!(relative_difference(&tensor(&[1.0, 2.0]), &tensor(&[1.0, 2.0])).abs() < f64::EPSILON);
    }
}
