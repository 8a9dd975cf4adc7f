//! Results on standard output, one JSON object a line, and what is said at the end.

use std::io::Write;

use kerf_runtime::exit::{Exit, Failure};
use kerf_runtime::stage::head::{Answer, Summary};

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

/// 0 when every input is answered.
pub(super) fn ended(summary: Summary) -> Result<(), Failure> {
    let Summary {
        accepted,
        answered,
        refused,
        failed,
        dropped,
        resent,
    } = summary;
    log::info!(
        "event=ended accepted={accepted} answered={answered} refused={refused} failed={failed} dropped={dropped} resent={resent}"
    );
    if refused + failed + dropped == 0 {
        return Ok(());
    }
    let text = format!(
        "{answered} inputs answered, {failed} failed here, {refused} refused by the last stage, {dropped} dropped"
    );
    Err(Failure::new(Exit::RunFailed, anyhow::anyhow!(text)))
}
