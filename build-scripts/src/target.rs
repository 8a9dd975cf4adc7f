//! A board: what `targets/NAME/target.toml` says.
//!
//! Owns: the file's format and its checks. Must not know: how a board is built.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::repo;

/// One board.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Target {
    /// The folder's name.
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) file: TargetFile,
}

/// `target.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetFile {
    pub(crate) build: Build,
    pub(crate) budget: Budget,
    pub(crate) run: Run,
}

/// How `kerf-stage` is compiled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    /// Rust's name for the platform.
    pub(crate) triple: String,
    /// The oldest glibc that the board has, e.g. `2.27`; none means a static binary, which cannot open a vendor library.
    #[serde(default)]
    pub(crate) glibc: Option<Glibc>,
    /// LLVM's name for the board's processor.
    pub(crate) cpu: String,
    /// Features of `kerf-runtime`; its defaults are off.
    pub(crate) features: Vec<String>,
    /// The codecs for size instead of speed: a third to two thirds of it. For boards whose tensors are small integers.
    #[serde(default)]
    pub(crate) small_codecs: bool,
}

/// What the result may weigh.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// The stripped program.
    pub(crate) binary_bytes: u64,
    /// Resident after 100 frames, less weights and peak activations.
    pub(crate) memory_bytes: u64,
}

/// What the board is told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Backends in the order to try.
    pub(crate) backends: Vec<String>,
    /// `f32`, `f16` or `int8`; the artifact's own where it is missing.
    #[serde(default)]
    pub(crate) precision: Option<String>,
    /// The vendor's library, where a backend opens one.
    #[serde(default)]
    pub(crate) library: Option<Library>,
    pub(crate) service: Service,
}

/// A library that the board must bring.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Library {
    pub(crate) file: String,
    pub(crate) version: String,
    /// What it comes with.
    pub(crate) package: String,
}

/// What the systemd unit allows beyond the default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// Device files.
    #[serde(default)]
    pub(crate) devices: Vec<String>,
    /// Groups that may open them.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// Longest start: TensorRT builds its engine then.
    #[serde(default = "default_start_seconds_max")]
    pub(crate) start_seconds_max: u32,
}

fn default_start_seconds_max() -> u32 {
    90
}

/// A glibc version, ordered as versions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Glibc {
    major: u32,
    minor: u32,
}

impl Glibc {
    /// Reads `2.27`; a third number, as in `2.2.5`, is left out.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(Self { major, minor })
    }
}

impl TryFrom<String> for Glibc {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("expected a glibc version as 2.27, got {text:?}"))
    }
}

impl From<Glibc> for String {
    fn from(version: Glibc) -> Self {
        version.to_string()
    }
}

impl std::fmt::Display for Glibc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Target {
    /// A static binary runs on any distribution.
    pub(crate) fn is_static(&self) -> bool {
        self.file.build.glibc.is_none()
    }

    /// Debian's name for its processor.
    ///
    /// # Errors
    /// When the triple's is not one of those known here.
    pub(crate) fn debian_architecture(&self) -> Result<&'static str> {
        let triple = &self.file.build.triple;
        match triple.split('-').next() {
            Some("x86_64") => Ok("amd64"),
            Some("aarch64") => Ok("arm64"),
            Some("armv7") => Ok("armhf"),
            _ => bail!("{triple}: Debian's name for this processor is not known"),
        }
    }

    /// Features that the target wants and `kerf-runtime` of this version does not have.
    ///
    /// # Errors
    /// When the runtime's manifest cannot be read.
    pub(crate) fn missing_features(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(repo::root().join("runtime/Cargo.toml")).context("runtime/Cargo.toml")?;
        let manifest: toml::Table = toml::from_str(&text).context("runtime/Cargo.toml")?;
        let features = manifest.get("features").and_then(toml::Value::as_table);
        let known = features.context("runtime/Cargo.toml has no features")?;
        let wanted = self.file.build.features.iter();
        Ok(wanted
            .filter(|feature| !known.contains_key(*feature))
            .cloned()
            .collect())
    }

    fn read(name: &str) -> Result<Self> {
        let path = repo::root().join("targets").join(name).join("target.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let file: TargetFile = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
        let target = Self {
            name: name.to_owned(),
            file,
        };
        target.check().with_context(|| format!("{}", path.display()))?;
        Ok(target)
    }

    fn check(&self) -> Result<()> {
        let build = &self.file.build;
        let is_musl = build.triple.contains("musl");
        ensure!(
            is_musl == self.is_static(),
            "a musl triple is static and has no glibc, any other names its board's glibc"
        );
        self.debian_architecture()?;
        let vendor = build
            .features
            .iter()
            .any(|f| !matches!(f.as_str(), "tract" | "threads" | "s3" | "tls" | "http" | "zstd"));
        ensure!(
            !(vendor && self.is_static()),
            "a static binary cannot open a vendor's library"
        );
        ensure!(
            vendor == self.file.run.library.is_some(),
            "[run.library] belongs to vendor backends, and they need it"
        );
        ensure!(!self.file.run.backends.is_empty(), "run.backends is empty");
        for backend in &self.file.run.backends {
            ensure!(
                build.features.contains(backend),
                "run.backends names {backend}, which is not among build.features"
            );
        }
        Ok(())
    }
}

/// Every target, by name.
///
/// # Errors
/// When a folder has no readable `target.toml`, or one that contradicts itself.
pub(crate) fn all() -> Result<Vec<Target>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(repo::root().join("targets")).context("targets/")? {
        let entry = entry.context("targets/")?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names.iter().map(|name| Target::read(name)).collect()
}

/// The target of this name.
///
/// # Errors
/// When there is none; the text lists those that there are.
pub(crate) fn named(name: &str) -> Result<Target> {
    let all = all()?;
    let known: Vec<String> = all.iter().map(|target| target.name.clone()).collect();
    all.into_iter()
        .find(|target| target.name == name)
        .with_context(|| format!("no target {name:?}; there are: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibc_versions_are_ordered_by_number() {
        assert!(Glibc::parse("2.4") < Glibc::parse("2.17"));
        assert_eq!(Glibc::parse("2.2.5"), Glibc::parse("2.2"));
        assert_eq!(Glibc::parse("PRIVATE"), None);
    }
}
