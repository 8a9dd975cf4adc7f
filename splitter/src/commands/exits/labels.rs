//! The class of each file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure, OrExit as _};

/// The class of each file, from one class a line in their order, or from `file,class` lines with or without a header. A
/// file that the latter do not name has none.
pub(super) fn of(file: &Path, paths: &[PathBuf]) -> Result<Vec<Option<usize>>, Failure> {
    let text = std::fs::read_to_string(file).or_exit(Exit::Usage);
    let text = text.map_err(|e| e.context(format!("reading {}", file.display())))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut by_name = HashMap::new();
    let mut in_order = Vec::new();
    for line in lines {
        match line.split_once([',', '\t', ' ']) {
            Some((name, class)) => {
                if let Ok(class) = class.trim().parse::<usize>() {
                    by_name.insert(name.trim().to_owned(), class);
                }
            }
            None => in_order.extend(line.parse::<usize>().ok()),
        }
    }
    if by_name.is_empty() && in_order.len() == paths.len() {
        return Ok(in_order.into_iter().map(Some).collect());
    }
    let class = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        by_name.get(name.as_ref()).copied()
    };
    let classes: Vec<Option<usize>> = paths.iter().map(class).collect();
    let without = classes.iter().filter(|class| class.is_none()).count();
    if without == classes.len() {
        return Err(Failure::usage(format!(
            "{} names no class for any of {} files; it has {} in order and {} by name",
            file.display(),
            paths.len(),
            in_order.len(),
            by_name.len()
        )));
    }
    if without > 0 {
        log::warn!(
            "event=not_labelled files={without} of={}: they are left out",
            paths.len()
        );
    }
    Ok(classes)
}
