//! The rules of docs/ARCHITECTURE.md that a compiler does not hold: arrows between crates and between the splitter's
//! modules, lengths, and what may stand outside tests. Generated files (`// @generated` first) are exempt.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kerf_tests::succeed;

/// Longest file, lines without its tests.
const MAX_FILE_LINES: usize = 300;
/// Longest function, lines from `fn` to its brace.
const MAX_FUNCTION_LINES: usize = 70;
/// From model to bundle: each may use those before it, none the runtime.
const SPLITTER_ORDER: [&str; 5] = ["onnx", "graph", "cut", "plan", "emit"];
/// Folders of code that ships or builds what ships.
const SOURCES: [&str; 4] = ["wire/src", "runtime/src", "splitter/src", "build-scripts/src"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

struct Source {
    /// Relative to the root.
    path: String,
    /// Without the tests at its bottom.
    lines: Vec<String>,
}

impl Source {
    fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).unwrap();
        if text.starts_with("// @generated") {
            return None;
        }
        // Tests stand at the bottom, in a `mod` behind `#[cfg(test)]` and other attributes.
        let opens_tests = |at: &usize| {
            let mut lines = text[*at..].lines().take_while(|line| !line.trim().is_empty());
            lines.any(|line| line.starts_with("mod "))
        };
        let marks = text.match_indices("\n#[cfg(test)]\n").map(|(at, _)| at);
        let tests = marks.map(|at| at + 1).find(opens_tests).unwrap_or(text.len());
        Some(Self {
            path: file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
            lines: text[..tests].lines().map(str::to_owned).collect(),
        })
    }

    /// Lines that are no comment, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.lines.iter().enumerate().map(|(i, line)| (i + 1, line.as_str()));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // `src/…/tests/`: the rooms of a `tests.rs`.
            if path.file_name().is_some_and(|name| name != "tests") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_stem().is_none_or(|s| s != "tests") {
            found.push(path);
        }
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    for folder in folders {
        rust_files(&root().join(folder), &mut files);
    }
    files.sort();
    let read: Vec<Source> = files.iter().filter_map(|file| Source::read(file)).collect();
    assert!(!read.is_empty(), "no sources in {folders:?}");
    read
}

fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn crates_depend_one_way() {
    let mut metadata = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    metadata
        .current_dir(root())
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&succeed(&mut metadata)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &serde_json::Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let arrows: BTreeMap<String, Vec<String>> = packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter().map(name);
            (name(package), dependencies.filter(|d| ours.contains(d)).collect())
        })
        .collect();
    let allowed = [
        ("kerf-wire", &[][..]),
        ("xtask", &[]),
        ("kerf-runtime", &["kerf-wire"]),
        ("kerf-splitter", &["kerf-runtime", "kerf-wire"]),
        ("kerf-tests", &["kerf-splitter", "kerf-runtime", "kerf-wire"]),
    ];
    assert_eq!(
        arrows.len(),
        allowed.len(),
        "a new crate needs a place in this list: {:?}",
        arrows.keys()
    );
    for (name, may) in allowed {
        let wrong: Vec<_> = arrows[name].iter().filter(|d| !may.contains(&d.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
}

#[test]
fn the_splitter_goes_from_model_to_bundle_without_the_runtime() {
    let mut broken = Vec::new();
    for source in sources(&["splitter/src"]) {
        let inside = source.path.trim_start_matches("splitter/src/").trim_end_matches(".rs");
        let module = inside.split('/').next().unwrap();
        let Some(place) = SPLITTER_ORDER.iter().position(|m| *m == module) else {
            continue;
        };
        for (number, line) in source.code() {
            let later = SPLITTER_ORDER[place + 1..]
                .iter()
                .find(|m| line.contains(&format!("crate::{m}")));
            if line.contains("kerf_runtime") || later.is_some() {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(
        &broken,
        "onnx → graph → cut → plan → emit never use a later one or kerf_runtime",
    );
}

#[test]
fn the_dispatcher_spawns_programs_and_imports_none_of_ours() {
    let uses = |source: &Source| source.code().any(|(_, line)| line.contains("use kerf_"));
    let broken: Vec<_> = sources(&["build-scripts/src"])
        .into_iter()
        .filter(uses)
        .map(|s| s.path)
        .collect();
    assert_none(&broken, "xtask imports none of our crates");
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut broken = Vec::new();
    for source in sources(&SOURCES) {
        if source.lines.len() > MAX_FILE_LINES {
            broken.push(format!("{}: {} lines", source.path, source.lines.len()));
        }
        if !source.lines.first().is_some_and(|line| line.starts_with("//! ")) {
            broken.push(format!("{}: does not begin with a module comment", source.path));
        }
    }
    assert_none(
        &broken,
        "a file has a module comment and at most 300 lines without its tests",
    );
}

/// Functions by rustfmt's indentation: a function ends at the brace that stands where it began.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (number, line) in source.code() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let mut words = line.split_whitespace();
        let qualifiers = [
            "pub",
            "pub(crate)",
            "pub(super)",
            "const",
            "async",
            "unsafe",
            "extern",
            "\"C\"",
        ];
        let opens = words.find(|w| !qualifiers.contains(w)) == Some("fn");
        if !opens || line.ends_with(';') || (line.contains('{') && line.ends_with('}')) {
            continue;
        }
        let rest = &source.lines[number - 1..];
        let end = rest.iter().position(|l| {
            l.strip_prefix(indent)
                .is_some_and(|at| at == "}" || (at.starts_with(')') && at.ends_with(';')))
        });
        found.push((number, end.expect("a function ends") + 1));
    }
    found
}

#[test]
fn functions_are_short() {
    let mut broken = Vec::new();
    let mut count = 0;
    for source in sources(&SOURCES) {
        for (number, lines) in functions(&source) {
            count += 1;
            if lines > MAX_FUNCTION_LINES {
                broken.push(format!("{}:{number}: {lines} lines", source.path));
            }
        }
    }
    assert!(count > 100, "only {count} functions were found");
    assert_none(&broken, "a function has at most 70 lines");
}

#[test]
fn nothing_shipped_panics_by_choice_or_is_left_for_later() {
    let words = [
        ".unwrap()",
        ".expect(",
        "todo!",
        "unimplemented!",
        "panic!(",
        "TODO",
        "FIXME",
    ];
    let mut broken = Vec::new();
    for source in sources(&SOURCES) {
        let lines = source.lines.iter().enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.trim_start().starts_with("///")) {
            if words.iter().any(|word| line.contains(word)) {
                broken.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none(&broken, "no unwrap, expect, panic, todo outside tests");
}

#[test]
fn unsafe_code_stands_in_sys_files_with_its_reason() {
    let mut broken = Vec::new();
    for source in sources(&SOURCES) {
        let allowed = source.path.starts_with("runtime/src") && source.path.ends_with("sys.rs");
        for (number, line) in source.code() {
            let opens = line.contains("unsafe {") || line.contains("unsafe impl") || line.contains("unsafe fn");
            // The reason stands in the comment block above, or above the statement that the block is part of.
            let from = (number - 1).saturating_sub(12);
            let reasoned = source.lines[from..number - 1]
                .iter()
                .any(|l| l.contains("SAFETY:") || l.contains("# Safety"));
            if opens && !(allowed && reasoned) {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(
        &broken,
        "unsafe only in the runtime's sys.rs files, each with // SAFETY:",
    );
}

#[test]
fn the_top_level_is_as_promised() {
    let promised = [
        "Cargo.toml",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "cross.toml",
        "wire",
        "runtime",
        "splitter",
        "targets",
        "build-scripts",
        "tests",
        "docs/ARCHITECTURE.md",
        "build-scripts/demo",
        "build-scripts/test",
        ".ci/run",
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
    ];
    let missing: Vec<_> = promised
        .iter()
        .filter(|path| !root().join(path).exists())
        .map(ToString::to_string)
        .collect();
    assert_none(&missing, "missing at the top level");
}
