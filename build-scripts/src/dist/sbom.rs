//! What is inside a program: the crates that cargo links for a target, as CycloneDX 1.5.
//!
//! `cargo tree` resolves features and platform as the build does; cargo-cyclonedx would list the whole workspace instead.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::repo;
use crate::target::Target;

/// The document's text.
///
/// # Errors
/// When cargo cannot resolve the target.
pub(super) fn of(target: &Target, version: &str) -> Result<String> {
    let build = &target.file.build;
    let mut tree = repo::cargo();
    tree.args([
        "tree",
        "--package",
        "kerf-runtime",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--locked",
    ]);
    tree.args([
        "--no-default-features",
        "--features",
        &build.features.join(","),
        "--target",
        &build.triple,
    ]);
    let lines = repo::output(tree.args(["--format", "{p}|{l}"]))?;
    let crates: BTreeSet<&str> = lines.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let components: Vec<serde_json::Value> = crates.iter().filter_map(|line| component(line)).collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": "application", "name": "kerf-stage", "version": version } },
        "components": components,
    });
    Ok(serde_json::to_string_pretty(&document).context("the list of crates is no JSON")? + "\n")
}

/// `name vVERSION (source)|LICENCE`.
fn component(line: &str) -> Option<serde_json::Value> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.trim_start_matches('v'));
    Some(json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
        "licenses": [{ "expression": licence.replace('/', " OR ") }],
    }))
}
