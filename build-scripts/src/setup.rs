//! `cargo xtask setup`: installs what the tests need beyond cargo, and says so before it does.
//!
//! Owns: `tests/apt.txt`, `tests/requirements.txt`, `.venv`, `tests/vendor.txt`, `.vendor`, and with `--frameworks` what
//! `tests/frameworks/` lists, in `.venv-keras`. Does nothing where nothing is missing.
//! The C compiler and Rust, without which this program could not run, are `build-scripts/bootstrap.sh`'s.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use venv::Venv;

use crate::emulate::{self, Machine};
use crate::repo;

mod tflite;
mod vendor;
mod venv;

/// The judges.
const VENV: Venv = Venv {
    folder: ".venv",
    requirements: "tests/requirements.txt",
};
/// What the notebooks export from; PyTorch is Debian's, because PyPI's brings 2 GB for graphics cards.
const KERAS: Venv = Venv {
    folder: ".venv-keras",
    requirements: "tests/frameworks/keras.txt",
};
const PYTORCH: &str = "tests/frameworks/apt.txt";

/// Installs what the tests need: packages of tests/apt.txt, .venv from tests/requirements.txt, vendors' libraries of
/// tests/vendor.txt, and a Cortex-M4's tools.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only says what is missing; fails where something is.
    #[arg(long)]
    dry_run: bool,
    /// Keras and PyTorch too, which two notebooks export from: 1.7 GB and 0.5 GB.
    #[arg(long)]
    frameworks: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut wanted = entries("tests/apt.txt")?;
    let mut venvs = Vec::new();
    if std::env::var_os("KERF_TEST_PYTHON").is_none() {
        venvs.push(VENV);
    }
    if arguments.frameworks {
        wanted.extend(entries(PYTORCH)?);
        venvs.push(KERAS);
    }
    let packages = missing(wanted.iter().map(String::as_str));
    let wheels = vendor::missing(std::env::consts::ARCH)?;
    if arguments.dry_run {
        ensure!(packages.is_empty(), "missing packages: {}", packages.join(" "));
        for venv in venvs {
            ensure!(!venv.is_missing()?, "{} is missing or older than its list", venv.folder);
        }
        ensure!(!tflite::is_missing(), ".vendor/tflite is missing");
        ensure!(wheels.is_empty(), "vendors' libraries are missing: {wheels:?}");
        return Ok(());
    }
    install(&packages)?;
    for venv in venvs {
        venv.make()?;
    }
    if tflite::is_missing() {
        tflite::fetch()?;
    }
    vendor::fetch(&wheels)?;
    emulate::prepare(Machine::Thumb, false)
}

/// Gets vendors' libraries for another processor, and says so first.
///
/// # Errors
/// When a download fails.
pub(crate) fn vendors_for(arch: &str) -> Result<()> {
    vendor::fetch(&vendor::missing(arch)?)
}

/// The judges' Python: the one named by `KERF_TEST_PYTHON`, or that of `.venv`.
pub(crate) fn python() -> Option<PathBuf> {
    std::env::var_os("KERF_TEST_PYTHON").map(PathBuf::from).or_else(|| {
        let python = VENV.python();
        python.is_file().then_some(python)
    })
}

/// The entries of a list with `#` comments.
fn entries(file: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(repo::root().join(file)).with_context(|| format!("{file} cannot be read"))?;
    Ok(text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
        .filter(|entry| !entry.is_empty())
        .collect())
}

/// Those of some Debian packages that are not installed. On another system nothing is missing, but what is wanted is said.
pub(crate) fn missing<'a>(wanted: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted: Vec<&str> = wanted.collect();
    if !repo::works("dpkg-query", &["--version"]) {
        eprintln!("setup: no Debian or Ubuntu here; this needs: {}", wanted.join(" "));
        return Vec::new();
    }
    let installed = |package: &&str| {
        let query = ["--show", "--showformat=${db:Status-Status}", package];
        repo::output(repo::command("dpkg-query").args(query)).is_ok_and(|status| status == "installed")
    };
    let missing = wanted.into_iter().filter(|package| !installed(package));
    missing.map(str::to_owned).collect()
}

/// Installs Debian packages, and says so first; a package of another architecture (`NAME:arm64`) makes that known to dpkg.
///
/// # Errors
/// When there is neither root nor sudo, or an installation fails.
pub(crate) fn install(packages: &[String]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    eprintln!("setup: installing with apt-get: {}", packages.join(" "));
    let is_root = repo::output(repo::command("id").arg("-u"))?.trim() == "0";
    let as_root = |arguments: &[&str]| {
        let mut command = repo::command(if is_root { "env" } else { "sudo" });
        command
            .args((!is_root).then_some("env"))
            .arg("DEBIAN_FRONTEND=noninteractive")
            .args(arguments);
        repo::run(&mut command)
    };
    if !is_root && !repo::works("sudo", &["--version"]) {
        bail!("this needs root or sudo: apt-get install {}", packages.join(" "));
    }
    if packages.iter().any(|package| package.ends_with(":arm64")) {
        as_root(&["dpkg", "--add-architecture", "arm64"])?;
    }
    as_root(&["apt-get", "-q", "update"])?;
    let mut install = vec!["apt-get", "-q", "install", "-y", "--no-install-recommends"];
    install.extend(packages.iter().map(String::as_str));
    as_root(&install)
}
