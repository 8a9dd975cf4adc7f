//! The repository and the programs built from it: where they are, and how commands run in it.
//!
//! Owns: paths, spawning. Must not know: what a task is for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// A command that runs in the repository's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that started us.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Shows a command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Says a command and runs it.
///
/// # Errors
/// When it does not start or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    eprintln!("$ {line}");
    let status = command.status().with_context(|| format!("{line} did not start"))?;
    ensure!(status.success(), "{line} failed with {status}");
    Ok(())
}

/// Runs a command quietly; gives its standard output.
///
/// # Errors
/// When it does not start or fails; its standard error is in the text.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command.output().with_context(|| format!("{line} did not start"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line} failed with {}: {said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program answers `--version` or whatever arguments are given.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = command(program);
    command.args(arguments).output().is_ok_and(|o| o.status.success())
}

/// How the programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build; the engines in it are optimised.
    Dev,
    /// What is shipped.
    Release,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// The programs that tests, demo and benchmarks spawn.
pub(crate) struct Programs {
    /// `kerf`.
    pub(crate) kerf: PathBuf,
    /// `kerf-stage`.
    pub(crate) kerf_stage: PathBuf,
    /// Named by a person, or quick to build: not for the record.
    pub(crate) given: bool,
}

/// Builds both programs.
///
/// # Errors
/// When cargo fails.
pub(crate) fn build_programs(profile: Profile) -> Result<Programs> {
    let mut build = cargo();
    build.args([
        "build",
        "--package",
        "kerf-splitter",
        "--package",
        "kerf-runtime",
        "--bins",
    ]);
    if profile == Profile::Release {
        build.arg("--release");
    }
    run(&mut build)?;
    programs(profile)
}

/// The programs as they were built last.
///
/// # Errors
/// When one is missing.
pub(crate) fn programs(profile: Profile) -> Result<Programs> {
    let folder = target_folder()?.join(profile.folder());
    let program = |name: &str| {
        let file = folder.join(name);
        ensure!(file.is_file(), "{} was not built", file.display());
        Ok(file)
    };
    Ok(Programs {
        kerf: program("kerf")?,
        kerf_stage: program("kerf-stage")?,
        given: false,
    })
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata is no JSON")?;
    match metadata.get("target_directory").and_then(|folder| folder.as_str()) {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => bail!("cargo metadata names no target_directory"),
    }
}
