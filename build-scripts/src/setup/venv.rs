//! A virtual environment of pinned packages, made anew when its list changes.
//!
//! Owns: one folder and its stamp. Must not know: what the packages are for.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::entries;
use crate::repo;

/// Both relative to the repository's root.
#[derive(Clone, Copy)]
pub(super) struct Venv {
    pub folder: &'static str,
    pub requirements: &'static str,
}

impl Venv {
    pub(super) fn python(self) -> PathBuf {
        repo::root().join(self.folder).join("bin/python3")
    }

    /// The list that a finished environment was made from is copied into it last.
    fn stamp(self) -> PathBuf {
        repo::root().join(self.folder).join("requirements.txt")
    }

    pub(super) fn is_missing(self) -> Result<bool> {
        let wanted = fs::read(repo::root().join(self.requirements)).context(self.requirements)?;
        Ok(fs::read(self.stamp()).ok() != Some(wanted))
    }

    /// Says what it installs first; does nothing where nothing is missing.
    pub(super) fn make(self) -> Result<()> {
        if !self.is_missing()? {
            return Ok(());
        }
        eprintln!(
            "setup: making {} with pip: {}",
            self.folder,
            entries(self.requirements)?.join(" ")
        );
        repo::run(repo::command("python3").args(["-m", "venv", "--clear", self.folder]))?;
        let mut pip = repo::command(self.python());
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        repo::run(pip.args(["--requirement", self.requirements]))?;
        fs::copy(repo::root().join(self.requirements), self.stamp()).context(self.folder)?;
        Ok(())
    }
}
