//! Reports: what was measured and planned, as a page that recomputes, and as pictures.
//!
//! Owns: the page, the charts, the font. Must not know: how figures came about beyond the documents that hold them.
//! Start at [`Report`]; [`page`] makes it one HTML file that loads nothing, [`svg`] and [`png`] draw the same charts.

mod chart;
mod report;

pub use chart::{ChartError, png, svg};
pub use report::{CandidateLine, KernelBar, MeasuredBar, Pair, Report};

const PAGE: &str = include_str!("plot/page.html");

/// The report as one self-contained page, with sliders for link and cloud that recompute the best cut.
///
/// # Errors
/// When a number is not finite.
pub fn page(report: &Report) -> Result<String, serde_json::Error> {
    // Inside a script element only `</script` and `<!--` would end or change it.
    let data = serde_json::to_string(report)?.replace('<', "\\u003c");
    Ok(PAGE.replacen("/*DATA*/", &data, 1))
}
