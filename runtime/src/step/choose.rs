//! The ordered list of backends, one after the other.

use super::{DEFAULT_BACKEND, LoadError};
use crate::backend::{self, Backend, BackendError, LoadOptions, Session};

/// A session, and how it came about.
pub(super) struct Chosen {
    pub(super) session: Box<dyn Session>,
    pub(super) backend: &'static str,
    pub(super) warnings: Vec<String>,
}

/// Tries backends in order, the first with these options. Each step down is logged and kept; the error is that of the
/// first.
pub(super) fn choose(
    names: &[String],
    options: &LoadOptions,
    mut load: impl FnMut(&'static dyn Backend, &LoadOptions) -> Result<Box<dyn Session>, LoadError>,
) -> Result<Chosen, LoadError> {
    let default = [DEFAULT_BACKEND.to_owned()];
    let names = if names.is_empty() { &default } else { names };
    let mut first = None;
    let mut warnings = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let options = if place == 0 { options } else { &options.for_fallback() };
        let loaded = backend::named(name)
            .map_err(LoadError::from)
            .and_then(|backend| takes(backend, options).map(|()| backend))
            .and_then(|backend| load(backend, options).map(|session| (backend.name(), session)));
        match loaded {
            Ok((backend, session)) => {
                return Ok(Chosen {
                    session,
                    backend,
                    warnings,
                });
            }
            // A damaged bundle is no reason to try another engine.
            Err(error @ LoadError::Bundle(_)) => return Err(error),
            Err(error) => {
                if names.len() > 1 {
                    log::warn!(
                        "event=backend-stepped-down backend={name} why={error:?}",
                        error = error.to_string()
                    );
                    warnings.push(format!("stepped down from backend {name}: {error}"));
                }
                first.get_or_insert(error);
            }
        }
    }
    Err(first.unwrap_or(LoadError::NoBackend))
}

fn takes(backend: &'static dyn Backend, options: &LoadOptions) -> Result<(), LoadError> {
    if options.literal && !backend.runs_literally() {
        let option = "way to run a graph as it is written".to_owned();
        return Err(LoadError::Backend(BackendError::Option {
            backend: backend.name(),
            option,
        }));
    }
    Ok(())
}
