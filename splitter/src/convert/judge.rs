//! Whether what was converted is still the part.
//!
//! In floats one number tells: the largest difference over the largest value. Every sum has some rounding, none has much.
//!
//! In int8 it does not: a step is 1/255 of a value's range and rounding errors of many layers add up, so the largest of a
//! million differences grows with the map and says little of the rest. What is asked instead:
//!
//! - √(Σ(a−b)² / Σb²) of what leaves the part, the error's share of the signal: not above [`MAX_INT8_RMS`], a signal-to-noise
//!   ratio of 14 dB. What was saturated or given to the wrong channel is at 1 or above.
//! - The answers of the whole chain with this part in it, the parts behind it as they were cut: [`MIN_INT8_AGREEMENT`] of
//!   those of which the model is sure name its class (of all, where it is sure of none). Where the model names no class, the
//!   answers' own error is held to the former.

use kerf_wire::manifest::{Comparison, Precision};

use super::{ConvertError, Kind};

/// Largest √(Σ(a−b)² / Σb²) of an int8 part's outputs, and of answers that name no class.
const MAX_INT8_RMS: f64 = 0.2;
/// Smallest share of answers that name the model's own class.
const MIN_INT8_AGREEMENT: f64 = 0.95;

/// What numbers a part is calculated in once it is this kind: a part that was quantised before it was cut stays in int8.
pub(super) fn precision(kind: Kind, as_cut: &[u8]) -> Precision {
    let has = |op: &[u8]| as_cut.windows(op.len()).any(|window| window == op);
    let ops: [&[u8]; 4] = [b"QuantizeLinear", b"QLinearConv", b"ConvInteger", b"MatMulInteger"];
    if ops.into_iter().any(has) {
        Precision::Int8
    } else {
        kind.precision()
    }
}

/// Refuses what is too far off.
pub(super) fn judge(
    kind: Kind,
    part: usize,
    precision: Precision,
    comparison: &Comparison,
) -> Result<(), ConvertError> {
    match what_differs(kind, precision, comparison) {
        Some(what) => Err(ConvertError::Differs { kind, part, what }),
        None => Ok(()),
    }
}

fn what_differs(kind: Kind, precision: Precision, comparison: &Comparison) -> Option<String> {
    // A NaN is within no limit.
    let within = |got: f64, limit: f64| got <= limit;
    if precision != Precision::Int8 {
        let (got, limit) = (comparison.difference_relative, kind.limit());
        return (!within(got, limit)).then(|| format!("max|a−b| / max|b| is {got:.2e}, the limit {limit:.0e}"));
    }
    let rms = |whose: &str, got: f64| {
        let text = format!("√(Σ(a−b)² / Σb²) of {whose} is {got:.2e}, the limit {MAX_INT8_RMS:.0e}");
        (!within(got, MAX_INT8_RMS)).then_some(text)
    };
    let own = comparison.difference_rms.unwrap_or(f64::NAN);
    let of_answers = || match &comparison.answers {
        Some(answers) if answers.of > 0 => {
            let (agree, of, which) = match answers.sure_of {
                0 => (answers.agree, answers.of, "answers"),
                of => (answers.sure_agree, of, "answers of which the model is sure"),
            };
            let (share, least) = (f64::from(agree) / f64::from(of), MIN_INT8_AGREEMENT * 100.0);
            let text = format!("with it {agree} of {of} {which} name the model's class, at least {least:.0} % must");
            (share < MIN_INT8_AGREEMENT).then_some(text)
        }
        answers => rms("the answers", answers.as_ref().map_or(f64::NAN, |a| a.difference_rms)),
    };
    rms("what leaves it", own).or_else(of_answers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use kerf_wire::manifest::Answers;

    use super::*;

    fn said(kind: Kind, relative: f64, rms: f64, answers: Option<(f64, [u32; 4])>) -> Option<String> {
        let answers = answers.map(|(difference_rms, [agree, of, sure_agree, sure_of])| Answers {
            difference_rms,
            of,
            agree,
            sure_of,
            sure_agree,
        });
        let comparison = Comparison {
            against: "onnxruntime".to_owned(),
            inputs: 1,
            difference_max: relative,
            difference_relative: relative,
            argmax_agreement: 1.0,
            difference_rms: Some(rms),
            answers,
        };
        judge(kind, 0, precision(kind, b""), &comparison)
            .err()
            .map(|why| why.to_string())
    }

    #[test]
    fn floats_are_judged_by_their_largest_difference() {
        assert_eq!(said(Kind::Tflite, 9e-4, 0.5, None), None);
        assert!(said(Kind::Tflite, 2e-3, 0.0, None).unwrap().contains("the limit 1e-3"));
        assert!(said(Kind::OnnxF16, f64::NAN, 0.0, None).is_some());
    }

    #[test]
    fn what_was_in_int8_stays_so() {
        let as_cut = b"..Conv..QLinearConv..";
        assert_eq!(precision(Kind::OpenvinoIr, as_cut), Precision::Int8);
        assert_eq!(precision(Kind::OpenvinoIr, b"Conv"), Precision::F32);
        assert_eq!(precision(Kind::TfliteInt8, b"Conv"), Precision::Int8);
    }

    #[test]
    fn int8_is_judged_by_its_noise_and_by_the_chains_answers() {
        // One far number in a large map, and every answer right.
        assert_eq!(said(Kind::TfliteInt8, 0.5, 0.03, Some((0.9, [80, 100, 76, 80]))), None);
        let wrong = said(Kind::TfliteInt8, 0.01, 0.03, Some((0.0, [95, 100, 75, 80]))).unwrap();
        assert!(
            wrong.contains("75 of 80 answers of which the model is sure") && wrong.contains("95 %"),
            "{wrong}"
        );
        // Sure of none: all count.
        let wrong = said(Kind::TfliteInt8, 0.01, 0.03, Some((0.0, [94, 100, 0, 0]))).unwrap();
        assert!(wrong.contains("94 of 100 answers name"), "{wrong}");
        let noise = said(Kind::TfliteInt8, 0.01, 0.21, Some((0.0, [9, 9, 9, 9]))).unwrap();
        assert!(noise.contains("what leaves it is 2.10e-1"), "{noise}");
        // No classes: an image is held to its own noise.
        assert_eq!(said(Kind::TfliteInt8, 0.5, 0.1, Some((0.1, [0; 4]))), None);
        assert!(
            said(Kind::TfliteInt8, 0.0, 0.1, Some((0.3, [0; 4])))
                .unwrap()
                .contains("the answers is 3.00e-1")
        );
        assert!(said(Kind::TfliteInt8, 0.0, 0.1, None).is_some());
    }
}
