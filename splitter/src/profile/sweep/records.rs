//! Records of a CSV file (RFC 4180), by csv-core: the `csv` crate above it would turn features of serde on for the whole program.

use csv_core::{ReadRecordResult, Reader};

use super::TableError;

/// Most fields of one record.
const MAX_FIELDS: usize = 256;
/// Longest record, bytes.
const MAX_RECORD_BYTES: usize = 64 * 1024;

/// One record and the line on which it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// From 1.
    pub(super) line: u64,
    /// Its fields, trimmed.
    pub(super) fields: Vec<String>,
}

impl Record {
    /// A field; empty where the record ends before it.
    pub(super) fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", String::as_str)
    }
}

/// All records; empty lines are none.
///
/// # Errors
/// When a record is over a bound.
pub(super) fn records(mut bytes: &[u8]) -> Result<Vec<Record>, TableError> {
    let mut reader = Reader::new();
    let mut output = vec![0_u8; MAX_RECORD_BYTES];
    let mut ends = vec![0_usize; MAX_FIELDS];
    let (mut records, mut written, mut fields) = (Vec::new(), 0, 0);
    loop {
        let line = reader.line();
        let (result, read, wrote, ended) = reader.read_record(bytes, &mut output[written..], &mut ends[fields..]);
        bytes = &bytes[read..];
        written += wrote;
        fields += ended;
        match result {
            // No more input: the next call, with nothing, ends the last record.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::Record => {
                records.push(record(line, &output, &ends[..fields]));
                (written, fields) = (0, 0);
            }
            ReadRecordResult::End => return Ok(records),
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                let what = format!("expected at most {MAX_FIELDS} fields and {MAX_RECORD_BYTES} bytes");
                return Err(TableError::Line { line, what });
            }
        }
    }
}

fn record(line: u64, output: &[u8], ends: &[usize]) -> Record {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let text = |(start, end): (usize, &usize)| {
        String::from_utf8_lossy(output.get(start..*end).unwrap_or_default())
            .trim()
            .to_owned()
    };
    Record {
        line,
        fields: starts.zip(ends).map(text).collect(),
    }
}

/// A field as it is written: quoted where it must be.
pub(super) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_line_ends_are_read_and_written() {
        let read =
            records(b"a, b ,\"c,\"\"d\"\"\"\r\n\n1,2").map(|all| all.into_iter().map(|r| r.fields).collect::<Vec<_>>());
        assert_eq!(
            read.ok(),
            Some(vec![
                vec!["a".to_owned(), "b".into(), "c,\"d\"".into()],
                vec!["1".into(), "2".into()]
            ])
        );
        assert_eq!(quoted("c,\"d\""), "\"c,\"\"d\"\"\"");
        assert!(records(&[b','; 300]).is_err());
    }
}
