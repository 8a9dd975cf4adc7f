//! Reads what the reference tool leaves on disk.
//!
//! Owns: results.txt (a Python pickle, read without executing anything), output.txt, split folders.
//! Must not know: what a row of a table means (that is [`crate::profile::sweep`]), how a bundle is written.
//! Start at [`recognise`]; [`pickle::read`], [`log_line`] and [`join`] do the work.

mod folder;
mod join;
mod limits;
mod log;
pub mod pickle;

pub use folder::{Halves, halves};
pub use join::{JoinError, join};
pub use log::{LogError, LogLine, log_line};

/// What a file of the reference tool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table: `time_table*.csv`, `profiler_time_table.csv`.
    Table,
    /// `output.txt`: log lines, then one line of JSON.
    Log,
    /// `results.txt`, `input.txt`: a pickle.
    Pickle,
}

/// What these bytes are; names do not help, two kinds end in `.txt`.
pub fn recognise(bytes: &[u8]) -> Option<Kind> {
    let start = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    // Protocols 2 to 5 begin with PROTO and the number; 0 and 1 with the mark of a dictionary or a list, or with both.
    let pickle = matches!(
        start,
        [0x80, 2..=5, ..] | [b'(', b'd' | b'l', ..] | [b'}' | b']', b'q' | b'r' | b'(', ..]
    );
    if pickle {
        return Some(Kind::Pickle);
    }
    let text = String::from_utf8_lossy(start);
    if text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with("SplitLayer")
    {
        return Some(Kind::Table);
    }
    let last = bytes
        .trim_ascii_end()
        .rsplit(|b| *b == b'\n')
        .next()
        .unwrap_or_default();
    last.trim_ascii_start().starts_with(b"{").then_some(Kind::Log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_known_by_its_first_or_last_bytes() {
        assert_eq!(recognise(b"SplitLayer,Time1\n"), Some(Kind::Table));
        assert_eq!(recognise(b"\x80\x04}."), Some(Kind::Pickle));
        assert_eq!(recognise(b"(dp0\n."), Some(Kind::Pickle));
        assert_eq!(recognise(b"Loading...\n{\"splitLayer\": \"a\"}\n"), Some(Kind::Log));
        assert_eq!(recognise(b"hello"), None);
        assert_eq!(recognise(b""), None);
    }
}
