//! Several inputs as one, along the first axis.

use std::borrow::Borrow;

use super::{Input, SourceError};
use crate::tensor::Tensor;

/// Joins inputs of equal shape into a batch; the labels are joined by commas.
///
/// # Errors
/// When two of them differ in a value's type or in a dimension other than the first.
pub fn concatenate<T: Borrow<Input>>(inputs: &[T]) -> Result<Input, SourceError> {
    let inputs: Vec<&Input> = inputs.iter().map(Borrow::borrow).collect();
    let Some(first) = inputs.first() else {
        return Ok(Input::default());
    };
    let labels: Vec<&str> = inputs.iter().map(|input| input.label.as_str()).collect();
    let mut joined = Input {
        label: labels.join(","),
        tensors: Vec::new(),
    };
    for (name, _) in &first.tensors {
        let tensors: Option<Vec<&Tensor>> = inputs
            .iter()
            .map(|input| input.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t))
            .collect();
        let tensor = tensors.and_then(|tensors| join(&tensors));
        let tensor = tensor.ok_or_else(|| SourceError::DoesNotFit {
            path: joined.label.clone(),
            what: format!("value {name:?} has different types or shapes, or no first axis to join along"),
        })?;
        joined.tensors.push((name.clone(), tensor));
    }
    Ok(joined)
}

fn join(tensors: &[&Tensor]) -> Option<Tensor> {
    let first = tensors.first()?;
    let mut shape = kerf_wire::Shape::from_slice(first.shape()).ok()?;
    let same = |t: &&&Tensor| t.dtype() == first.dtype() && t.shape().get(1..) == first.shape().get(1..);
    if !tensors.iter().all(|t| same(&t)) {
        return None;
    }
    let rows = tensors
        .iter()
        .try_fold(0_u32, |sum, t| sum.checked_add(*t.shape().first()?))?;
    *shape.first_mut()? = rows;
    let mut joined = Tensor::zeros(first.dtype(), &shape).ok()?;
    let mut rest = joined.bytes_mut();
    for tensor in tensors {
        let (here, behind) = rest.split_at_mut_checked(tensor.bytes().len())?;
        here.copy_from_slice(tensor.bytes());
        rest = behind;
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn input(label: &str, shape: &[u32], data: &[f32]) -> Input {
        Input {
            label: label.to_owned(),
            tensors: vec![("x".to_owned(), Tensor::from_f32(shape, data).unwrap())],
        }
    }

    #[test]
    fn rows_follow_each_other() {
        let joined = concatenate(&[
            input("a", &[1, 2], &[1.0, 2.0]),
            input("b", &[2, 2], &[3.0, 4.0, 5.0, 6.0]),
        ]);
        let joined = joined.unwrap();
        assert_eq!(joined.label, "a,b");
        let (_, tensor) = &joined.tensors[0];
        assert_eq!(tensor.shape(), [3, 2]);
        assert_eq!(tensor.as_slice::<f32>(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(concatenate(&[input("a", &[1, 2], &[0.0; 2]), input("b", &[1, 1], &[0.0])]).is_err());
    }
}
