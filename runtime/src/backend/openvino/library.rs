//! The one OpenVINO of this process. It is never closed: vendors' libraries do not survive that.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use openvino_sys::library;

use crate::backend::mapped::mapped;
use crate::bundle::read_bounded;
use crate::limits::MAX_LIBRARY_BYTES;

/// Names the library where the options do not.
const VARIABLE: &str = "KERF_OPENVINO_LIBRARY";
const HOW: &str = "get it with `pip install openvino` and name the file: \
     --library …/openvino/libs/libopenvino_c.so.*, or KERF_OPENVINO_LIBRARY";
/// A function that every library since 2022.3 has, and none before.
const SINCE: &[u8] = b"ov_get_openvino_version";

static OPENED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Opens the library, or gives the one that is open: its file and its version. `wanted`, else the variable, else where
/// OpenVINO is usually installed.
pub(super) fn open(wanted: Option<&Path>) -> Result<(Option<PathBuf>, String), String> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let told = wanted
        .map(Path::to_owned)
        .or(std::env::var_os(VARIABLE).map(PathBuf::from));
    if let (Some(open), Some(other)) = (opened.as_ref(), wanted)
        && open != other
    {
        let (open, other) = (open.display(), other.display());
        return Err(format!(
            "{open} is open; one process has one, {other} cannot be opened too"
        ));
    }
    if opened.is_none() {
        match &told {
            Some(file) => {
                is_new_enough(file)?;
                library::load_from(file.clone()).map_err(|why| format!("{why}; {HOW}"))?;
            }
            None => library::load().map_err(|why| format!("{why}: libopenvino_c.so; {HOW}"))?,
        }
        *opened = told.or_else(|| mapped("libopenvino_c.so"));
    }
    Ok((opened.clone(), openvino::version().build_number))
}

/// An older library lacks functions, and the crate that drives it would end the program over that.
fn is_new_enough(file: &Path) -> Result<(), String> {
    let bytes = read_bounded(file, MAX_LIBRARY_BYTES).map_err(|why| format!("{why}; {HOW}"))?;
    if bytes.windows(SINCE.len()).any(|window| window == SINCE) {
        return Ok(());
    }
    Err(format!(
        "{} is no OpenVINO of 2025.1 or newer (one of 2022 is driven by the backend openvino-myriad); {HOW}",
        file.display()
    ))
}
