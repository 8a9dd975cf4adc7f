//! One array in NumPy's `.npy` form, versions 1 to 3 (numpy/lib/format.py).
//!
//! Written here rather than taken from a crate: the header is a Python literal, and the parser that the crates use for
//! it recurses as deep as a hostile header nests. NumPy writes one fixed form, and only that is read.

use std::io::{Read, Write};

use kerf_wire::DType;
use kerf_wire::tensor::payload_bytes;

use crate::limits::MAX_TENSOR_BYTES;
use crate::tensor::Tensor;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read; NumPy's own limit for what it takes from strangers is 10,000.
const MAX_HEADER: usize = 10_000;

/// Why an array was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// No array, or one of a kind that is not read.
    #[error("not an array that is read here: {0}")]
    Format(String),
    /// Over a bound.
    #[error("over the limit: {0}")]
    OverLimit(String),
}

fn refuse<T>(what: impl Into<String>) -> Result<T, NpyError> {
    Err(NpyError::Format(what.into()))
}

/// Reads an array; the reader is left behind its last element.
///
/// # Errors
/// When it is cut short, over a bound, of an unknown type, or pickled.
pub fn read(mut from: impl Read) -> Result<Tensor, NpyError> {
    let header = header(&mut from)?;
    let (dtype, swapped) = dtype(field(&header, "descr")?)?;
    let fortran = match field(&header, "fortran_order")? {
        "False" => false,
        "True" => true,
        other => return refuse(format!("fortran_order {other:?}")),
    };
    let shape = shape(field(&header, "shape")?)?;
    let bytes = payload_bytes(dtype, &shape).map_err(|why| NpyError::OverLimit(why.to_string()))?;
    if bytes as u64 > MAX_TENSOR_BYTES {
        return Err(NpyError::OverLimit(format!(
            "{bytes} bytes of elements, expected at most {MAX_TENSOR_BYTES}"
        )));
    }
    // In steps: a header that lies about the size costs no more memory than the file has bytes.
    let mut data = Vec::new();
    from.take(bytes as u64).read_to_end(&mut data)?;
    if data.len() != bytes {
        return refuse(format!("{} bytes of elements, its shape asks for {bytes}", data.len()));
    }
    if swapped {
        data.chunks_exact_mut(dtype.size_bytes()).for_each(<[u8]>::reverse);
    }
    if dtype == DType::Bool && data.iter().any(|b| *b > 1) {
        return refuse("a bool that is neither 0 nor 1");
    }
    let mut tensor = Tensor::zeros(dtype, &shape).map_err(|why| NpyError::OverLimit(why.to_string()))?;
    if fortran && shape.len() > 1 {
        to_row_major(&data, dtype.size_bytes(), &shape, tensor.bytes_mut());
    } else {
        tensor.bytes_mut().copy_from_slice(&data);
    }
    Ok(tensor)
}

fn header(from: &mut impl Read) -> Result<String, NpyError> {
    let mut start = [0_u8; 8];
    from.read_exact(&mut start)?;
    if !start.starts_with(MAGIC) {
        return refuse("it does not begin with \\x93NUMPY");
    }
    let length = if start[6] == 1 {
        let mut length = [0_u8; 2];
        from.read_exact(&mut length)?;
        usize::from(u16::from_le_bytes(length))
    } else {
        let mut length = [0_u8; 4];
        from.read_exact(&mut length)?;
        u32::from_le_bytes(length) as usize
    };
    if !matches!(start[6], 1..=3) {
        return refuse(format!("version {}", start[6]));
    }
    if length > MAX_HEADER {
        return Err(NpyError::OverLimit(format!("a header of {length} bytes")));
    }
    let mut text = vec![0_u8; length];
    from.read_exact(&mut text)?;
    String::from_utf8(text).or_else(|_| refuse("its header is no text"))
}

/// The text of one of the header's three values.
fn field<'a>(header: &'a str, key: &str) -> Result<&'a str, NpyError> {
    let missing = || NpyError::Format(format!("its header has no {key:?}"));
    let (_, rest) = header.split_once(&format!("'{key}':")).ok_or_else(missing)?;
    let rest = rest.trim_start();
    let end = if rest.starts_with('(') {
        rest.find(')').map(|at| at + 1)
    } else {
        rest.find([',', '}'])
    };
    end.and_then(|end| rest.get(..end)).map(str::trim).ok_or_else(missing)
}

