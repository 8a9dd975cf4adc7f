//! Moves a part's values into an artifact's tensors and back: axes turned, floats quantised, in one pass.
//!
//! Owns: what each tensor of the artifact stands for. Must not know: the C library.

use kerf_wire::manifest::Binding;
use kerf_wire::{DType, Dim, TensorSpec};

use super::sys::{Described, Interpreter, Quantisation, Side};
use crate::backend::Artifact;
use crate::tensor::Tensor;

/// One tensor of the artifact, and the value that it stands for.
#[derive(Debug)]
pub(super) struct Bound {
    /// The value, as callers see it.
    pub(super) spec: TensorSpec,
    shape: Vec<u32>,
    stored: DType,
    walk: Walk,
    quantisation: Option<Quantisation>,
}

/// Every input or output of the artifact, in its own order.
pub(super) fn bind(interpreter: &Interpreter, side: Side, artifact: &Artifact) -> Result<Vec<Bound>, String> {
    let (count, what) = (
        interpreter.count(side),
        if side == Side::Input { "input" } else { "output" },
    );
    let signature = artifact.signature.as_ref();
    let specs = signature.map(|s| if side == Side::Input { &s.inputs } else { &s.outputs });
    if let Some(specs) = specs.filter(|s| s.len() != count) {
        return Err(format!("it has {count} {what}s, the part has {}", specs.len()));
    }
    let conversion = artifact.conversion.as_ref();
    let bindings = conversion.map(|c| if side == Side::Input { &c.inputs } else { &c.outputs });
    let bound = |index: usize| {
        let described = interpreter.describe(side, index);
        let described = described.ok_or_else(|| format!("{what} {index} has no description or too many axes"))?;
        let binding = bindings.and_then(|b| b.get(index));
        let spec = match (specs, binding) {
            (None, _) => None,
            (Some(specs), None) => specs.get(index),
            (Some(specs), Some(binding)) => specs.iter().find(|s| s.name == binding.value.as_str()),
        };
        Bound::new(&described, spec, binding).map_err(|why| format!("{what} {:?}: {why}", described.name))
    };
    (0..count).map(bound).collect()
}

impl Bound {
    /// Without a spec, as for a bare model, the value is the tensor itself.
    fn new(described: &Described, spec: Option<&TensorSpec>, binding: Option<&Binding>) -> Result<Self, String> {
        let stored = dtype(described.kind).ok_or_else(|| format!("elements of TfLiteType {}", described.kind))?;
        let order: Vec<usize> = match binding {
            Some(b) if !b.order.is_empty() => b.order.iter().map(|axis| usize::from(*axis)).collect(),
            _ => (0..described.dims.len()).collect(),
        };
        let (walk, shape) = Walk::new(&described.dims, &order)
            .ok_or_else(|| format!("its shape {:?} does not go with the order {order:?}", described.dims))?;
        let name = spec.map_or(described.name.as_str(), |s| s.name.as_str());
        let asked = spec.map_or(stored, |s| s.dtype);
        if let Some(spec) = spec.filter(|s| !s.accepts(asked, &shape)) {
            return Err(format!("it is {shape:?} in the part's axes, the part has {spec}"));
        }
        let scale = described.quantisation.scale;
        let quantised = asked == DType::F32 && matches!(stored, DType::I8 | DType::U8 | DType::I16);
        if asked != stored && !(quantised && scale.is_finite() && scale > 0.0) {
            return Err(format!(
                "it is {stored} with a scale of {scale}, the part's value is {asked}"
            ));
        }
        let dims = shape.iter().map(|n| Dim::Fixed(*n));
        Ok(Self {
            spec: TensorSpec::new(name, asked, dims).map_err(|why| why.to_string())?,
            shape,
            stored,
            walk,
            quantisation: (asked != stored).then_some(described.quantisation),
        })
    }

