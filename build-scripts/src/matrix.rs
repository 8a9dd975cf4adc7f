//! `cargo xtask matrix`: every target, for people and for CI.

use anyhow::{Context as _, Result};

use crate::target;

/// Lists every target: triple, glibc floor, features, budget.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// As JSON, e.g. for a CI matrix: {"include": [{"name": …, "build": …, "budget": …, "run": …}]}.
    #[arg(long)]
    json: bool,
    /// As one line `matrix=JSON` for a workflow's output; only targets that this version can be built for.
    #[arg(long, conflicts_with = "json")]
    github: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let targets = target::all()?;
    if arguments.github {
        let mut buildable = Vec::new();
        for target in targets {
            if target.missing_features()?.is_empty() {
                buildable.push(target);
            }
        }
        let matrix = serde_json::json!({ "include": buildable });
        println!("matrix={matrix}");
        return Ok(());
    }
    if arguments.json {
        let matrix = serde_json::json!({ "include": targets });
        println!("{}", serde_json::to_string(&matrix).context("the matrix is no JSON")?);
        return Ok(());
    }
    println!(
        "{:<21} {:<30} {:>6} {:>9}  features",
        "target", "triple", "glibc", "budget MB"
    );
    for target in &targets {
        let build = &target.file.build;
        let glibc = build
            .glibc
            .map_or_else(|| "static".to_owned(), |version| version.to_string());
        let megabytes = target.file.budget.binary_bytes as f64 / 1e6;
        let missing = target.missing_features()?;
        let not_yet = if missing.is_empty() {
            String::new()
        } else {
            format!("  (not in this version: {})", missing.join(" "))
        };
        let features = build.features.join(" ") + &not_yet;
        println!(
            "{:<21} {:<30} {glibc:>6} {megabytes:>9.1}  {features}",
            target.name, build.triple
        );
    }
    Ok(())
}
