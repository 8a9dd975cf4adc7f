//! What `bench` and `soak` share: a visible list of named runs, and how some of them are chosen.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::repo::{self, Profile, Programs};

/// One named run over the release programs.
pub(crate) struct Measure {
    /// As it is typed.
    pub(crate) name: &'static str,
    /// One line on what it shows.
    pub(crate) about: &'static str,
    /// Prints its figures; fails where a promise is broken.
    pub(crate) run: fn(&Programs) -> Result<()>,
}

/// Which to run.
#[derive(clap::Args)]
pub(crate) struct Choice {
    /// Which to run; all where none is named.
    names: Vec<String>,
    /// Only prints the names.
    #[arg(long)]
    list: bool,
    /// With programs that are quick to build: to see that it works, not for the record.
    #[arg(long)]
    dev: bool,
    /// Measure with this kerf instead of building one.
    #[arg(long, value_name = "FILE", requires = "kerf_stage")]
    kerf: Option<PathBuf>,
    /// Measure this kerf-stage instead of building one, e.g. a board's.
    #[arg(long, value_name = "FILE", requires = "kerf")]
    kerf_stage: Option<PathBuf>,
}

impl Choice {
    /// Runs the chosen ones of `all` in order, with release programs.
    ///
    /// # Errors
    /// When a name is not in the list, the build fails, or a run does.
    pub(crate) fn run(&self, all: &[Measure]) -> Result<()> {
        if self.list {
            for measure in all {
                println!("{:<12} {}", measure.name, measure.about);
            }
            return Ok(());
        }
        let known: Vec<&str> = all.iter().map(|measure| measure.name).collect();
        if let Some(unknown) = self.names.iter().find(|name| !known.contains(&name.as_str())) {
            bail!("{unknown:?} is not among: {}", known.join(", "));
        }
        let chosen = |measure: &&Measure| self.names.is_empty() || self.names.iter().any(|name| name == measure.name);
        let programs = match (&self.kerf, &self.kerf_stage) {
            (Some(kerf), Some(kerf_stage)) => Programs {
                kerf: std::path::absolute(kerf)?,
                kerf_stage: std::path::absolute(kerf_stage)?,
                given: true,
            },
            _ if self.dev => Programs {
                given: true,
                ..repo::build_programs(Profile::Dev)?
            },
            _ => repo::build_programs(Profile::Release)?,
        };
        for measure in all.iter().filter(chosen) {
            println!("## {}: {}", measure.name, measure.about);
            (measure.run)(&programs)?;
        }
        Ok(())
    }
}
