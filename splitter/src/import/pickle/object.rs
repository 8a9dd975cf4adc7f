//! What a pickle may hold, and how it is looked at.

use super::super::limits::{MAX_DEPTH, MAX_OBJECTS, MAX_PICKLE_BYTES};

/// The index of an object in [`Objects`].
pub(super) type Id = usize;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Known),
    Dtype(Dtype),
    /// An array whose state is still to come.
    EmptyArray,
    Array(Array),
}

/// The names that a pickle may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Ndarray,
    Dtype,
    Reconstruct,
    FromBuffer,
    Scalar,
    Encode,
}

impl Known {
    /// The meaning of `module.name`; none for all that is not allowed.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("numpy", "ndarray") => Some(Self::Ndarray),
            ("numpy", "dtype") => Some(Self::Dtype),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Self::Reconstruct),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Some(Self::Scalar),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Some(Self::FromBuffer),
            ("_codecs", "encode") => Some(Self::Encode),
            _ => None,
        }
    }
}

/// An element type of NumPy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dtype {
    /// `f`, `i`, `u` or `b`.
    pub(super) kind: char,
    pub(super) size: usize,
    pub(super) big_endian: bool,
}

impl Dtype {
    /// From e.g. `f4`, `<i8`, `b1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let big_endian = text.starts_with('>');
        let mut rest = text.trim_start_matches(['<', '>', '|', '=']).chars();
        let kind = rest.next()?;
        let size: usize = rest.as_str().parse().ok()?;
        let known = matches!((kind, size), ('f', 4 | 8) | ('i' | 'u', 1 | 2 | 4 | 8) | ('b', 1));
        known.then_some(Self { kind, size, big_endian })
    }
}

/// A NumPy array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub(super) dtype: Dtype,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Column-major where true.
    pub(super) fortran: bool,
    pub(super) bytes: Vec<u8>,
}

impl Array {
    /// Its elements as floats, row-major.
    pub fn floats(&self) -> Vec<f64> {
        let chunks = self.bytes.chunks_exact(self.dtype.size);
        let lying: Vec<f64> = chunks.map(|chunk| element(self.dtype, chunk)).collect();
        if !self.fortran || self.shape.len() < 2 {
            return lying;
        }
        (0..lying.len())
            .map(|place| lying.get(self.column_major(place)).copied().unwrap_or_default())
            .collect()
    }

    /// Where the element of this row-major place lies in column-major order.
    fn column_major(&self, mut place: usize) -> usize {
        let mut strides = Vec::with_capacity(self.shape.len());
        let mut stride = 1;
        for dim in &self.shape {
            strides.push(stride);
            stride *= dim;
        }
        let mut lies = 0;
        for (dim, stride) in self.shape.iter().zip(&strides).rev() {
            lies += (place % dim.max(&1)) * stride;
            place /= dim.max(&1);
        }
        lies
    }

    /// How many elements its shape asks for.
    pub(super) fn elements(shape: &[usize]) -> Option<usize> {
        shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d))
    }
}

#[allow(clippy::cast_possible_wrap, reason = "the bits of a signed number")]
fn element(dtype: Dtype, chunk: &[u8]) -> f64 {
    let mut bytes = [0_u8; 8];
    for (to, from) in bytes.iter_mut().zip(chunk) {
        *to = *from;
    }
    if dtype.big_endian {
        bytes
            .iter_mut()
            .take(dtype.size)
            .zip(chunk.iter().rev())
            .for_each(|(to, from)| *to = *from);
    }
    let bits = u64::from_le_bytes(bytes);
    let unused = 64 - 8 * u32::try_from(dtype.size).unwrap_or(8);
    match (dtype.kind, dtype.size) {
        ('f', 4) => f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        ('f', _) => f64::from_bits(bits),
        ('i', _) => (((bits << unused) as i64) >> unused) as f64,
        _ => bits as f64,
    }
}

