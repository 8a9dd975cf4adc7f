//! A list from outside that ends at its bound.

use std::fmt;
use std::marker::PhantomData;

use kerf_wire::limits::MAX_TENSORS;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// At most `MAX` items; one more is an error, found before it is kept.
#[derive(Debug)]
pub(super) struct Bounded<T, const MAX: usize = MAX_TENSORS>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

struct Items<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
    type Value = Bounded<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = items.next_element()? {
            if kept.len() == MAX {
                return Err(de::Error::custom(format_args!("a list of more than {MAX}")));
            }
            kept.push(item);
        }
        Ok(Bounded(kept))
    }
}
