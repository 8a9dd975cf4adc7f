//! Results on standard output, one JSON object a line.

use std::io::Write;

use kerf_runtime::stage::head::Answer;

/// Prints an answer; a reader that is gone is told once a line in the log, the stage goes on.
pub(super) fn line(answer: &Answer) {
    let written = serde_json::to_string(answer)
        .map_err(std::io::Error::from)
        .and_then(|text| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()
        });
    if let Err(why) = written {
        log::warn!(
            "event=not_printed frame={} why={:?}",
            answer.result.frame,
            why.to_string()
        );
    }
}
