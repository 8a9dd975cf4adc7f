//! Compilers for other machines.
//!
//! Owns: the three ways to a board's binary, and what each must have installed.
//! Must not know: which boards there are.
//!
//! | way | what it takes | what it brings |
//! |---|---|---|
//! | `cross` | Docker and `cross` | everything, in a container an architecture |
//! | `zig` | pip: ziglang, cargo-zigbuild, into target/tools | a C compiler and linker for every glibc and musl |
//!
//! With `zig`, Rust's standard library for the triple is taken where the compiler at hand or the distribution's has it, and built
//! from its source where not. No toolchain of the user's is changed: who has rustup adds the target by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::repo;
use crate::setup;
use crate::target::Target;

/// A way to compile for another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// `cross`, in a container.
    Cross,
    /// `cargo zigbuild`, on this machine.
    Zig,
}

/// The profile of root Cargo.toml that boards are built with.
const PROFILE: &str = "dist";
/// Read where the linker runs: the workspace's root, in a container too.
const NO_UNWIND: &str = "-Clink-arg=-Wl,-T,build-scripts/no-unwind.ld";
/// The compilers that come from PyPI, pinned.
const ZIG_PACKAGES: [&str; 2] = ["ziglang==0.15.1", "cargo-zigbuild==0.24.0"];

/// The first way that works here.
///
/// # Errors
/// When neither Docker with `cross` nor Python for zig is here.
pub(crate) fn way_here() -> Result<Way> {
    if repo::works("docker", &["info"]) && repo::works("cross", &["--version"]) {
        return Ok(Way::Cross);
    }
    ensure!(
        repo::works("python3", &["--version"]),
        "cross-compiling needs Docker and cross, or python3 for zig from PyPI"
    );
    Ok(Way::Zig)
}

/// The command that builds a target's `kerf-stage`.
///
/// # Errors
/// When cross.toml is missing: `cross` would ignore that without a word.
pub(crate) fn command(target: &Target, way: Way) -> Result<Command> {
    let mut command = match way {
        Way::Cross => cross(&repo::root().join("cross.toml"))?,
        Way::Zig => zig(target)?,
    };
    let build = &target.file.build;
    command.args([
        "--package",
        "kerf-runtime",
        "--bin",
        "kerf-stage",
        "--profile",
        PROFILE,
        "--locked",
    ]);
    command.args(["--no-default-features", "--features", &build.features.join(",")]);
    if build.small_codecs {
        command
            .arg("--config")
            .arg(format!("profile.{PROFILE}.package.kerf-wire.opt-level=\"s\""));
    }
    command.arg("--target").arg(match (way, build.glibc) {
        (Way::Zig, Some(glibc)) => format!("{}.{glibc}", build.triple),
        _ => build.triple.clone(),
    });
    if way == Way::Zig && rust_std(&build.triple)? == RustStd::FromSource {
        command.arg("-Zbuild-std=std,panic_abort");
    }
    command.arg("--target-dir").arg(target_dir(target)?);
    command.env(
        format!("CARGO_TARGET_{}_RUSTFLAGS", variable(&build.triple)),
        flags(target, way)?,
    );
    Ok(command)
}

/// `cross build`, told of the lower-case cross.toml that it would not read by itself.
fn cross(config: &Path) -> Result<Command> {
    ensure!(
        config.is_file(),
        "{} is missing; cross would build without it and not say so",
        config.display()
    );
    let mut command = repo::command("cross");
    command.arg("build").env("CROSS_CONFIG", config);
    Ok(command)
}

/// Debian 12's own Rust, with the standard library of 64-bit Arm and the source for every other triple.
const DEBIAN_RUST: [&str; 4] = ["rustc-web", "cargo-web", "libstd-rust-web-dev:arm64", "rust-web-src"];

/// A cargo that can compile for a triple.
///
/// # Errors
/// When Rust's standard library for it is nowhere.
pub(crate) fn cargo(triple: &str) -> Result<Command> {
    if rust_std(triple)? == RustStd::AtHand {
        return Ok(repo::cargo());
    }
    let mut command = repo::command("/usr/bin/cargo");
    // The version of cargo that xtask runs under must not reach the other one.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    Ok(command)
}

/// Whether Rust's standard library for a triple, or its source, is here.
fn has_std(triple: &str) -> bool {
    rust_std(triple).is_ok()
}

/// Whether the standard library for a triple is compiled from source.
///
/// # Errors
/// When it is nowhere.
pub(crate) fn std_from_source(triple: &str) -> Result<bool> {
    Ok(rust_std(triple)? == RustStd::FromSource)
}

