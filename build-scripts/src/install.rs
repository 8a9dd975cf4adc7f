//! `cargo xtask install-check`: a Debian package installed in a clean Debian root, run there, and taken away again.
//!
//! Owns: the root, and what must hold in it. Another processor's root runs under qemu. Needs root, and says what it installs.
//! Must not know: how a package is made (that is [`crate::dist`]'s).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::dist;
use crate::repo;
use crate::setup;
use crate::target;

/// Installs a target's Debian package in a clean Debian root, checks unit and program there, removes and purges it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The board, a folder of targets/.
    #[arg(long, value_name = "NAME")]
    target: String,
    /// Where `cargo xtask dist` has put the packages.
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    packages: PathBuf,
    /// Debian's release in the root.
    #[arg(long, value_name = "NAME", default_value = "bookworm")]
    suite: String,
}

/// Beside the smallest Debian: what the package depends on, and the judge of its unit.
const INCLUDE: &str = "--include=adduser,systemd";
/// Where the kernel is told which program runs which processor's programs.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        repo::output(repo::command("id").arg("-u"))?.trim() == "0",
        "a Debian root is made by root: run this with sudo"
    );
    let target = target::named(&arguments.target)?;
    let architecture = target.debian_architecture()?;
    let name = format!("kerf-stage_{}_{architecture}_{}.deb", dist::version()?, target.name);
    let package = repo::root().join(&arguments.packages).join(&name);
    ensure!(
        package.is_file(),
        "{} is not there: run `cargo xtask dist --target {}` first",
        package.display(),
        target.name
    );
    setup::install(&setup::missing(["debootstrap"].into_iter()))?;
    let _emulator = emulator(architecture)?;
    let clean = clean_root(architecture, &arguments.suite)?;
    // A copy, so that the next package meets a clean one too.
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    repo::run(
        repo::command("cp")
            .args(["-a", "--reflink=auto"])
            .arg(&clean)
            .arg(&root),
    )?;
    fs::copy(&package, root.join("package.deb")).with_context(|| name.clone())?;
    hold(&root)?;
    println!(
        "{name}: installed, verified, ran, removed and purged in {} {architecture}",
        arguments.suite
    );
    Ok(())
}

/// What must hold in a root with `package.deb`.
fn hold(root: &Path) -> Result<()> {
    let before = files(root)?;
    inside(root, &["dpkg", "--install", "/package.deb"])?;
    let said = inside(root, &["systemd-analyze", "verify", "kerf-stage.service"])?;
    ensure!(said.trim().is_empty(), "systemd-analyze says: {said}");
    // As the service's own user, and with the packaged configuration.
    let check = "setpriv --reuid=kerf --regid=kerf --clear-groups kerf-stage check --config /etc/kerf/stage.toml 2>&1 || echo ended with $?";
    let said = inside(root, &["sh", "-c", check])?;
    print!("{said}");
    ensure!(
        said.contains("ready") && said.contains("/var/lib/kerf/bundle"),
        "expected a ready backend and a missing bundle, got: {said}"
    );
    ensure!(
        inside(root, &["kerf-stage", "--version"])?.starts_with("kerf-stage "),
        "it does not say its version"
    );
    inside(root, &["dpkg", "--remove", "kerf-stage"])?;
    ensure!(
        !root.join("usr/bin/kerf-stage").exists(),
        "the program outlives its removal"
    );
    ensure!(
        root.join("etc/kerf/stage.toml").is_file(),
        "removal took the configuration"
    );
    inside(root, &["dpkg", "--purge", "kerf-stage"])?;
    let after = files(root)?;
    let left: Vec<&PathBuf> = after.difference(&before).collect();
    let lost: Vec<&PathBuf> = before.difference(&after).collect();
    ensure!(
        left.is_empty() && lost.is_empty(),
        "a purge left {left:?} and took {lost:?}"
    );
    Ok(())
}

/// Runs a command in the root; gives what it says on both streams.
fn inside(root: &Path, words: &[&str]) -> Result<String> {
    let mut command = Command::new("chroot");
    command.arg(root).args(words).env_clear();
    command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("DEBIAN_FRONTEND", "noninteractive");
    eprintln!("$ in the root: {}", words.join(" "));
    let output = command.output().context("chroot did not start")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{words:?} ended with {}: {said}",
        output.status
    );
    Ok(said)
}

/// Every file of a root, but for what the system keeps for itself.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let entry = entry?;
            let path = entry.path();
            let inner = path.strip_prefix(root)?.to_owned();
            let kept = ["run", "var/lib/dpkg", "var/log", "var/cache", "etc", "var/lib/systemd"];
            let kept = kept.iter().any(|kept| inner.starts_with(kept)) && !inner.starts_with("etc/kerf");
            if entry.file_type()?.is_dir() {
                folders.push(path);
            }
            if !kept {
                files.insert(inner);
            }
        }
    }
    Ok(files)
}

/// A clean root, made once.
fn clean_root(architecture: &str, suite: &str) -> Result<PathBuf> {
    let roots = repo::target_folder()?.join("roots");
    let root = roots.join(format!("{suite}-{architecture}"));
    if root.is_dir() {
        return Ok(root);
    }
    fs::create_dir_all(&roots)?;
    let unfinished = roots.join(format!("{suite}-{architecture}.part"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("an unfinished root")?;
    }
    let mut debootstrap = repo::command("debootstrap");
    debootstrap.args(["--variant=minbase", INCLUDE, &format!("--arch={architecture}"), suite]);
    // From the mirror that the system names, or its own.
    repo::run(debootstrap.arg(&unfinished))?;
    fs::rename(&unfinished, &root)?;
    Ok(root)
}

/// The kernel's entry for another processor's programs, taken back when it is dropped.
struct Emulator(Option<PathBuf>);

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(entry) = &self.0 {
            let _ = fs::write(entry, "-1");
        }
    }
}

/// Has the kernel run another processor's programs by qemu, where it does not yet.
fn emulator(architecture: &str) -> Result<Emulator> {
    let machine = match architecture {
        "arm64" => "qemu-aarch64",
        "armhf" => "qemu-arm",
        _ => return Ok(Emulator(None)),
    };
    setup::install(&setup::missing(["qemu-user-static"].into_iter()))?;
    let register = Path::new(BINFMT).join("register");
    if !register.exists() {
        repo::run(repo::command("mount").args(["-t", "binfmt_misc", "none", BINFMT]))?;
    }
    let entry = Path::new(BINFMT).join(machine);
    if entry.exists() {
        return Ok(Emulator(None));
    }
    // As the package says it to systemd; the flag F opens qemu now, so that it needs not lie in the root.
    let line =
        fs::read_to_string(format!("/usr/lib/binfmt.d/{machine}.conf")).context("qemu-user-static's binfmt.d")?;
    fs::write(&register, line.trim_end()).context("the kernel's binfmt_misc")?;
    Ok(Emulator(Some(entry)))
}
