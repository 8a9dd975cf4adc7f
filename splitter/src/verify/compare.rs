//! How far two tensors are apart.

use kerf_runtime::tensor::Tensor;
use kerf_wire::DType;

/// The largest differences over outputs and inputs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Difference {
    /// Largest |a−b|.
    pub max: f64,
    /// Largest max|a−b| / max|b| of one output; |a−b| itself where the output is all zeros.
    pub relative: f64,
    /// The largest relative difference of an output that is further off than its rounding allows.
    pub beyond: f64,
    /// The output with the largest difference that counts.
    pub output: String,
    /// Rows whose argmax over the last axis agrees.
    pub argmax_agree: u64,
    /// Rows whose argmax differs, between two classes that the allowed rounding does not tell apart.
    pub argmax_close: u64,
    /// Rows that have one: those of floating-point outputs with more than one element on the last axis.
    pub argmax_of: u64,
    /// Σ(a−b)² over every element that was compared, and Σb².
    pub squares: (f64, f64),
}

/// Stands for "not comparable" where JSON and people need a number.
const WORST: f64 = f64::MAX;

impl Difference {
    /// The part of the rows whose argmax agrees; 1 where there are none.
    pub fn argmax_agreement(&self) -> f64 {
        if self.argmax_of == 0 {
            1.0
        } else {
            self.argmax_agree as f64 / self.argmax_of as f64
        }
    }

    /// √(Σ(a−b)² / Σb²): the error's share of the signal; √Σ(a−b)² itself where there is no signal.
    pub fn rms(&self) -> f64 {
        let (error, signal) = self.squares;
        (error / if signal > 0.0 { signal } else { 1.0 }).sqrt().min(WORST)
    }

    /// Adds one output for one input, which may differ by `allowed`, as max|a−b|; a missing tensor, another shape or type, or a NaN on one side only is as far apart
    /// as can be.
    pub(crate) fn add(&mut self, name: &str, got: Option<&Tensor>, want: &Tensor, allowed: f64) {
        let fits = got.filter(|g| g.dtype() == want.dtype() && g.shape() == want.shape());
        let Some(got) = fits else {
            self.squares.0 = f64::INFINITY;
            return self.note(name, WORST, WORST, allowed);
        };
        let (a, b) = (numbers(got), numbers(want));
        if got.bytes() != want.bytes() {
            let (max, relative) = apart(&a, &b);
            self.note(name, max, relative, allowed);
        } else if self.output.is_empty() {
            name.clone_into(&mut self.output);
        }
        self.add_squares(&a, &b);
        self.add_argmax(got, want, allowed);
    }

    fn note(&mut self, name: &str, max: f64, relative: f64, allowed: f64) {
        self.max = self.max.max(max);
        let counts = max > allowed;
        let worst = if counts {
            relative > self.beyond
        } else {
            self.beyond == 0.0 && relative > self.relative
        };
        if worst || self.output.is_empty() {
            name.clone_into(&mut self.output);
        }
        self.relative = self.relative.max(relative);
        if counts {
            self.beyond = self.beyond.max(relative);
        }
    }

    /// A number on one side only is an error without end; one that neither side has is none.
    fn add_squares(&mut self, a: &[f64], b: &[f64]) {
        for (a, b) in a.iter().zip(b) {
            if a.is_finite() && b.is_finite() {
                self.squares.0 += (a - b).powi(2);
                self.squares.1 += b.powi(2);
            } else if a.is_finite() != b.is_finite() {
                self.squares.0 = f64::INFINITY;
            }
        }
    }

    fn add_argmax(&mut self, got: &Tensor, want: &Tensor, allowed: f64) {
        let classes = want.shape().last().and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
        if !want.dtype().is_float() || classes < 2 {
            return;
        }
        let (a, b) = (numbers(got), numbers(want));
        for (a, b) in a.chunks_exact(classes).zip(b.chunks_exact(classes)) {
            let (here, there) = (argmax(a), argmax(b));
            let margin = b
                .get(there)
                .zip(b.get(here))
                .map_or(WORST, |(best, other)| best - other);
            self.argmax_of += 1;
            if here == there {
                self.argmax_agree += 1;
            } else if allowed > 0.0 && margin <= 2.0 * allowed {
                // Each of the two may have moved by what is allowed.
                self.argmax_close += 1;
            }
        }
    }
}

/// Largest |a−b|; as far as can be where they are not comparable.
pub(super) fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    if a.dtype() != b.dtype() || a.shape() != b.shape() {
        return WORST;
    }
    apart(&numbers(a), &numbers(b)).0
}

