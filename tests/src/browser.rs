//! A real browser without a window, for pages that people look at.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's Chromium, or none, said aloud; under `CI=true` it must be there.
pub fn chromium() -> Option<PathBuf> {
    let found = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ]
    .iter()
    .map(PathBuf::from)
    .find(|path| path.exists());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "Chromium is not installed; build-scripts/test installs it"
        );
        eprintln!("SKIPPED: Chromium is not installed: apt-get install chromium");
    }
    found
}

/// The page as the browser sees it after its scripts have run; `hash` is the part of the address behind `#`.
///
/// # Panics
/// When the browser fails.
pub fn dom(chromium: &Path, page: &Path, hash: &str) -> String {
    let profile = tempfile::tempdir().expect("a folder for the browser");
    let page = page.canonicalize().expect("the page is there");
    let mut command = Command::new(chromium);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--window-size=1400,900", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("file://{}#{hash}", page.display()));
    crate::succeed(&mut command)
}
