//! What tract's rules miss of single operators.

use std::borrow::Cow;

#[allow(clippy::wildcard_imports, reason = "tract's own prelude")]
use tract_onnx::tract_hir::internal::*;

use crate::onnx::ElementType;
use crate::onnx::proto::{AttributeProto, NodeProto, TensorProto, attribute_proto};

/// Output shape of a transposed convolution by the ONNX specification: each spatial dimension is
/// stride × (in − 1) + output padding + (kernel − 1) × dilation + 1 − pads. tract asks for the kernel's elements, which
/// are not loaded.
pub(super) fn transposed_convolution(
    proto: &NodeProto,
    input: &ShapeFactoid,
    kernel: &ShapeFactoid,
) -> Option<ShapeFactoid> {
    let dims = |shape: &ShapeFactoid| shape.dims().map(|d| d.concretize()).collect::<Option<Vec<TDim>>>();
    let (input, kernel) = (dims(input)?, dims(kernel)?);
    let ints = |name: &str| {
        proto
            .attribute
            .iter()
            .find(|a| a.name() == name)
            .map(|a| a.ints.as_slice())
    };
    let at = |list: Option<&[i64]>, index: usize, otherwise: i64| match list {
        Some(list) => list.get(index).copied(),
        None => Some(otherwise),
    };
    let group = proto
        .attribute
        .iter()
        .find(|a| a.name() == "group")
        .map_or(1, AttributeProto::i);
    let rank = input.len().checked_sub(2)?;
    let mut output = vec![input.first()?.clone(), kernel.get(1)?.clone() * group];
    for axis in 0..rank {
        let (size, k) = (input.get(axis + 2)?.clone(), kernel.get(axis + 2)?.clone());
        if let Some(fixed) = ints("output_shape") {
            output.push(fixed.get(axis).copied()?.into());
            continue;
        }
        let stride = at(ints("strides"), axis, 1)?;
        let automatic = proto
            .attribute
            .iter()
            .any(|a| a.name() == "auto_pad" && a.s().starts_with(b"SAME"));
        if automatic {
            output.push(size * stride);
            continue;
        }
        let pads = at(ints("pads"), axis, 0)? + at(ints("pads"), axis + rank, 0)?;
        let rest = at(ints("output_padding"), axis, 0)? + 1 - pads;
        output.push((size - 1) * stride + (k - 1) * at(ints("dilations"), axis, 1)? + rest);
    }
    Some(output.into_iter().collect())
}

/// The node with the defaults that tract 0.23.9 gets wrong said aloud: it fills ConstantOfShape with f64, ONNX with f32.
pub(super) fn with_defaults(proto: &NodeProto) -> Cow<'_, NodeProto> {
    if proto.op_type() != "ConstantOfShape" || attribute_tensor(proto).is_some() {
        return Cow::Borrowed(proto);
    }
    let zero = TensorProto {
        dims: vec![1],
        data_type: Some(ElementType::Wire(kerf_wire::DType::F32).to_onnx()),
        float_data: vec![0.0],
        ..TensorProto::default()
    };
    let mut proto = proto.clone();
    proto.attribute.push(AttributeProto {
        name: Some("value".to_owned()),
        r#type: Some(attribute_proto::AttributeType::Tensor as i32),
        t: Some(Box::new(zero)),
        ..AttributeProto::default()
    });
    Cow::Owned(proto)
}

/// The fill value's type; ONNX's default is f32.
pub(super) fn constant_element(proto: &NodeProto) -> ElementType {
    let value = attribute_tensor(proto);
    value.map_or(ElementType::Wire(kerf_wire::DType::F32), |t| {
        ElementType::from_onnx(t.data_type())
    })
}

pub(super) fn attribute_tensor(proto: &NodeProto) -> Option<&TensorProto> {
    proto.attribute.iter().find(|a| a.name() == "value")?.t.as_deref()
}