/// Why a pickle was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// It ends before its program does.
    #[error("the pickle is cut short at byte {0}")]
    CutShort(usize),
    /// It wants to call something; nothing was called.
    #[error("refused: at byte {at} the pickle calls {name}, which is not data")]
    Calls {
        /// What.
        name: String,
        /// Where.
        at: usize,
    },
    /// An instruction that makes objects of classes, or that no pickle of data has.
    #[error("refused: instruction 0x{opcode:02x} at byte {at} is not one that data needs")]
    Instruction {
        /// The instruction.
        opcode: u8,
        /// Where.
        at: usize,
    },
    /// Its program does not hold together.
    #[error("the pickle is damaged at byte {at}: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// Over a bound.
    #[error("the pickle is over the limit: {0}")]
    OverLimit(&'static str),
    /// Readable, and not what was expected.
    #[error("the pickle holds no {0}")]
    Missing(&'static str),
}

struct Flat {
    data: Vec<f64>,
    visits: usize,
}

/// All objects of a pickle; the last that was on the stack is its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    pub(super) all: Vec<Object>,
    pub(super) root: Id,
}

impl Objects {
    fn object(&self, id: Id) -> &Object {
        self.all.get(id).unwrap_or(&Object::None)
    }

    fn item(&self, key: &str) -> Option<&Object> {
        let Object::Dict(pairs) = self.object(self.root) else {
            return None;
        };
        let found = pairs
            .iter()
            .rev()
            .find(|(k, _)| matches!(self.object(*k), Object::Text(t) if t == key));
        found.map(|(_, value)| self.object(*value))
    }

    /// True when the pickle is a dictionary.
    pub fn is_dict(&self) -> bool {
        matches!(self.object(self.root), Object::Dict(_))
    }

    /// The number under a key of the dictionary.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.item(key)? {
            Object::Float(x) => Some(*x),
            Object::Int(n) => Some(*n as f64),
            Object::Array(array) => array.floats().first().copied(),
            _ => None,
        }
    }

    /// The text under a key of the dictionary.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.item(key)? {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The numbers under a key, arrays and lists flattened, with the shape; or of the whole pickle for an empty key.
    ///
    /// # Errors
    /// When there are none, or they are nested too deep or unevenly.
    pub fn tensor(&self, key: &str) -> Result<(Vec<usize>, Vec<f64>), PickleError> {
        let object = if key.is_empty() {
            Some(self.object(self.root))
        } else {
            self.item(key)
        };
        let mut flat = Flat {
            data: Vec::new(),
            visits: 0,
        };
        let shape = self.flatten(object.ok_or(PickleError::Missing("tensor"))?, &mut flat, 0)?;
        Ok((shape, flat.data))
    }

    fn flatten(&self, object: &Object, flat: &mut Flat, depth: usize) -> Result<Vec<usize>, PickleError> {
        // A list may hold itself many times over: what is looked at is bounded, not only what is there.
        flat.visits += 1;
        if depth > MAX_DEPTH || flat.visits > MAX_OBJECTS {
            return Err(PickleError::OverLimit("nested lists"));
        }
        match object {
            Object::Float(x) => flat.data.push(*x),
            Object::Int(n) => flat.data.push(*n as f64),
            Object::Bool(b) => flat.data.push(f64::from(u8::from(*b))),
            Object::Array(array) => {
                if flat.data.len().saturating_add(array.bytes.len())
                    > usize::try_from(MAX_PICKLE_BYTES).unwrap_or(usize::MAX)
                {
                    return Err(PickleError::OverLimit("numbers"));
                }
                flat.data.extend(array.floats());
                return Ok(array.shape.clone());
            }
            Object::List(items) | Object::Tuple(items) => {
                let mut inner: Option<Vec<usize>> = None;
                for &item in items {
                    let shape = self.flatten(self.object(item), flat, depth + 1)?;
                    if inner.replace(shape.clone()).is_some_and(|before| before != shape) {
                        return Err(PickleError::Missing("even rows of numbers"));
                    }
                }
                let mut shape = vec![items.len()];
                shape.extend(inner.unwrap_or_default());
                return Ok(shape);
            }
            _ => return Err(PickleError::Missing("numbers")),
        }
        Ok(Vec::new())
    }
}
