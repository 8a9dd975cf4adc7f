//! The one libonnxruntime of this process. It is never closed: vendors' libraries do not survive that.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::backend::mapped::mapped;

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
                let builder = builder.with_name("kerf").with_telemetry(false);
                let logger = Arc::new(|level, _: &str, _: &str, _: &str, message: &str| relay(level, message));
                let environment = builder.with_logger(logger).build();
                let environment = environment.map_err(|why| format!("{}: {why}", path.display()))?;
                environment.set_log_level(LogLevel::Warning);
                // A bare name is the loader's business: say what it found.
                let path = if path.is_file() { path } else { found(&path) };
                *opened = Some((path.clone(), environment.clone()));
                return Ok((path, environment));
            }
            Err(why) => reasons.push(reason(&why)),
        }
    }
    Err(format!("{}; {HOW}", reasons.join("; ")))
}

fn found(name: &Path) -> PathBuf {
    let text = name.to_string_lossy();
    mapped(&text).unwrap_or_else(|| name.to_owned())
}

/// libloading's own text hides why the loader refused; the loader's begins with the file's name, mostly.
fn reason(why: &ort::LoadDynamicError) -> String {
    match why {
        ort::LoadDynamicError::Dlopen { error, path } => {
            let (file, source) = (path.display().to_string(), std::error::Error::source(error));
            let text = source.map_or_else(|| error.to_string(), ToString::to_string);
            if text.starts_with(&file) {
                text
            } else {
                format!("{file}: {text}")
            }
        }
        other => other.to_string(),
    }
}

/// The open library's version, e.g. `onnxruntime 1.32.0`: what it says itself, else what its file is called.
pub(super) fn version(file: &Path) -> String {
    let info = ort::info();
    let branch = info
        .split("git-branch=")
        .nth(1)
        .and_then(|rest| rest.split([',', ' ']).next())
        .and_then(|branch| branch.strip_prefix("rel-"));
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let suffix = name.split_once(".so.").map(|(_, version)| version);
    match branch.or(suffix) {
        Some(version) => format!("onnxruntime {version}"),
        None => format!("onnxruntime ({info})"),
    }
}

/// Its own messages go into our log: what fails comes back as an error anyway, so that nothing is told twice.
fn relay(level: LogLevel, message: &str) {
    let level = match level {
        LogLevel::Fatal | LogLevel::Error | LogLevel::Warning => log::Level::Debug,
        _ => log::Level::Trace,
    };
    log::log!(target: "onnxruntime", level, "{}", message.replace('\n', " "));
}
