//! `cargo xtask fuzz`: everything that decodes what comes from outside, under libFuzzer, for a while.
//!
//! Owns: how a target is built, what it starts from, how long it runs. Must not know: what a target does.
//! Needs a C++ compiler (libFuzzer is C++) and nothing else: the instrumentation is stable rustc's own, and our code has no
//! unsafe that a sanitizer would have to watch.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::repo;

/// What rustc must be told so that libFuzzer sees which code runs.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// A target, the folder and ending of the files that it starts from, and the longest input, bytes.
const TARGETS: [(&str, &str, &str, u32); 4] = [
    ("message", "wire/tests/golden", "bin", 4096),
    ("manifest", "tests/fuzz/seeds", "json", 8192),
    ("onnx", "tests/fixtures/models", "onnx", 16_384),
    (SLOW_TO_BUILD, "tests/fixtures/models", "onnx", 16_384),
];
/// It brings the shape analysis, and with it an engine: run only where it is named.
const SLOW_TO_BUILD: &str = "cuts";

/// Fuzzes; ends with the first input that a target does not survive, which then lies in tests/fuzz/artifacts.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which targets: message, manifest, onnx, cuts; all but cuts, which builds for many minutes, where none is named.
    names: Vec<String>,
    /// Seconds a target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for name in &arguments.names {
        let known = TARGETS.iter().any(|(target, ..)| target == name);
        ensure!(known, "{name:?} is not among: message, manifest, onnx, cuts");
    }
    let folder = repo::root().join("tests/fuzz");
    let chosen = |name: &str| match arguments.names.as_slice() {
        [] => name != SLOW_TO_BUILD,
        names => names.iter().any(|n| n == name),
    };
    for (name, seeds, ending, longest) in TARGETS.into_iter().filter(|(name, ..)| chosen(name)) {
        let program = build(&folder, name)?;
        let corpus = folder.join("corpus").join(name);
        let artifacts = folder.join("artifacts").join(name);
        std::fs::create_dir_all(&artifacts)?;
        seed(&repo::root().join(seeds), ending, longest, &corpus)?;
        let mut fuzz = repo::command(program);
        fuzz.arg(&corpus)
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(format!("-max_total_time={}", arguments.seconds))
            .arg(format!("-max_len={longest}"))
            // Seconds for one input, and megabytes.
            .args(["-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1"]);
        repo::run(&mut fuzz)?;
    }
    Ok(())
}

fn build(folder: &Path, name: &str) -> Result<PathBuf> {
    let mut build = repo::cargo();
    build.current_dir(folder).env("RUSTFLAGS", INSTRUMENTED).args([
        "build",
        "--release",
        "--target",
        host()?.as_str(),
        "--bin",
        name,
    ]);
    if name == SLOW_TO_BUILD {
        build.args(["--features", name]);
    }
    repo::run(&mut build)?;
    Ok(folder.join("target").join(host()?).join("release").join(name))
}

/// Naming the host as the target keeps the flags away from build scripts.
fn host() -> Result<String> {
    let said = repo::output(repo::command("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names its host")?.to_owned())
}

/// Copies what is known to be right into the corpus: mutations of it go deep.
fn seed(from: &Path, ending: &str, longest: u32, corpus: &Path) -> Result<()> {
    std::fs::create_dir_all(corpus)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let fits = path.extension().is_some_and(|e| e == ending) && path.metadata()?.len() <= u64::from(longest);
        if let Some(name) = path.file_name().filter(|_| fits) {
            std::fs::copy(&path, corpus.join(name))?;
        }
    }
    Ok(())
}
