//! `cargo xtask dist`: what is flashed, as an archive and as a Debian package.
//!
//! Owns: which files go where. [`files`] makes them, [`deb`] and [`archive`] wrap them, [`sbom`] lists the crates inside.
//! Must not know: how a program is compiled. The same sources give the same bytes: every time stamp is the last commit's.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::build;
use crate::repo;
use crate::target::{self, Target};
use crate::toolchain;

pub(crate) mod archive;
mod deb;
pub(crate) mod files;
mod sbom;

/// Builds kerf-stage for boards and packs it: archive, Debian package, checksums, list of crates.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The board; every board where none is named.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Pack this program instead of building one.
    #[arg(long, value_name = "FILE", requires = "target")]
    program: Option<PathBuf>,
    /// Where the packages go.
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let targets = match &arguments.target {
        Some(name) => vec![target::named(name)?],
        None => buildable()?,
    };
    let folder = repo::root().join(&arguments.output);
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    for target in &targets {
        let program = if let Some(file) = &arguments.program {
            file.clone()
        } else {
            let (program, needs) = build::build(target, toolchain::way_here()?)?;
            println!("{}", build::described(target, &needs));
            program
        };
        let program = fs::read(&program).with_context(|| format!("{}", program.display()))?;
        pack(target, &program, &folder)?;
    }
    checksums(&folder)
}

/// Every target that this version can be built for; the others are named.
pub(crate) fn buildable() -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for target in target::all()? {
        let missing = target.missing_features()?;
        if missing.is_empty() {
            targets.push(target);
        } else {
            eprintln!(
                "dist: left out {}: this version has no {}",
                target.name,
                missing.join(", ")
            );
        }
    }
    Ok(targets)
}

/// Both packages of one target.
pub(crate) fn pack(target: &Target, program: &[u8], folder: &Path) -> Result<()> {
    let version = version()?;
    let stamp = stamp()?;
    let sbom = sbom::of(target, &version)?;
    let archive = format!("kerf-stage-{version}-{}", target.name);
    write(folder, &format!("{archive}.sbom.cdx.json"), sbom.as_bytes())?;
    let plain = files::plain(target, program, &sbom)?;
    write(
        folder,
        &format!("{archive}.tar.gz"),
        &archive::tar_gz(&plain, &archive, stamp)?,
    )?;
    let architecture = target.debian_architecture()?;
    let package = files::debian(target, program, &sbom)?;
    let control = files::control(target, &version, architecture, &package);
    let deb = deb::package(&control, &package, stamp)?;
    write(
        folder,
        &format!("kerf-stage_{version}_{architecture}_{}.deb", target.name),
        &deb,
    )
}

/// Written whole or not at all.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("{}", folder.display()))?;
    std::io::Write::write_all(&mut file, bytes).with_context(|| name.to_owned())?;
    file.persist(&path).with_context(|| name.to_owned())?;
    println!("{} {} bytes", path.display(), bytes.len());
    Ok(())
}

/// `SHA256SUMS` over every package of the folder, as `sha256sum --check` reads it.
pub(crate) fn checksums(folder: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let name = entry.with_context(|| format!("{}", folder.display()))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name != "SHA256SUMS" && Path::new(&name).extension() != Some(OsStr::new("sig")) {
            names.push(name);
        }
    }
    names.sort();
    let mut sums = String::new();
    for name in names {
        let bytes = fs::read(folder.join(&name)).with_context(|| name.clone())?;
        for byte in Sha256::digest(&bytes) {
            write!(sums, "{byte:02x}")?;
        }
        writeln!(sums, "  {name}")?;
    }
    write(folder, "SHA256SUMS", sums.as_bytes())
}

/// The workspace's version.
pub(crate) fn version() -> Result<String> {
    let text = fs::read_to_string(repo::root().join("Cargo.toml")).context("Cargo.toml")?;
    let manifest: toml::Table = toml::from_str(&text).context("Cargo.toml")?;
    let version = manifest
        .get("workspace")
        .and_then(|w| w.get("package"))
        .and_then(|p| p.get("version"));
    let version = version
        .and_then(toml::Value::as_str)
        .context("Cargo.toml has no workspace.package.version")?;
    Ok(version.to_owned())
}

/// Seconds since 1970 that every packed file gets: `SOURCE_DATE_EPOCH`, or the last commit's.
pub(crate) fn stamp() -> Result<u64> {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let text = match given {
        Some(text) => text,
        None => repo::output(repo::command("git").args(["log", "-1", "--format=%ct"]))?,
    };
    text.trim()
        .parse()
        .with_context(|| format!("expected seconds since 1970, got {text:?}"))
}