/// The element type, and whether its bytes are the other way round.
fn dtype(descr: &str) -> Result<(DType, bool), NpyError> {
    let Some(descr) = descr.strip_prefix('\'').and_then(|d| d.strip_suffix('\'')) else {
        return refuse("records and objects are not read");
    };
    let (order, kind) = descr.split_at_checked(1).unwrap_or(("", descr));
    let dtype = match kind {
        "f4" => DType::F32,
        "f2" => DType::F16,
        "f8" => DType::F64,
        "i1" => DType::I8,
        "u1" => DType::U8,
        "i2" => DType::I16,
        "u2" => DType::U16,
        "i4" => DType::I32,
        "u4" => DType::U32,
        "i8" => DType::I64,
        "u8" => DType::U64,
        "b1" => DType::Bool,
        _ => return refuse(format!("element type {descr:?}")),
    };
    match order {
        "<" | "|" | "=" => Ok((dtype, false)),
        ">" => Ok((dtype, true)),
        _ => refuse(format!("element type {descr:?}")),
    }
}

fn shape(text: &str) -> Result<kerf_wire::Shape, NpyError> {
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
    let inner = inner.ok_or_else(|| NpyError::Format(format!("shape {text:?}")))?;
    let mut shape = kerf_wire::Shape::new();
    for dim in inner.split(',').map(str::trim).filter(|dim| !dim.is_empty()) {
        let dim = dim.trim_end_matches('L').parse();
        let dim = dim.map_err(|_| NpyError::OverLimit(format!("shape {text:?}")))?;
        shape
            .push(dim)
            .map_err(|_| NpyError::OverLimit(format!("rank of shape {text:?}")))?;
    }
    Ok(shape)
}

/// Reorders elements whose first index runs fastest.
fn to_row_major(data: &[u8], size: usize, shape: &[u32], out: &mut [u8]) {
    let dims: Vec<usize> = shape.iter().map(|d| *d as usize).collect();
    let mut index = vec![0_usize; dims.len()];
    for element in out.chunks_exact_mut(size) {
        let offset = index.iter().zip(&dims).rev().fold(0, |sum, (i, dim)| sum * dim + i);
        if let Some(from) = data.get(offset * size..(offset + 1) * size) {
            element.copy_from_slice(from);
        }
        for (i, dim) in index.iter_mut().zip(&dims).rev() {
            *i += 1;
            if *i < *dim {
                break;
            }
            *i = 0;
        }
    }
}

/// Writes an array.
///
/// # Errors
/// When writing fails, or the element type is one that NumPy has not (bf16).
pub fn write(tensor: &kerf_wire::TensorRef<'_>, mut to: impl Write) -> Result<(), NpyError> {
    let kind = match tensor.dtype {
        DType::F32 => "<f4",
        DType::F16 => "<f2",
        DType::F64 => "<f8",
        DType::I8 => "|i1",
        DType::U8 => "|u1",
        DType::I16 => "<i2",
        DType::U16 => "<u2",
        DType::I32 => "<i4",
        DType::U32 => "<u4",
        DType::I64 => "<i8",
        DType::U64 => "<u8",
        DType::Bool => "|b1",
        DType::Bf16 => return refuse("NumPy has no bf16"),
    };
    let dims: Vec<String> = tensor.shape.iter().map(u32::to_string).collect();
    // Python writes a tuple of one with a comma behind it.
    let comma = if dims.len() == 1 { "," } else { "" };
    let dims = dims.join(", ") + comma;
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({dims}), }}");
    // The elements begin at a multiple of 64 bytes, the header ends with a newline.
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.extend(std::iter::repeat_n(' ', padding % 64));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(|_| NpyError::OverLimit("a header".to_owned()))?;
    to.write_all(MAGIC)?;
    to.write_all(&[1, 0])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(header.as_bytes())?;
    Ok(to.write_all(tensor.bytes)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn array(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn big_endian_and_column_major_are_turned() {
        let big = array("'>i2'", "False", "(2,)", &[0, 1, 0, 2]);
        assert_eq!(read(&big[..]).unwrap().as_slice::<i16>(), [1, 2]);
        // Columns of [[1, 2, 3], [4, 5, 6]].
        let columns = array("'|u1'", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6]);
        assert_eq!(read(&columns[..]).unwrap().bytes(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_is_written_is_read() {
        let tensor = Tensor::from_f32(&[2, 1], &[1.5, -2.0]).unwrap();
        let mut bytes = Vec::new();
        write(&tensor.view(), &mut bytes).unwrap();
        assert_eq!(bytes.len() % 64, 8);
        assert_eq!(read(&bytes[..]).unwrap(), tensor);
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "a prefix of {end} bytes was read");
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        for bytes in [
            array("'|O'", "False", "(1,)", &[0; 8]),
            array("[('a', '<f4')]", "False", "(1,)", &[0; 4]),
            array("'<f4'", "False", "(4294967295, 4294967295, 4294967295)", &[]),
            array("'<f4'", "False", "(-1,)", &[]),
            array("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)", &[0; 4]),
            array("'|b1'", "False", "(1,)", &[2]),
            array("'<f4'", "Maybe", "(1,)", &[0; 4]),
            array("'<f4'", "False", &"(".repeat(5000), &[0; 4]),
            array("'<f4'", "False", "(2,)", &[0; 4]),
        ] {
            assert!(read(&bytes[..]).is_err(), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}
