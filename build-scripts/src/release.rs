//! `cargo xtask release`: everything that a release consists of, in one folder.
//!
//! Owns: which files a release has, and its checksums, notes and signature. Must not know: how a board's packages are made;
//! [`dist`] does. The same sources give the same bytes; a signature of the same bytes by the same key is the same as well.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::dist::{self, archive};
use crate::repo::{self, Profile, Programs};
use crate::target::{self, Target};
use crate::{build, toolchain};

/// Where the tools' archive has its licences and its page.
const TEXTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Makes a release: the boards' archives and packages, `kerf` for this system, SBOMs, notes, checksums, signature.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these boards; all that can be built where none is named.
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,
    /// Pack this program for a board instead of building one, as NAME=FILE.
    #[arg(long = "program", value_name = "NAME=FILE", value_parser = named_file)]
    programs: Vec<(String, PathBuf)>,
    /// Take `kerf` and `kerf-stage` from this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    tools: Option<PathBuf>,
    /// Sign the checksums with this key, from `kerf keys new`.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The same, with the key's text in this environment variable, as a CI keeps its secrets.
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    key_from_env: Option<String>,
    /// Where the release goes; a folder that is not there.
    #[arg(long, value_name = "DIR", default_value = "target/release-files")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = repo::root().join(&arguments.output);
    ensure!(!folder.exists(), "{} is there already", folder.display());
    let tools = match &arguments.tools {
        Some(folder) => Programs {
            kerf: folder.join("kerf"),
            kerf_stage: folder.join("kerf-stage"),
            given: true,
        },
        None => repo::build_programs(Profile::Release)?,
    };
    let targets = match arguments.targets.as_slice() {
        [] => dist::buildable()?,
        names => names.iter().map(|name| target::named(name)).collect::<Result<_>>()?,
    };
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    for target in &targets {
        dist::pack(target, &program(arguments, target)?, &folder)?;
    }
    let version = dist::version()?;
    pack_tools(&tools, &version, &folder)?;
    let changes = fs::read_to_string(repo::root().join("CHANGELOG.md")).context("CHANGELOG.md")?;
    dist::write(&folder, "NOTES.md", notes(&changes, &version)?.as_bytes())?;
    dist::checksums(&folder)?;
    match (&arguments.key, &arguments.key_from_env) {
        (Some(key), _) => sign(&tools, key, &folder),
        (None, Some(name)) => {
            let text = std::env::var(name).with_context(|| format!("{name} is not set"))?;
            // Its owner's alone, and gone at the end.
            let mut file = tempfile::NamedTempFile::new().context("a temporary file")?;
            file.write_all(text.as_bytes()).context("the key's file")?;
            sign(&tools, file.path(), &folder)
        }
        (None, None) => {
            eprintln!("release: not signed: give --key, from `kerf keys new`");
            Ok(())
        }
    }
}

fn program(arguments: &Arguments, target: &Target) -> Result<Vec<u8>> {
    let given = arguments.programs.iter().find(|(name, _)| *name == target.name);
    let file = if let Some((_, file)) = given {
        file.clone()
    } else {
        let (program, needs) = build::build(target, toolchain::way_here()?)?;
        println!("{}", build::described(target, &needs));
        program
    };
    fs::read(&file).with_context(|| format!("{}", file.display()))
}

/// Both programs for this system, with completions, manual pages, licences and the README.
fn pack_tools(tools: &Programs, version: &str, folder: &Path) -> Result<()> {
    let mut files = Vec::new();
    for (name, path) in [("kerf", &tools.kerf), ("kerf-stage", &tools.kerf_stage)] {
        let bytes = fs::read(path).with_context(|| format!("{}", path.display()))?;
        files.push(archive::File::program(&format!("bin/{name}"), bytes));
    }
    for shell in ["bash", "fish", "zsh"] {
        let text = repo::output(repo::command(&tools.kerf).args(["completions", shell]))?;
        files.push(archive::File::text(&format!("completions/kerf.{shell}"), text));
    }
    let manual = tempfile::tempdir().context("a temporary folder")?;
    repo::output(repo::command(&tools.kerf).args(["man", "--output"]).arg(manual.path()))?;
    let mut pages: Vec<_> = fs::read_dir(manual.path())?.collect::<std::io::Result<_>>()?;
    pages.sort_by_key(fs::DirEntry::file_name);
    for page in pages {
        let name = format!("man/{}", page.file_name().to_string_lossy());
        files.push(archive::File::text(&name, fs::read(page.path())?));
    }
    for text in TEXTS {
        files.push(archive::File::text(
            text,
            fs::read(repo::root().join(text)).context(text)?,
        ));
    }
    let name = format!("kerf-{version}-{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let packed = archive::tar_gz(&files, &name, dist::stamp()?)?;
    dist::write(folder, &format!("{name}.tar.gz"), &packed)
}

/// The changelog's section of this version, or what is not released yet.
fn notes(changelog: &str, version: &str) -> Result<String> {
    let section = |heading: &str| {
        let mut sections = changelog.split("\n## ").skip(1);
        sections.find(|text| text.trim_start_matches('[').starts_with(heading))
    };
    let Some(text) = section(version).or_else(|| section("Unreleased")) else {
        bail!("CHANGELOG.md has no section {version}, and none of what is not released yet");
    };
    let body = text.split_once('\n').map_or("", |(_, body)| body).trim();
    ensure!(!body.is_empty(), "CHANGELOG.md says nothing of {version}");
    Ok(format!("# Kerf {version}\n\n{body}\n"))
}

/// Over the checksums, and so over every file.
fn sign(tools: &Programs, key: &Path, folder: &Path) -> Result<()> {
    let mut kerf = repo::command(&tools.kerf);
    kerf.arg("sign").arg("--file").arg(folder.join("SHA256SUMS"));
    println!("{}", repo::output(kerf.arg("--key").arg(key))?.trim());
    Ok(())
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("expected NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    const CHANGES: &str = "# Changelog\n\n## Unreleased\n\n- new\n\n## [1.0.0] - 2026-01-02\n\n- old\n";

    #[test]
    fn the_notes_are_the_versions_own_section() {
        assert_eq!(notes(CHANGES, "1.0.0").unwrap(), "# Kerf 1.0.0\n\n- old\n");
        assert_eq!(notes(CHANGES, "1.1.0").unwrap(), "# Kerf 1.1.0\n\n- new\n");
        assert!(notes("# Changelog\n", "1.0.0").is_err());
    }
}
