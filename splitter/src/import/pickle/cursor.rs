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
        Ok(String::from_utf8_lossy(&self.line_bytes()?).into_owned())
    }

    /// A line without its end.
    pub(super) fn line_bytes(&mut self) -> Result<Vec<u8>, PickleError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'\n');
        let line = self.take(length.ok_or(PickleError::CutShort(self.at))?)?.to_vec();
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

/// Python's `raw-unicode-escape`, which protocol 0 writes texts in: Latin-1, with `\uXXXX` and `\UXXXXXXXX` for the rest.
pub(super) fn raw_unicode_escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = match behind.first() {
            Some(b'u') if first == b'\\' => 4,
            Some(b'U') if first == b'\\' => 8,
            _ => 0,
        };
        let hex = behind.get(1..=digits).filter(|_| digits > 0);
        let code = hex.and_then(|hex| u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let (c, used) = code
            .and_then(char::from_u32)
            .map_or((char::from(first), 0), |c| (c, 1 + digits));
        text.push(c);
        rest = behind.get(used..).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_protocol_0_keep_every_byte() {
        let every: Vec<u8> = (0..=255).collect();
        let chars: Vec<u32> = raw_unicode_escape(&every).chars().map(u32::from).collect();
        assert_eq!(chars, (0..=255).collect::<Vec<u32>>());
        assert_eq!(raw_unicode_escape(b"a\\u005cn\\U0001f600\\u12"), "a\\n\u{1f600}\\u12");
    }
}
