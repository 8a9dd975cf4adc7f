//! What NumPy's functions would make of their arguments: arrays, their types and their scalars.

use super::machine::Machine;
use super::object::{Array, Dtype, Id, Known, Object, PickleError};

impl Machine<'_> {
    /// REDUCE: what NumPy's functions would make of these arguments.
    pub(super) fn call(&mut self, at: usize) -> Result<(), PickleError> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let (Some(Object::Tuple(arguments)), Some(Object::Global(callee))) =
            (self.all.get(arguments), self.all.get(callee))
        else {
            return Err(PickleError::Calls {
                name: "what is no name".to_owned(),
                at,
            });
        };
        let argument = |index: usize| arguments.get(index).and_then(|id| self.all.get(*id));
        let wrong = PickleError::Damaged {
            what: "arguments that NumPy does not take",
            at,
        };
        let made = match (callee, argument(0), argument(1)) {
            (Known::Reconstruct, Some(Object::Global(Known::Ndarray)), _) => Object::EmptyArray,
            (Known::Dtype, Some(Object::Text(text)), _) => Object::Dtype(Dtype::parse(text).ok_or(wrong)?),
            (Known::Encode, Some(Object::Text(text)), _) => {
                let latin = text
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)))
                    .collect::<Result<_, _>>();
                Object::Bytes(latin.map_err(|_| wrong)?)
            }
            (Known::Scalar, Some(Object::Dtype(dtype)), Some(Object::Bytes(bytes))) => {
                Object::Array(array(*dtype, Vec::new(), false, bytes.clone()).ok_or(wrong)?)
            }
            (Known::FromBuffer, Some(Object::Bytes(bytes)), Some(Object::Dtype(dtype))) => {
                let shape = argument(2)
                    .and_then(|object| self.shape(object))
                    .ok_or(PickleError::Missing("shape"))?;
                let fortran = matches!(argument(3), Some(Object::Text(order)) if order == "F");
                Object::Array(array(*dtype, shape, fortran, bytes.clone()).ok_or(wrong)?)
            }
            _ => return Err(wrong),
        };
        self.push(made)
    }

    /// BUILD: the state of an array `(version, shape, dtype, fortran, bytes)`, or of a dtype `(version, order, …)`.
    pub(super) fn build(&mut self, at: usize) -> Result<(), PickleError> {
        let wrong = PickleError::Damaged {
            what: "a state that NumPy does not have",
            at,
        };
        let state = self.pop()?;
        let Some(Object::Tuple(state)) = self.all.get(state) else {
            return Err(wrong);
        };
        let field = |index: usize| state.get(index).and_then(|id| self.all.get(*id));
        let made = match self.stack.last().and_then(|id| self.all.get(*id)) {
            Some(Object::EmptyArray) => {
                let (Some(shape), Some(Object::Dtype(dtype)), Some(Object::Bytes(bytes))) =
                    (field(1), field(2), field(4))
                else {
                    return Err(wrong);
                };
                let shape = self.shape(shape).ok_or(PickleError::Missing("shape"))?;
                let fortran = field(3) == Some(&Object::Bool(true));
                Object::Array(array(*dtype, shape, fortran, bytes.clone()).ok_or(wrong)?)
            }
            Some(Object::Dtype(dtype)) => {
                let big_endian = matches!(field(1), Some(Object::Text(order)) if order == ">");
                Object::Dtype(Dtype { big_endian, ..*dtype })
            }
            _ => return Err(wrong),
        };
        *self.top()? = made;
        Ok(())
    }

    fn shape(&self, object: &Object) -> Option<Vec<usize>> {
        let Object::Tuple(items) = object else { return None };
        let dim = |id: &Id| match self.all.get(*id) {
            Some(Object::Int(n)) => usize::try_from(*n).ok(),
            _ => None,
        };
        items.iter().map(dim).collect()
    }
}

/// An array whose bytes are what its shape asks for.
fn array(dtype: Dtype, shape: Vec<usize>, fortran: bool, bytes: Vec<u8>) -> Option<Array> {
    let expected = Array::elements(&shape)?.checked_mul(dtype.size)?;
    (expected == bytes.len()).then_some(Array {
        dtype,
        shape,
        fortran,
        bytes,
    })
}
