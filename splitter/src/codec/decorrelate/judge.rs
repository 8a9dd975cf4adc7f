//! What a codec does to components instead of channels.

use kerf_runtime::tensor::Tensor;
use kerf_wire::codec::{Codec, Coder};

use super::{DecorrelateError, Decorrelation};
use crate::codec::tally::Score;
use crate::codec::trial::{Passed, Trial, pass};

/// As [`Trial::score`] for components of the only crossing value: each sample is transformed, encoded, decoded and restored.
/// `codec` makes a codec from the components of the calibration inputs.
///
/// # Errors
/// When a codec refuses a tensor, or a part does not run.
pub fn judge(
    trial: &mut Trial,
    transform: &Decorrelation,
    codec: impl FnOnce(&[&Tensor]) -> Codec,
) -> Result<Score, DecorrelateError> {
    let calibration = trial.calibration(0).into_iter().map(|tensor| transform.forward(tensor));
    let calibration = calibration.collect::<Result<Vec<Tensor>, _>>()?;
    let codecs = [codec(&calibration.iter().collect::<Vec<_>>())];
    let mut coder = Coder::new();
    let score = trial.judge(|tensors| {
        let components = tensors.iter().map(|tensor| transform.forward(tensor));
        let passed = pass(&mut coder, &codecs, &components.collect::<Result<Vec<_>, _>>()?)?;
        let restored = passed.tensors.iter().map(|tensor| transform.restore(tensor));
        Ok(Passed {
            tensors: restored.collect::<Result<_, _>>()?,
            ..passed
        })
    })?;
    Ok(score)
}