    /// Puts a value into the artifact's tensor.
    pub(super) fn write(&self, value: &[u8], tensor: &mut [u8]) -> Result<(), String> {
        self.check(value.len(), tensor.len())?;
        let Some(q) = self.quantisation else {
            if self.walk.is_straight {
                tensor.copy_from_slice(value);
            } else {
                copy(self.stored.size_bytes(), &self.walk, value, tensor, false);
            }
            return Ok(());
        };
        let value = value.as_chunks::<4>().0;
        let at = |index: usize| value.get(index).map_or(0.0, |bytes| f32::from_le_bytes(*bytes));
        macro_rules! fill {
            ($type:ty) => {{
                let tensor = tensor.as_chunks_mut::<{ size_of::<$type>() }>().0;
                let (least, most) = (i32::from(<$type>::MIN), i32::from(<$type>::MAX));
                self.walk.each(|stored, index| {
                    if let Some(place) = tensor.get_mut(stored) {
                        let number = quantise(at(index), q).clamp(least, most);
                        *place = <$type>::try_from(number).unwrap_or_default().to_le_bytes();
                    }
                });
            }};
        }
        match self.stored {
            DType::I8 => fill!(i8),
            DType::U8 => fill!(u8),
            _ => fill!(i16),
        }
        Ok(())
    }

    /// Takes the value out of the artifact's tensor.
    pub(super) fn read(&self, tensor: &[u8], value: &mut Tensor) -> Result<(), String> {
        value
            .reset(self.spec.dtype, &self.shape)
            .map_err(|why| why.to_string())?;
        let value = value.bytes_mut();
        self.check(value.len(), tensor.len())?;
        let Some(q) = self.quantisation else {
            if self.walk.is_straight {
                value.copy_from_slice(tensor);
            } else {
                copy(self.stored.size_bytes(), &self.walk, tensor, value, true);
            }
            return Ok(());
        };
        let value = value.as_chunks_mut::<4>().0;
        macro_rules! take {
            ($type:ty) => {{
                let tensor = tensor.as_chunks::<{ size_of::<$type>() }>().0;
                self.walk.each(|stored, index| {
                    if let (Some(place), Some(bytes)) = (value.get_mut(index), tensor.get(stored)) {
                        *place = dequantise(i32::from(<$type>::from_le_bytes(*bytes)), q).to_le_bytes();
                    }
                });
            }};
        }
        match self.stored {
            DType::I8 => take!(i8),
            DType::U8 => take!(u8),
            _ => take!(i16),
        }
        Ok(())
    }

    fn check(&self, value: usize, tensor: usize) -> Result<(), String> {
        let (asked, stored) = (self.spec.dtype.size_bytes(), self.stored.size_bytes());
        if value / asked == self.walk.elements && tensor / stored == self.walk.elements {
            return Ok(());
        }
        Err(format!(
            "{}: expected {} elements, got {value} bytes outside and {tensor} inside",
            self.spec.name, self.walk.elements
        ))
    }
}

/// TensorFlow Lite's own rule (`kernels/internal/reference/quantize.h`): half away from zero, then the zero point.
#[allow(clippy::cast_possible_truncation, reason = "`as` saturates; NaN becomes 0")]
fn quantise(x: f32, q: Quantisation) -> i32 {
    ((x / q.scale).round() as i32).saturating_add(q.zero_point)
}

fn dequantise(stored: i32, q: Quantisation) -> f32 {
    stored.saturating_sub(q.zero_point) as f32 * q.scale
}

/// Copies elements of `width` bytes; `out` when `from` is the tensor and `to` the value.
fn copy(width: usize, walk: &Walk, from: &[u8], to: &mut [u8], out: bool) {
    walk.each(|stored, index| {
        let (a, b) = if out { (stored, index) } else { (index, stored) };
        let (a, b) = (
            from.get(a * width..(a + 1) * width),
            to.get_mut(b * width..(b + 1) * width),
        );
        if let (Some(a), Some(b)) = (a, b) {
            b.copy_from_slice(a);
        }
    });
}

