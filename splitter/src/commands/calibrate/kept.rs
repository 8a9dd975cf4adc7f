//! What was measured, in a folder: networks and profiles, to fit again or to share.

use std::path::{Path, PathBuf};

use super::super::profile::read_profile;
use super::super::write_whole;
use super::Seen;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::predict::GENERATED;
use crate::profile::Steady;

/// How the name of a model's profile ends.
const ENDING: &str = ".profile.json";

/// One model's profile.
pub(super) fn write(folder: &Path, steady: &Steady) -> Result<(), Failure> {
    let text = steady.profile.to_json().or_exit(Exit::Bug)?;
    let file = folder.join(format!("{}{ENDING}", steady.profile.model.name));
    write_whole(&file, text.as_bytes())
}

/// The made-up networks of the folder and these models, each with its profile; models without one are left out and named.
pub(super) fn read(folder: &Path, models: &[PathBuf]) -> Result<Vec<Seen>, Failure> {
    let entries = std::fs::read_dir(folder).or_exit(Exit::Usage)?;
    let is_made_up = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(GENERATED) && name.ends_with(".onnx")
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(is_made_up)
        .collect();
    files.sort();
    files.extend(models.iter().cloned());
    let mut all = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let profile = folder.join(format!("{name}{ENDING}"));
        if !profile.exists() {
            log::warn!(
                "event=left-out model={} there is no {}",
                file.display(),
                profile.display()
            );
            continue;
        }
        let profile = read_profile(&profile)?;
        let noise = profile.run_ms.relative_noise();
        let steady = Steady {
            profile,
            noise,
            disturbed: 0,
        };
        all.push(Seen::new(&file, steady)?);
    }
    Ok(all)
}
