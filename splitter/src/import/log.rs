//! `output.txt`: what a cloud job printed, its last line a JSON object.

use serde::Deserialize;

use super::limits::MAX_LOG_BYTES;

/// The object. Times in seconds; fields that an older version did not write are none.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// The value that the model was split at.
    pub split_layer: Option<String>,
    /// The head's run.
    #[serde(default)]
    pub exec_time1: Option<f64>,
    /// The tail's run.
    #[serde(default)]
    pub exec_time2: Option<f64>,
    /// Elements that crossed.
    #[serde(default)]
    pub tensor_length: Option<f64>,
    /// Writing the tensor.
    #[serde(default)]
    pub tensor_save_time: Option<f64>,
    /// Reading the tensor.
    #[serde(default)]
    pub tensor_load_time: Option<f64>,
    /// The model's first output, nested lists.
    #[serde(default)]
    pub result: serde_json::Value,
}

/// Why a log was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Too long.
    #[error("the log has {got} bytes, at most {limit} are searched")]
    OverLimit {
        /// Its length.
        got: usize,
        /// The bound.
        limit: u64,
    },
    /// No line is the object.
    #[error("no line of the log is the JSON object that the reference tool prints last")]
    NoObject,
}

/// The last line that is such an object.
///
/// # Errors
/// When there is none.
pub fn log_line(bytes: &[u8]) -> Result<LogLine, LogError> {
    if bytes.len() as u64 > MAX_LOG_BYTES {
        return Err(LogError::OverLimit {
            got: bytes.len(),
            limit: MAX_LOG_BYTES,
        });
    }
    let lines = bytes.rsplit(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let mut objects = lines.filter(|line| line.starts_with(b"{"));
    // NaN is no JSON, but Python writes it.
    objects
        .find_map(|line| serde_json::from_slice(line).ok().or_else(|| without_nan(line)))
        .ok_or(LogError::NoObject)
}

fn without_nan(line: &[u8]) -> Option<LogLine> {
    let text = std::str::from_utf8(line).ok()?;
    let text = ["-Infinity", "Infinity", "NaN"]
        .iter()
        .fold(text.to_owned(), |t, word| t.replace(word, "null"));
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn the_object_stands_behind_other_lines() {
        let log =
            b"Loading model\n{not json\n{\"splitLayer\": \"a/b:0\", \"execTime1\": 0.5, \"result\": [[NaN, 1.0]]}\n\n";
        let line = log_line(log).unwrap();
        assert_eq!(line.split_layer.as_deref(), Some("a/b:0"));
        assert_eq!(line.exec_time1, Some(0.5));
        assert_eq!(line.exec_time2, None);
        assert!(log_line(b"nothing here").is_err());
    }
}
