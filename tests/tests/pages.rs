//! Every command in the README and the docs runs as printed, and every link leads somewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kerf_tests::{pages, tool_path};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Runs all blocks of one page in one shell, in an empty folder that has the project's `tests/fixtures`.
fn run_page(page: &Path) -> Result<usize, String> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut script = String::from("set -eu\n");
    let mut run = 0;
    for block in pages::shell_blocks(&text) {
        if let Some(needs) = block.needs {
            println!("SKIPPED: {}:{}: needs {needs}", page.display(), block.line);
            continue;
        }
        run += 1;
        write!(script, "echo '--- line {}' >&2\n{}", block.line, block.text).unwrap();
    }
    if run == 0 {
        return Ok(0);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tests")).unwrap();
    std::os::unix::fs::symlink(root().join("tests/fixtures"), folder.path().join("tests/fixtures")).unwrap();
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", tool_path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(run);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} ended with {}:\n{stderr}", page.display(), output.status))
}

#[test]
fn every_command_of_the_pages_runs() {
    let results: Vec<_> = pages::all(&root())
        .iter()
        .map(|page| (page.clone(), run_page(page)))
        .collect();
    for (page, result) in &results {
        println!("{}: {:?} blocks run", page.display(), result.as_ref().ok());
    }
    let failures: Vec<_> = results.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(
        results.iter().any(|(_, result)| matches!(result, Ok(n) if *n > 0)),
        "no page has a command"
    );
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let mut dead = Vec::new();
    for page in pages::all(&root()) {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in pages::local_links(&text) {
            if !page.parent().unwrap().join(&link).exists() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn blocks_are_found_and_told_apart() {
    let page = "a\n```sh\nkerf doctor\n```\n```sh needs=jetson-nano\nx\n```\n```text\ny\n```\n";
    let blocks = pages::shell_blocks(page);
    assert_eq!(blocks.len(), 2);
    assert_eq!((blocks[0].line, blocks[0].text.as_str()), (2, "kerf doctor\n"));
    assert_eq!(blocks[1].needs.as_deref(), Some("jetson-nano"));
}
