//! A tensor's elements as JSON numbers, both ways.
//!
//! Elements are written straight into the tensor's bytes while the text is read: a JSON array never becomes a tree of
//! values, which would take sixteen times its length.

use std::fmt;

use kerf_wire::limits::MAX_RANK;
use kerf_wire::{DType, TensorRef};
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

/// Fills a tensor's bytes from an array of numbers, flat or nested as the shape is.
pub(super) struct Fill<'a> {
    dtype: DType,
    rest: &'a mut [u8],
    /// Elements written.
    pub(super) written: usize,
    depth: usize,
}

impl<'a> Fill<'a> {
    pub(super) fn new(dtype: DType, bytes: &'a mut [u8]) -> Self {
        Self {
            dtype,
            rest: bytes,
            written: 0,
            depth: 0,
        }
    }

    fn put<E: de::Error>(&mut self, element: &[u8]) -> Result<(), E> {
        let rest = std::mem::take(&mut self.rest);
        let (here, rest) = rest
            .split_at_mut_checked(element.len())
            .ok_or_else(|| E::custom("more elements than the shape has"))?;
        here.copy_from_slice(element);
        self.rest = rest;
        self.written += 1;
        Ok(())
    }

    fn integer<E: de::Error>(&mut self, value: i128) -> Result<(), E> {
        let off = |_| E::custom(format_args!("expected {}, got {value}", self.dtype));
        match self.dtype {
            DType::I8 => i8::try_from(value)
                .map_err(off)
                .and_then(|v| self.put(&v.to_le_bytes())),
            DType::U8 => u8::try_from(value)
                .map_err(off)
                .and_then(|v| self.put(&v.to_le_bytes())),
            DType::I16 => i16::try_from(value)
                .map_err(off)
                .and_then(|v| self.put(&v.to_le_bytes())),
            DType::U16 => u16::try_from(value)
                .map_err(off)
                .and_then(|v| self.put(&v.to_le_bytes())),
            DType::I32 => i32::try_from(value)
                .map_err(off)
                .and_then(|v| self.put(&v.to_le_bytes())),
            DType::U32 => u32::try_from(value)
                .map_err(off)
                .and_then(|v| self.put(&v.to_le_bytes())),
            DType::I64 => i64::try_from(value)
                .map_err(off)
                .and_then(|v| self.put(&v.to_le_bytes())),
            DType::U64 => u64::try_from(value)
                .map_err(off)
                .and_then(|v| self.put(&v.to_le_bytes())),
            // JSON writers drop the point of 1.0: an integer is a fine float.
            DType::F32 | DType::F64 => self.float(value as f64),
            DType::Bool | DType::F16 | DType::Bf16 => self.wrong(&value),
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "f64 to f32 rounds; what is out of range is refused below"
    )]
    fn float<E: de::Error>(&mut self, value: f64) -> Result<(), E> {
        match self.dtype {
            DType::F32 if (value as f32).is_finite() => self.put(&(value as f32).to_le_bytes()),
            DType::F64 => self.put(&value.to_le_bytes()),
            // In scientific form: 1e300 has 301 digits otherwise.
            _ => self.wrong(&format_args!("{value:e}")),
        }
    }

    fn wrong<E: de::Error>(&self, value: &dyn fmt::Display) -> Result<(), E> {
        Err(E::custom(format_args!("expected {}, got {value}", self.dtype)))
    }
}

impl<'de> DeserializeSeed<'de> for &mut Fill<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Fill<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {} elements", self.dtype)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        // One level more than dimensions: a scalar comes as an array of one.
        if self.depth > MAX_RANK {
            return Err(de::Error::custom(format_args!(
                "arrays are nested deeper than {MAX_RANK}"
            )));
        }
        self.depth += 1;
        while items.next_element_seed(&mut *self)?.is_some() {}
        self.depth -= 1;
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        if self.dtype == DType::Bool {
            self.put(&[u8::from(value)])
        } else {
            self.wrong(&value)
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.float(value)
    }
}

/// A tensor's elements as one flat array.
pub(super) struct Flat<'a>(pub(super) TensorRef<'a>);

impl Flat<'_> {
    /// Why the elements cannot be JSON, where they cannot.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let finite = match self.0.dtype {
            DType::F16 | DType::Bf16 => return Some("16-bit floats have no JSON form"),
            DType::F32 => chunks(self.0.bytes).all(|b| f32::from_le_bytes(b).is_finite()),
            DType::F64 => chunks(self.0.bytes).all(|b| f64::from_le_bytes(b).is_finite()),
            _ => true,
        };
        (!finite).then_some("it holds NaN or infinity, which JSON has not")
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.bytes;
        match self.0.dtype {
            DType::F32 => sequence(serializer, chunks(bytes).map(f32::from_le_bytes)),
            DType::F64 => sequence(serializer, chunks(bytes).map(f64::from_le_bytes)),
            DType::I8 => sequence(serializer, chunks(bytes).map(i8::from_le_bytes)),
            DType::U8 => sequence(serializer, bytes.iter()),
            DType::I16 => sequence(serializer, chunks(bytes).map(i16::from_le_bytes)),
            DType::U16 => sequence(serializer, chunks(bytes).map(u16::from_le_bytes)),
            DType::I32 => sequence(serializer, chunks(bytes).map(i32::from_le_bytes)),
            DType::U32 => sequence(serializer, chunks(bytes).map(u32::from_le_bytes)),
            DType::I64 => sequence(serializer, chunks(bytes).map(i64::from_le_bytes)),
            DType::U64 => sequence(serializer, chunks(bytes).map(u64::from_le_bytes)),
            DType::Bool => sequence(serializer, bytes.iter().map(|b| *b != 0)),
            DType::F16 | DType::Bf16 => Err(serde::ser::Error::custom("16-bit floats have no JSON form")),
        }
    }
}

fn sequence<S: Serializer, T: Serialize>(serializer: S, items: impl Iterator<Item = T>) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(None)?;
    for item in items {
        sequence.serialize_element(&item)?;
    }
    sequence.end()
}
