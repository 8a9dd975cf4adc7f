//! What `bench` and `soak` share: a visible list of named runs, and how some of them are chosen.

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
        let profile = if self.dev { Profile::Dev } else { Profile::Release };
        let programs = repo::build_programs(profile)?;
        for measure in all.iter().filter(chosen) {
            println!("## {}: {}", measure.name, measure.about);
            (measure.run)(&programs)?;
        }
        Ok(())
    }
}
