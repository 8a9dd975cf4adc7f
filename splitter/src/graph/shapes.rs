//! What a model's values are: element types and shapes.
//!
//! Start at [`Facts::stored`] for what the file itself says.

use std::collections::{BTreeMap, HashMap};

use kerf_wire::manifest::Axis;

use super::Kind;
use crate::onnx::proto::tensor_shape_proto::dimension::Value as DimValue;
use crate::onnx::proto::{TypeProto, ValueInfoProto, type_proto};
use crate::onnx::{ElementType, Model};

/// What is known of one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// What it is.
    pub kind: Kind,
    /// Dimensions, outermost first; none where their number is not known.
    pub shape: Option<Vec<Axis>>,
    /// Dimensions with every symbol at its assumed number.
    pub assumed: Option<Vec<u64>>,
}

/// What is known of all values, by name.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    by_name: HashMap<String, Fact>,
}

/// The number that stands for a symbol where costs are counted; 1 for one that is not named.
pub type Symbols = BTreeMap<String, u64>;

impl Facts {
    /// What is known of one value.
    pub fn of(&self, name: &str) -> Option<&Fact> {
        self.by_name.get(name)
    }

    /// Adds what is known of a value, over what was.
    pub fn insert(&mut self, name: &str, fact: Fact) {
        self.by_name.insert(name.to_owned(), fact);
    }

    /// What the file says: inputs, outputs, value_info and initialisers.
    pub fn stored(model: &Model, symbols: &Symbols) -> Self {
        let mut facts = Self::default();
        let as_it_is = |_: &str, shape: Vec<Axis>| shape;
        for info in model.value_info.iter().chain(&model.outputs) {
            if let Some(fact) = of_value_info(&info.proto, symbols, as_it_is) {
                facts.insert(info.proto.name(), fact);
            }
        }
        for info in &model.inputs {
            if let Some(fact) = of_value_info(&info.proto, symbols, name_dimensions) {
                facts.insert(info.proto.name(), fact);
            }
        }
        for initialiser in &model.initialisers {
            let dims: Vec<u64> = initialiser.proto.dims.iter().map(|d| d.unsigned_abs()).collect();
            facts.insert(
                initialiser.name(),
                Fact {
                    kind: Kind::Tensor(initialiser.element),
                    shape: dims.iter().map(|d| u32::try_from(*d).ok().map(Axis::Fixed)).collect(),
                    assumed: Some(dims),
                },
            );
        }
        facts
    }
}

/// The number that stands for a dimension.
pub(super) fn assume(axis: &Axis, symbols: &Symbols) -> u64 {
    match axis {
        Axis::Fixed(n) => u64::from(*n),
        Axis::Symbol(name) => symbols.get(name).copied().unwrap_or(1),
    }
}

/// An input's dimensions without a name get one, so that they can be given a number: input `x` has `x_0`, `x_1` ….
fn name_dimensions(input: &str, shape: Vec<Axis>) -> Vec<Axis> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let input: String = input.chars().map(plain).collect();
    let name = |(index, axis): (usize, Axis)| match axis {
        Axis::Symbol(text) if text == "?" => Axis::Symbol(format!("{input}_{index}")),
        other => other,
    };
    shape.into_iter().enumerate().map(name).collect()
}

fn of_value_info(
    info: &ValueInfoProto,
    symbols: &Symbols,
    name: impl Fn(&str, Vec<Axis>) -> Vec<Axis>,
) -> Option<Fact> {
    let (kind, shape) = of_type(info.r#type.as_ref()?)?;
    let shape = shape.map(|shape| name(info.name(), shape));
    let assumed = shape
        .as_ref()
        .map(|s| s.iter().map(|axis| assume(axis, symbols)).collect());
    Some(Fact { kind, shape, assumed })
}

pub(super) fn of_type(of: &TypeProto) -> Option<(Kind, Option<Vec<Axis>>)> {
    let tensor = match of.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => tensor,
        type_proto::Value::SequenceType(_) => return Some((Kind::Other("sequence"), None)),
        type_proto::Value::MapType(_) => return Some((Kind::Other("map"), None)),
        type_proto::Value::OptionalType(_) => return Some((Kind::Other("optional"), None)),
        type_proto::Value::SparseTensorType(_) => return Some((Kind::Other("sparse tensor"), None)),
        type_proto::Value::OpaqueType(_) => return Some((Kind::Other("opaque value"), None)),
    };
    let axis = |dim: &crate::onnx::proto::tensor_shape_proto::Dimension| match &dim.value {
        Some(DimValue::DimValue(n)) => u32::try_from(*n).map_or_else(|_| Axis::Symbol("?".into()), Axis::Fixed),
        Some(DimValue::DimParam(name)) if !name.is_empty() => Axis::Symbol(name.clone()),
        _ => Axis::Symbol("?".into()),
    };
    let shape = tensor.shape.as_ref().map(|s| s.dim.iter().map(axis).collect());
    Some((Kind::Tensor(ElementType::from_onnx(tensor.elem_type())), shape))
}
