//! The one libonnxruntime of this process. It is never closed: vendors' libraries do not survive that.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

static OPENED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Where to look where nobody says: the loader's own path.
const NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

const HOW: &str = "get it with `pip install onnxruntime` and name the file: \
     --library …/onnxruntime/capi/libonnxruntime.so.1.*, or ORT_DYLIB_PATH";

/// Opens the library, or gives the one that is open. `wanted`, else `ORT_DYLIB_PATH`, else the loader's path.
pub(super) fn open(wanted: Option<&Path>) -> Result<(PathBuf, Environment), String> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, environment)) = opened.as_ref() {
        if let Some(other) = wanted.filter(|wanted| wanted != path) {
            return Err(format!(
                "{} is open; one process has one, {} cannot be opened too",
                path.display(),
                other.display()
            ));
        }
        return Ok((path.clone(), environment.clone()));
    }
    let told = wanted
        .map(Path::to_owned)
        .or(std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from));
    let candidates = told.map_or_else(|| NAMES.iter().map(PathBuf::from).collect(), |path| vec![path]);
    let mut reasons = Vec::new();
    for path in candidates {
        match ort::init_from(&path) {
            Ok(builder) => {
                let environment = builder.with_name("kerf").with_telemetry(false).build();
                let environment = environment.map_err(|why| format!("{}: {why}", path.display()))?;
                *opened = Some((path.clone(), environment.clone()));
                return Ok((path, environment));
            }
            Err(why) => reasons.push(reason(&why)),
        }
    }
    Err(format!("{}; {HOW}", reasons.join("; ")))
}

/// libloading's own text hides why the loader refused.
fn reason(why: &ort::LoadDynamicError) -> String {
    match why {
        ort::LoadDynamicError::Dlopen { error, path } => match std::error::Error::source(error) {
            Some(source) => format!("{}: {source}", path.display()),
            None => format!("{}: {error}", path.display()),
        },
        other => other.to_string(),
    }
}

/// The open library's version, e.g. `onnxruntime 1.32.0`.
pub(super) fn version() -> String {
    let info = ort::info();
    let branch = info
        .split("git-branch=")
        .nth(1)
        .and_then(|rest| rest.split([',', ' ']).next());
    match branch {
        Some(branch) => format!("onnxruntime {}", branch.trim_start_matches("rel-")),
        None => info.to_owned(),
    }
}
