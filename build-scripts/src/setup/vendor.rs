//! Vendors' libraries that the tests run engines on, unpacked below `.vendor`: they are libraries, no Python packages of ours,
//! and several would not go into one Python.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{entries, python};
use crate::repo;

/// The list of what is wanted.
const LIST: &str = "tests/vendor.txt";

/// A wheel and the folder that it is unpacked into.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wheel {
    folder: String,
    package: String,
    /// The Python that the wheel is for, e.g. `3.8`, or `own`: the judges' own, which can then import it.
    python: String,
    platform: String,
}

impl Wheel {
    fn parse(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [folder, package, python, platform] = words.as_slice() else {
            bail!("{LIST}: expected a folder, a package, a Python and a platform, got {line:?}");
        };
        ensure!(package.contains("=="), "{LIST}: {package} is not pinned");
        Ok(Self {
            folder: (*folder).to_owned(),
            package: (*package).to_owned(),
            python: (*python).to_owned(),
            platform: (*platform).to_owned(),
        })
    }

    fn place(&self) -> PathBuf {
        repo::root().join(".vendor").join(&self.folder)
    }

    /// Written last into the folder: which package it was unpacked from.
    fn stamp(&self) -> PathBuf {
        self.place().join("package.txt")
    }
}

/// The wheels for a processor, e.g. `x86_64`, that are wanted and not there.
pub(super) fn missing(arch: &str) -> Result<Vec<Wheel>> {
    let wheels = entries(LIST)?
        .iter()
        .map(|line| Wheel::parse(line))
        .collect::<Result<Vec<_>>>()?;
    let is_missing = |wheel: &Wheel| {
        let there = fs::read_to_string(wheel.stamp()).is_ok_and(|package| package == wheel.package);
        wheel.platform.ends_with(arch) && !there
    };
    Ok(wheels.into_iter().filter(is_missing).collect())
}

/// Fetches and unpacks wheels with the judges' Python, and says so first.
pub(super) fn fetch(wheels: &[Wheel]) -> Result<()> {
    let Some(python) = python().filter(|_| !wheels.is_empty()) else {
        return Ok(());
    };
    for wheel in wheels {
        eprintln!("setup: unpacking {} into .vendor/{}", wheel.package, wheel.folder);
        let place = wheel.place();
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("{} cannot be replaced", place.display()))?;
        }
        let download = tempfile::tempdir_in(vendor_folder()?)?;
        let mut pip = repo::command(&python);
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]);
        pip.arg("--only-binary=:all:");
        if wheel.python != "own" {
            pip.args(["--python-version", &wheel.python]);
        }
        pip.args(["--platform", &wheel.platform, "--dest"]).arg(download.path());
        repo::run(pip.arg(&wheel.package))?;
        let file = only_file(download.path())?;
        repo::run(
            repo::command(&python)
                .args(["-m", "zipfile", "-e"])
                .arg(file)
                .arg(&place),
        )?;
        fs::write(wheel.stamp(), &wheel.package).context("the folder is marked as complete")?;
    }
    Ok(())
}

fn vendor_folder() -> Result<PathBuf> {
    let folder = repo::root().join(".vendor");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file.path()),
        _ => bail!("pip did not download one file into {}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_wheel_is_pinned_and_complete() {
        let wheel = Wheel::parse("a  b==1.2  3.12  manylinux_2_28_x86_64").unwrap();
        assert_eq!((wheel.folder.as_str(), wheel.package.as_str()), ("a", "b==1.2"));
        for wrong in ["a b 3.12 linux", "a b==1", ""] {
            assert!(Wheel::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_list_itself_reads() {
        for line in entries(LIST).unwrap() {
            Wheel::parse(&line).unwrap();
        }
    }
}
