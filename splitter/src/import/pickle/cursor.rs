//! Bytes of a pickle, taken one after the other.

use super::machine::Machine;
use super::object::PickleError;

impl Machine<'_> {
    pub(super) fn take(&mut self, count: usize) -> Result<&[u8], PickleError> {
        let end = self.at.checked_add(count).ok_or(PickleError::CutShort(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(PickleError::CutShort(self.at))?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| PickleError::CutShort(at))
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A line of text without its end.
    pub(super) fn line(&mut self) -> Result<String, PickleError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|b| *b == b'\n')
            .ok_or(PickleError::CutShort(self.at))?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Ok(line)
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self, text: &str) -> Result<T, PickleError> {
        text.trim().parse().map_err(|_| PickleError::Damaged {
            what: "a number that is none",
            at: self.at,
        })
    }
}