fn apart(a: &[f64], b: &[f64]) -> (f64, f64) {
    let mut max = 0.0_f64;
    let mut largest = 0.0_f64;
    for (a, b) in a.iter().zip(b) {
        if a.is_nan() != b.is_nan() || a.is_infinite() != b.is_infinite() {
            return (WORST, WORST);
        }
        if b.is_finite() {
            max = max.max((a - b).abs());
            largest = largest.max(b.abs());
        } else if !b.is_nan() && a.is_sign_negative() != b.is_sign_negative() {
            return (WORST, WORST);
        }
    }
    (max, if largest > 0.0 { max / largest } else { max })
}

pub(crate) fn argmax(row: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if row.get(best).is_some_and(|b| value > b) {
            best = index;
        }
    }
    best
}

/// The elements as `f64`; exact for all but 64-bit integers beyond 2⁵³.
#[allow(
    clippy::cast_lossless,
    reason = "one macro for types that convert without loss and types that do not"
)]
pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    let bytes = tensor.bytes();
    macro_rules! read {
        ($type:ty) => {
            bytes
                .as_chunks::<{ std::mem::size_of::<$type>() }>()
                .0
                .iter()
                .map(|b| <$type>::from_le_bytes(*b) as f64)
                .collect()
        };
    }
    match tensor.dtype() {
        DType::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect(),
        DType::F64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect(),
        DType::F16 => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::f16::from_le_bytes(*b).to_f64())
            .collect(),
        DType::Bf16 => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::bf16::from_le_bytes(*b).to_f64())
            .collect(),
        DType::I8 => read!(i8),
        DType::U8 | DType::Bool => read!(u8),
        DType::I16 => read!(i16),
        DType::U16 => read!(u16),
        DType::I32 => read!(i32),
        DType::U32 => read!(u32),
        DType::I64 => read!(i64),
        DType::U64 => read!(u64),
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::float_cmp,
        reason = "tests; the expected differences are exact"
    )]
    use super::*;

    fn differ(a: &[f32], b: &[f32]) -> Difference {
        let tensor = |x: &[f32]| Tensor::from_f32(&[1, u32::try_from(x.len()).unwrap()], x).unwrap();
        let mut difference = Difference::default();
        difference.add("y", Some(&tensor(a)), &tensor(b), 0.0);
        difference
    }

    #[test]
    fn equal_tensors_differ_by_nothing_and_agree() {
        let d = differ(&[1.0, f32::NAN, 3.0], &[1.0, f32::NAN, 3.0]);
        assert_eq!((d.max, d.relative, d.argmax_agree, d.argmax_of), (0.0, 0.0, 1, 1));
    }

    #[test]
    fn the_difference_is_measured_against_the_largest_expected_element() {
        let d = differ(&[1.0, 9.0], &[2.0, 10.0]);
        assert_eq!((d.max, d.relative), (1.0, 0.1));
        assert_eq!(differ(&[0.5, 0.0], &[0.0, 0.0]).relative, 0.5);
    }

    #[test]
    fn a_nan_or_an_infinity_on_one_side_is_as_far_as_can_be() {
        assert_eq!(differ(&[f32::NAN, 1.0], &[0.0, 1.0]).relative, WORST);
        assert_eq!(differ(&[f32::INFINITY, 1.0], &[f32::NEG_INFINITY, 1.0]).relative, WORST);
    }

    #[test]
    fn a_missing_tensor_and_another_shape_never_pass() {
        let mut d = Difference::default();
        let y = Tensor::from_f32(&[2], &[1.0, 2.0]).unwrap();
        d.add("y", None, &y, 0.0);
        assert_eq!(d.relative, WORST);
        let mut d = Difference::default();
        d.add("y", Some(&Tensor::from_f32(&[1, 2], &[1.0, 2.0]).unwrap()), &y, 0.0);
        assert_eq!(d.relative, WORST);
    }

    #[test]
    fn the_root_of_the_squares_is_the_errors_share_of_the_signal() {
        let mut d = differ(&[3.0, 5.0], &[3.0, 4.0]);
        assert_eq!((d.squares, d.rms()), ((1.0, 25.0), 0.2));
        let equal = Tensor::from_f32(&[1, 1], &[10.0]).unwrap();
        d.add("z", Some(&equal), &equal, 0.0);
        assert_eq!(d.squares, (1.0, 125.0));
        assert_eq!(differ(&[f32::NAN], &[1.0]).rms(), WORST);
        d.add("z", None, &equal, 0.0);
        assert_eq!(d.rms(), WORST);
    }

    #[test]
    fn argmax_agreement_counts_rows() {
        let d = differ(&[1.0, 2.0], &[2.0, 1.0]);
        assert_eq!((d.argmax_agree, d.argmax_of), (0, 1));
    }
}
