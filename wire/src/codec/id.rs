//! Ids and names of codecs: which quantiser, which packer.

use core::fmt;
use core::str::FromStr;

use crate::error::WireError;
use crate::frame::CodecId;

/// Turns elements into codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Quantiser {
    /// The elements as they are, of any type.
    Raw = 0,
    /// IEEE 754 binary16, rounded to nearest even.
    F16 = 1,
    /// The upper half of a binary32, rounded to nearest even.
    Bf16 = 2,
    /// One byte an element, one scale and offset a tensor.
    Int8 = 3,
    /// One byte an element, one scale and offset a channel (axis 1).
    Int8Channel = 4,
    /// Four bits an element, one clipped range a tensor.
    Int4 = 5,
    /// Blocks through a cosine transform, steps by frequency from a fitted table, entropy coded.
    Dct = 6,
}

/// Writes codes in fewer bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Packer {
    /// As they are.
    Plain = 0,
    /// One bit an element says whether it is zero, then those that are not.
    Bitmap = 1,
    /// First bytes, second bytes …, then LZ4.
    Lz4 = 2,
    /// First bytes, second bytes …, each in a range coder with frequencies of its own.
    Rans = 3,
    /// First bytes, second bytes …, then Zstandard; needs the feature `zstd`.
    Zstd = 4,
}

const QUANTISERS: [(Quantiser, &str); 7] = [
    (Quantiser::Raw, "raw"),
    (Quantiser::F16, "f16"),
    (Quantiser::Bf16, "bf16"),
    (Quantiser::Int8, "int8"),
    (Quantiser::Int8Channel, "int8-channel"),
    (Quantiser::Int4, "int4"),
    (Quantiser::Dct, "dct"),
];

const PACKERS: [(Packer, &str); 5] = [
    (Packer::Plain, "plain"),
    (Packer::Bitmap, "bitmap"),
    (Packer::Lz4, "lz4"),
    (Packer::Rans, "rans"),
    (Packer::Zstd, "zstd"),
];

impl CodecId {
    /// The id of a quantiser with a packer; none for a pair that is no codec (`dct` packs by itself).
    pub const fn of(quantiser: Quantiser, packer: Packer) -> Option<Self> {
        match (quantiser, packer) {
            (Quantiser::Dct, Packer::Bitmap | Packer::Lz4 | Packer::Rans | Packer::Zstd) => None,
            _ => Some(Self((quantiser as u8) << 4 | packer as u8)),
        }
    }

    /// Its quantiser and packer.
    ///
    /// # Errors
    /// [`WireError::UnknownCodec`] where this program knows no such codec.
    pub fn parts(self) -> Result<(Quantiser, Packer), WireError> {
        Self::all()
            .find(|(id, _, _)| *id == self)
            .map(|(_, quantiser, packer)| (quantiser, packer))
            .ok_or(WireError::UnknownCodec(self.0))
    }

    /// Every codec that this program knows, with its parts. Those packed by `zstd` need that feature to run.
    pub fn all() -> impl Iterator<Item = (Self, Quantiser, Packer)> {
        QUANTISERS.iter().flat_map(|&(quantiser, _)| {
            PACKERS
                .iter()
                .filter_map(move |&(packer, _)| Some((Self::of(quantiser, packer)?, quantiser, packer)))
        })
    }
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok((quantiser, packer)) = self.parts() else {
            return write!(f, "codec {}", self.0);
        };
        let quantiser = QUANTISERS
            .iter()
            .find(|(q, _)| *q == quantiser)
            .map_or("", |(_, name)| name);
        match PACKERS.iter().find(|(p, _)| *p == packer) {
            Some((p, name)) if *p != Packer::Plain => write!(f, "{quantiser}+{name}"),
            _ => f.write_str(quantiser),
        }
    }
}

impl FromStr for CodecId {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        let unknown = WireError::BadCodec(
            "no codec of this name; known are raw, f16, bf16, int8, int8-channel, int4 (each alone or with +bitmap, +lz4, +rans, +zstd) and dct",
        );
        let (quantiser, packer) = text.split_once('+').unwrap_or((text, "plain"));
        let quantiser = QUANTISERS.iter().find(|(_, name)| *name == quantiser);
        let packer = PACKERS.iter().find(|(_, name)| *name == packer);
        match (quantiser, packer) {
            (Some((quantiser, _)), Some((packer, _))) => Self::of(*quantiser, *packer).ok_or(unknown),
            _ => Err(unknown),
        }
    }
}
