//! The logger of both programs: `key=value` lines on standard error.
//!
//! Owns: how a log line looks. Must not know: what is logged.

use std::io::Write;

/// Starts logging at a level; `KERF_LOG` (e.g. `debug` or `kerf_runtime=debug,warn`) wins over it.
///
/// Calling it twice is no error: the first call holds.
pub fn start(level: log::LevelFilter) {
    let mut builder = env_logger::Builder::new();
    // The engines' own warnings are about their test coverage, not about a promise of ours.
    builder
        .filter_level(level)
        .filter_module("tract_onnx", log::LevelFilter::Error)
        .filter_module("tract_core", log::LevelFilter::Error);
    if let Ok(filter) = std::env::var("KERF_LOG") {
        builder.parse_filters(&filter);
    }
    builder.format(|out, record| {
        writeln!(
            out,
            "time={} level={} at={} {}",
            out.timestamp_millis(),
            record.level().as_str().to_ascii_lowercase(),
            record.target(),
            record.args()
        )
    });
    let _already_started = builder.try_init();
}

/// The level for a number of `-v` flags: 0 info, 1 debug, 2 and more trace; `quiet` only warnings.
pub fn level(verbose: u8, quiet: bool) -> log::LevelFilter {
    match (quiet, verbose) {
        (true, _) => log::LevelFilter::Warn,
        (false, 0) => log::LevelFilter::Info,
        (false, 1) => log::LevelFilter::Debug,
        (false, _) => log::LevelFilter::Trace,
    }
}
