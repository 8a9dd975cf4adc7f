//! The class of each file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure, OrExit as _};

/// One class a line, or `file,class` lines, with or without a header.
pub(super) fn of(file: &Path, paths: &[PathBuf]) -> Result<Vec<usize>, Failure> {
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
        return Ok(in_order);
    }
    let class = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        by_name.get(name.as_ref()).copied().ok_or_else(|| {
            Failure::usage(format!(
                "{} names no class for {name}; it has {} in order and {} by name for {} files",
                file.display(),
                in_order.len(),
                by_name.len(),
                paths.len()
            ))
        })
    };
    paths.iter().map(class).collect()
}
