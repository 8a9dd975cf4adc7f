//! Promise: `kerf cloud image` writes a container image without Docker, the same one on every day and machine.
//!
//! The judges are skopeo and umoci, and the kernel: the unpacked program runs in its own root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_tests::{bundle_of, fail, kerf, succeed};
use serde_json::Value;

/// A static `kerf-stage` where the environment names one, else a static stand-in that says the same.
fn program(desk: &Path) -> PathBuf {
    if let Some(real) = std::env::var_os("KERF_STAGE_STATIC") {
        return real.into();
    }
    eprintln!("SKIPPED in part: KERF_STAGE_STATIC names no static kerf-stage, so a stand-in is packed");
    let source = desk.join("stand-in.rs");
    fs::write(&source, r#"fn main() { println!("kerf-stage stand-in, uid 65532 {}", std::fs::read_to_string("/etc/passwd").unwrap().contains("65532")); }"#).unwrap();
    let program = desk.join("kerf-stage");
    succeed(
        Command::new("rustc")
            .args(["-O", "-C", "target-feature=+crt-static", "-o"])
            .args([&program, &source]),
    );
    program
}

fn image(bundle: &Path, program: &Path, to: &Path) -> Value {
    let mut kerf = kerf();
    kerf.args(["cloud", "image", "--tag", "1.0", "--program"])
        .args([program, bundle])
        .arg("-o")
        .arg(to);
    serde_json::from_str(&succeed(&mut kerf)).unwrap()
}

fn there(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok();
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{tool} is not installed under CI"
    );
    if !there {
        eprintln!("SKIPPED: {tool} is not installed");
    }
    there
}

#[test]
fn the_same_input_gives_the_same_image_and_its_program_runs_in_its_own_root() {
    let desk = tempfile::tempdir().unwrap();
    let bundle = bundle_of("lenet5", desk.path());
    let program = program(desk.path());
    let (layout, archive) = (desk.path().join("layout"), desk.path().join("image.tar"));
    let first = image(&bundle, &program, &layout);
    // Another day, another name, another folder: the same digest.
    let copy = desk.path().join("copy");
    fs::copy(&program, &copy).unwrap();
    assert_eq!(image(&bundle, &copy, &archive), first);
    println!("{first}");
    if let Some(bytes) = std::env::var_os("KERF_STAGE_STATIC").and_then(|_| first["program_bytes"].as_u64()) {
        assert!(bytes <= 15_000_000, "the image without the model is {bytes} bytes");
    }
    if !there("skopeo") || !there("umoci") {
        return;
    }
    for reference in [
        format!("oci:{}:1.0", layout.display()),
        format!("oci-archive:{}:1.0", archive.display()),
    ] {
        let inspected: Value =
            serde_json::from_str(&succeed(Command::new("skopeo").args(["inspect", &reference]))).unwrap();
        assert_eq!(inspected["Os"], "linux");
        assert!(
            inspected["Labels"]["kerf.model"]
                .as_str()
                .is_some_and(|d| d.len() == 64)
        );
        // A copy checks every digest and every diff_id.
        let to = desk.path().join("skopeo");
        succeed(Command::new("skopeo").args(["copy", "-q", &reference, &format!("dir:{}", to.display())]));
        fs::remove_dir_all(to).unwrap();
    }
    let root = desk.path().join("root");
    let from = format!("{}:1.0", layout.display());
    succeed(
        Command::new("umoci")
            .args(["unpack", "--rootless", "--image", &from])
            .arg(&root),
    );
    let config: Value = serde_json::from_slice(&fs::read(root.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["process"]["user"]["uid"], 65532);
    assert_eq!(
        config["process"]["args"],
        serde_json::json!(["/usr/bin/kerf-stage", "serve"])
    );
    let rootfs = root.join("rootfs");
    for file in ["manifest.json", "part-1.onnx"] {
        assert_eq!(
            fs::read(rootfs.join("bundle").join(file)).unwrap(),
            fs::read(bundle.join(file)).unwrap()
        );
    }
    assert!(
        !rootfs.join("bundle/part-0.onnx").exists(),
        "the head stays at the edge"
    );
    let mut chroot = Command::new("chroot");
    chroot
        .arg("--userspec=65532:65532")
        .arg(&rootfs)
        .args(["/usr/bin/kerf-stage", "--version"]);
    // Where one is not root, it is not permitted, or not even on the path.
    let Ok(out) = chroot.output() else {
        eprintln!("SKIPPED in part: chroot is not on the path");
        return;
    };
    if String::from_utf8_lossy(&out.stderr).contains("Operation not permitted") {
        eprintln!("SKIPPED in part: not root, so no chroot");
        return;
    }
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.starts_with("kerf-stage"), "{out:?}");
    println!("in its own root: {}", said.trim());
}

#[test]
fn a_program_that_would_not_run_there_is_refused() {
    let desk = tempfile::tempdir().unwrap();
    let bundle = bundle_of("lenet5", desk.path());
    let to = desk.path().join("image");
    let run = |program: &Path, code| {
        let mut kerf = kerf();
        kerf.args(["cloud", "image", "--program"])
            .args([program, &bundle])
            .arg("-o")
            .arg(&to);
        fail(&mut kerf, code)
    };
    assert!(run(Path::new("/bin/sh"), 2).contains("linked dynamically"));
    assert!(run(&bundle.join("manifest.json"), 2).contains("no 64-bit Linux program"));
    let part = bundle.join("part-1.onnx");
    let mut bytes = fs::read(&part).unwrap();
    bytes[100] ^= 1;
    fs::write(&part, bytes).unwrap();
    run(Path::new("/bin/sh"), 20);
    assert!(!to.exists());
}
