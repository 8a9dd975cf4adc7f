//! Walks the fields of a protobuf message in place.

use super::GuardError;

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) content: Content<'a>,
}

/// What a field holds.
pub(super) enum Content<'a> {
    Varint(u64),
    /// Bytes and their offset in the file.
    Bytes(&'a [u8], usize),
    Fixed,
}

/// Walks the fields of one message.
pub(super) struct Fields<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Offset of the message in the file.
    pub(super) base: usize,
}

impl<'a> Fields<'a> {
    fn broken<T>(&self) -> Result<T, GuardError> {
        Err(GuardError::Broken(self.base + self.at))
    }

    pub(super) fn varint(&mut self) -> Result<u64, GuardError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return self.broken();
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.broken()
    }

    fn skip(&mut self, bytes: usize) -> Result<&'a [u8], GuardError> {
        let end = self.at.checked_add(bytes);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return self.broken();
        };
        self.at += bytes;
        Ok(taken)
    }

    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, GuardError> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let content = match key & 7 {
            0 => Content::Varint(self.varint()?),
            1 => self.skip(8).map(|_| Content::Fixed)?,
            5 => self.skip(4).map(|_| Content::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                let offset = self.base + self.at;
                Content::Bytes(self.skip(length)?, offset)
            }
            _ => return self.broken(),
        };
        let number = key >> 3;
        if number == 0 {
            return self.broken();
        }
        Ok(Some(Field { number, content }))
    }
}
