//! Shell blocks of a page, so that what a reader types is what a test has run.
//!
//! A block fenced as `sh` is run; one fenced as `sh needs=WHAT` needs a board, a cluster or a desktop and is not.
//! Any other block (`console`, `text`, `toml` …) is not a command.

use std::path::{Path, PathBuf};

/// One fenced block of shell commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Line of the opening fence, counted from 1.
    pub line: usize,
    /// What it needs that a test does not have; none where it runs anywhere.
    pub needs: Option<String>,
    /// The commands.
    pub text: String,
}

/// All shell blocks of a Markdown page, in order.
pub fn shell_blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, bool)> = None;
    for (index, line) in page.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, open.as_mut()) {
            (Some(_), Some(_)) => blocks.extend(open.take().and_then(|(block, is_shell)| is_shell.then_some(block))),
            (Some(info), None) => {
                let mut words = info.split_whitespace();
                let is_shell = words.next() == Some("sh");
                let needs = words.find_map(|word| word.strip_prefix("needs=")).map(str::to_owned);
                open = Some((
                    Block {
                        line: index + 1,
                        needs,
                        text: String::new(),
                    },
                    is_shell,
                ));
            }
            (None, Some((block, _))) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Every Markdown page that a reader meets, below the project's root.
pub fn all(root: &Path) -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    let mut folders = vec![root.join("docs"), root.join("targets")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of pages").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// Links of a page to files of the project: the targets of `[text](target)` that are no URL and no bare anchor.
pub fn local_links(page: &str) -> Vec<String> {
    page.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter(|target| !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:"))
        .map(|target| target.split('#').next().unwrap_or(target).to_owned())
        .collect()
}