/// The packages that bring a standard library for a triple, where no compiler here has it.
pub(crate) fn packages(triple: &str) -> Vec<String> {
    if has_std(triple) {
        return Vec::new();
    }
    eprintln!(
        "setup: this compiler has no standard library for {triple} (`rustup target add {triple}` would add it): taking Debian's Rust"
    );
    setup::missing(DEBIAN_RUST.iter().copied())
}

fn zig(target: &Target) -> Result<Command> {
    let programs = tools()?.join("bin");
    let mut command = repo::command(programs.join("cargo-zigbuild"));
    command.arg("zigbuild");
    // It asks the first python3 of the PATH for zig.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(programs).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).context("a folder of the PATH")?);
    if let RustStd::Distribution | RustStd::FromSource = rust_std(&target.file.build.triple)? {
        // The distribution's compiler, with the standard library or its source that belongs to it.
        command
            .env("CARGO", "/usr/bin/cargo")
            .env("RUSTC", "/usr/bin/rustc")
            .env("RUSTC_BOOTSTRAP", "1");
    }
    Ok(command)
}

fn flags(target: &Target, way: Way) -> Result<String> {
    let build = &target.file.build;
    let mut flags = vec![format!("-Ctarget-cpu={}", build.cpu), NO_UNWIND.to_owned()];
    if target.is_static() {
        flags.push("-Ctarget-feature=+crt-static".to_owned());
        if way == Way::Zig && rust_std(&build.triple)? == RustStd::FromSource {
            // Zig brings musl's start files and libc; a standard library built here has none beside it.
            flags.push("-Clink-self-contained=no".to_owned());
        }
    }
    Ok(flags.join(" "))
}

/// Where Rust's standard library for a triple comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RustStd {
    /// The compiler at hand has it.
    AtHand,
    /// Debian's rustc has it from a package of the other architecture.
    Distribution,
    /// It is compiled from the distribution's source.
    FromSource,
}

fn rust_std(triple: &str) -> Result<RustStd> {
    let library = |rustc: &str| {
        let folder = repo::output(repo::command(rustc).args(["--print", "target-libdir", "--target", triple]));
        folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
    };
    if library("rustc") {
        Ok(RustStd::AtHand)
    } else if library("/usr/bin/rustc") {
        Ok(RustStd::Distribution)
    } else if Path::new("/usr/lib/rustlib/src/rust/library").is_dir() {
        Ok(RustStd::FromSource)
    } else {
        bail!(
            "Rust's standard library for {triple} is not here: `rustup target add {triple}`, or on Debian 12 \
             `apt-get install rustc-web cargo-web rust-web-src`"
        )
    }
}

/// Installs what a way needs and this machine lacks, and says so.
///
/// # Errors
/// When an installation fails.
pub(crate) fn prepare(way: Way, triple: &str) -> Result<()> {
    if way == Way::Cross {
        return Ok(());
    }
    setup::install(&packages(triple))?;
    let tools = tools()?;
    if tools.join("bin/cargo-zigbuild").is_file() {
        return Ok(());
    }
    eprintln!("build: installing {} into {}", ZIG_PACKAGES.join(" "), tools.display());
    repo::run(repo::command("python3").args(["-m", "venv"]).arg(&tools))?;
    let mut pip = repo::command(tools.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    repo::run(pip.args(ZIG_PACKAGES))
}

/// Where zig and cargo-zigbuild are installed.
fn tools() -> Result<PathBuf> {
    Ok(repo::target_folder()?.join("tools"))
}

/// Builds for different processors of one architecture have other flags: a folder a target, so that none undoes another's.
fn target_dir(target: &Target) -> Result<PathBuf> {
    Ok(repo::target_folder()?.join("boards").join(&target.name))
}

/// Where the finished program lies.
///
/// # Errors
/// When cargo does not say where it builds.
pub(crate) fn program(target: &Target) -> Result<PathBuf> {
    let folder = target_dir(target)?.join(&target.file.build.triple).join(PROFILE);
    Ok(folder.join("kerf-stage"))
}

/// A triple as cargo writes it in names of variables.
fn variable(triple: &str) -> String {
    triple.to_uppercase().replace(['-', '.'], "_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn a_missing_cross_toml_is_an_error_of_ours() {
        let missing = repo::root().join("no-such-folder/cross.toml");
        let why = cross(&missing).unwrap_err().to_string();
        assert!(why.contains("cross.toml is missing"), "{why}");
    }
}
