//! Where libtensorflowlite_c is, and opening it.
//!
//! Owns: the search, and the sentence that says how to get what is missing. Must not know: what it is used for.

use std::path::{Path, PathBuf};

mod sys;

pub(crate) use sys::{Messages, Opaque, Report, open, reason, report, text};

use super::sys::TfLite;

/// Names the library where nothing else does.
const VARIABLE: &str = "KERF_TFLITE_LIBRARY";
/// What the loader is asked for where nobody names a file.
const NAME: &str = "libtensorflowlite_c.so";
const HOW: &str = "get it built for Linux on x86-64 and Arm64 from npm's tfjs-tflite-node 0.0.2 (cc_deps/linux_*/), or build \
     //tensorflow/lite/c:tensorflowlite_c, and name the file: --library …/libtensorflowlite_c.so, or KERF_TFLITE_LIBRARY";

/// Opens `wanted`, else what the variable names, else what the loader finds.
pub(crate) fn find(wanted: Option<&Path>) -> Result<(TfLite, PathBuf), String> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let path = wanted
        .map(Path::to_owned)
        .or(named)
        .unwrap_or_else(|| PathBuf::from(NAME));
    let library = TfLite::open(&path).map_err(|why| format!("{why}; {HOW}"))?;
    Ok((library, path))
}
