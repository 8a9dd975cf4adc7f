//! TensorFlow Lite's C library, which the tests run TFLite parts on. It comes in an npm package, for x86-64 and Arm64.
//!
//! Owns: `.vendor/tflite`. The archive is taken only with the digest that stands here.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::repo;

const PACKAGE: &str = "tfjs-tflite-node@0.0.2";
const ARCHIVE: &str = "tfjs-tflite-node-0.0.2.tgz";
const URL: &str = "https://registry.npmjs.org/tfjs-tflite-node/-/tfjs-tflite-node-0.0.2.tgz";
const SHA256: &str = "3be1632328a76a2475e5b6833253763c802c859433becb4d879ee1860e3b5284";

fn place() -> PathBuf {
    repo::root().join(".vendor/tflite")
}

/// True where it is not unpacked yet, or another one is.
pub(super) fn is_missing() -> bool {
    let stamp = fs::read_to_string(place().join("archive.sha256"));
    stamp.ok().as_deref() != Some(SHA256)
}

/// Fetches and unpacks it, with npm where that is, else with curl.
///
/// # Errors
/// When neither is there, the network is not, or the archive has another digest.
pub(super) fn fetch() -> Result<()> {
    eprintln!("setup: unpacking {PACKAGE} into .vendor/tflite");
    let place = place();
    fs::create_dir_all(&place).with_context(|| format!("{} cannot be made", place.display()))?;
    if repo::works("npm", &["--version"]) {
        repo::run(
            repo::command("npm")
                .current_dir(&place)
                .args(["pack", "--silent", PACKAGE]),
        )?;
    } else {
        let mut curl = repo::command("curl");
        repo::run(curl.current_dir(&place).args([
            "--fail",
            "--silent",
            "--show-error",
            "--location",
            "--remote-name",
            URL,
        ]))?;
    }
    let digests = place.join("archive.check");
    fs::write(&digests, format!("{SHA256}  {ARCHIVE}\n"))?;
    repo::run(
        repo::command("sha256sum")
            .current_dir(&place)
            .args(["--check", "--quiet", "archive.check"]),
    )?;
    let mut tar = repo::command("tar");
    tar.current_dir(&place)
        .args(["--extract", "--gzip", "--file", ARCHIVE, "--strip-components=2"]);
    repo::run(tar.args([
        "package/cc_deps/linux_amd64/libtensorflowlite_c.so",
        "package/cc_deps/linux_arm64/libtensorflowlite_c.so",
        "package/cc_deps/include",
    ]))?;
    for file in [digests, place.join(ARCHIVE)] {
        fs::remove_file(&file).with_context(|| format!("{} stays behind", file.display()))?;
    }
    fs::write(place.join("archive.sha256"), SHA256).context("the folder is marked as complete")
}
