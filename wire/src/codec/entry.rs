//! A codec as a manifest writes it.

use std::string::ToString as _;

use super::{Codec, Quantiser, Table};
use crate::error::WireError;
use crate::frame::CodecId;
use crate::manifest::{Coarser, Codec as Entry};

impl Codec {
    /// What a manifest says of one value.
    ///
    /// # Errors
    /// When it names no codec of this program, or the table is missing or does not hold together.
    pub fn of_manifest(entry: &Entry) -> Result<Self, WireError> {
        let id: CodecId = entry.name.parse()?;
        let needs_table = id.parts()?.0 == Quantiser::Dct;
        match (&entry.table, needs_table) {
            (Some(table), true) => Self::dct(Table::from_json(table)?),
            (None, true) => Err(WireError::BadCodec("dct needs a table: run kerf codec fit")),
            (Some(_), false) => Err(WireError::BadCodec("only dct takes a table")),
            (None, false) => Ok(Self::plain(id)),
        }
    }

    /// What a manifest allows instead while a link is behind, if anything.
    ///
    /// # Errors
    /// When it names no codec of this program, one that needs a table, or steps for a codec that has none.
    pub fn coarser_of_manifest(entry: &Entry) -> Result<Option<Self>, WireError> {
        match &entry.coarser {
            None => Ok(None),
            Some(Coarser::Coarseness(quarters @ 1..)) => {
                let codec = Self::of_manifest(entry)?;
                match codec.table {
                    Some(_) => Ok(Some(Self {
                        coarseness: *quarters,
                        ..codec
                    })),
                    None => Err(WireError::BadCodec("only dct has steps that can be coarser")),
                }
            }
            Some(Coarser::Coarseness(_)) => {
                Err(WireError::BadCodec("coarser steps are 1 to 127 quarters of an octave"))
            }
            Some(Coarser::Codec(name)) => {
                let id: CodecId = name.parse()?;
                match id.parts()?.0 {
                    Quantiser::Dct => Err(WireError::BadCodec("a coarser dct is told by its coarseness")),
                    _ => Ok(Some(Self::plain(id))),
                }
            }
        }
    }

    /// As the manifest writes it.
    pub fn to_manifest(&self) -> Entry {
        Entry {
            name: self.id.to_string(),
            table: self.table.as_ref().map(Table::to_json),
            coarser: None,
        }
    }
}