/// `TfLiteType` of `c_api_types.h`.
fn dtype(kind: i32) -> Option<DType> {
    Some(match kind {
        1 => DType::F32,
        2 => DType::I32,
        3 => DType::U8,
        4 => DType::I64,
        6 => DType::Bool,
        7 => DType::I16,
        9 => DType::I8,
        10 => DType::F16,
        11 => DType::F64,
        13 => DType::U64,
        16 => DType::U32,
        17 => DType::U16,
        _ => return None,
    })
}

/// Passes over a tensor's elements in its own order, and says where each lies in the value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Walk {
    dims: Vec<usize>,
    /// For each axis of the tensor, how far apart its elements are in the value.
    strides: Vec<usize>,
    elements: usize,
    is_straight: bool,
}

impl Walk {
    /// Also the value's shape. `order[k]` is the value's axis of the tensor's axis `k`.
    fn new(dims: &[u32], order: &[usize]) -> Option<(Self, Vec<u32>)> {
        if order.len() != dims.len() {
            return None;
        }
        let mut shape = vec![0; dims.len()];
        for (axis, dim) in order.iter().zip(dims) {
            *shape.get_mut(*axis)? = *dim;
        }
        let elements = kerf_wire::tensor::elements(&shape).ok()?;
        let stride = |axis: &usize| {
            shape
                .get(axis + 1..)
                .and_then(|inner| kerf_wire::tensor::elements(inner).ok())
        };
        let walk = Self {
            dims: dims.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>()?,
            strides: order.iter().map(stride).collect::<Option<_>>()?,
            elements,
            is_straight: order.iter().enumerate().all(|(k, axis)| k == *axis),
        };
        Some((walk, shape))
    }

    /// Calls `visit` with each element's place in the tensor and in the value.
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let (Some((length, outer)), Some((step, strides))) = (self.dims.split_last(), self.strides.split_last()) else {
            return visit(0, 0);
        };
        let rows = if *length == 0 { 0 } else { self.elements / length };
        let mut at = vec![0; outer.len()];
        let mut base = 0;
        for row in 0..rows {
            for k in 0..*length {
                visit(row * length + k, base + k * step);
            }
            for ((at, dim), stride) in at.iter_mut().zip(outer).zip(strides).rev() {
                *at += 1;
                base += stride;
                if *at < *dim {
                    break;
                }
                base -= stride * dim;
                *at = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn nhwc_is_read_as_nchw() {
        // A tensor [1, 2, 3, 2] that stands for a value [1, 2, 2, 3]: channels last to channels first.
        let (walk, shape) = Walk::new(&[1, 2, 3, 2], &[0, 2, 3, 1]).unwrap();
        assert_eq!(shape, [1, 2, 2, 3]);
        let mut value = [0; 12];
        walk.each(|stored, index| value[index] = stored);
        assert_eq!(value, [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
        assert!(Walk::new(&[1, 2], &[0, 0]).is_some_and(|(w, _)| !w.is_straight));
        assert!(Walk::new(&[1, 2], &[0, 2]).is_none());
        let mut seen = 0;
        Walk::new(&[], &[]).unwrap().0.each(|_, _| seen += 1);
        Walk::new(&[2, 0], &[0, 1]).unwrap().0.each(|_, _| seen += 10);
        assert_eq!(seen, 1);
    }

    #[test]
    fn floats_are_rounded_half_away_from_zero_and_saturate() {
        let q = Quantisation {
            scale: 0.5,
            zero_point: -3,
        };
        assert_eq!(quantise(1.25, q), 0);
        assert_eq!(quantise(-1.25, q), -6);
        assert_eq!(quantise(f32::INFINITY, q), i32::MAX - 3);
        assert_eq!(quantise(f32::NAN, q), -3);
        assert!((dequantise(-6, q) + 1.5).abs() < f32::EPSILON);
    }
}
