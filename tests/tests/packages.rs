//! What is flashed: packages that dpkg and systemd take, the same bytes twice, and a flash that goes back when the board says no.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_tests::{fail, kerf, kerf_stage, succeed, xtask};

/// A target without vendor libraries: any program of this machine stands in for its binary.
const TARGET: &str = "pc-amd64";

fn pack(program: &Path, folder: &Path) {
    succeed(
        xtask()
            .args(["dist", "--target", TARGET, "--program"])
            .arg(program)
            .arg("--output")
            .arg(folder),
    );
}

fn one(folder: &Path, ending: &str) -> PathBuf {
    let mut found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    found
        .find(|path| path.to_str().unwrap().ends_with(ending))
        .unwrap_or_else(|| panic!("no {ending}"))
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_debian_package_is_what_dpkg_and_systemd_expect() {
    let folder = tempfile::tempdir().unwrap();
    pack(Path::new("/bin/true"), folder.path());
    let deb = one(folder.path(), ".deb");
    assert_eq!(
        succeed(Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Package")).trim(),
        "kerf-stage"
    );
    assert_eq!(
        succeed(Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Architecture")).trim(),
        "amd64"
    );
    let root = folder.path().join("root");
    succeed(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(&root));
    succeed(
        Command::new("sha256sum")
            .args(["--check", "--quiet", "SHA256SUMS"])
            .current_dir(folder.path()),
    );

    // systemd wants to see the program: a stand-in at its own place.
    let unit = fs::read_to_string(root.join("lib/systemd/system/kerf-stage.service")).unwrap();
    let verified = folder.path().join("kerf-stage.service");
    fs::write(&verified, unit.replace("/usr/bin/kerf-stage", "/bin/true")).unwrap();
    if Command::new("systemd-analyze").arg("--version").output().is_ok() {
        let said = Command::new("systemd-analyze")
            .arg("verify")
            .arg(&verified)
            .output()
            .unwrap();
        assert!(
            said.status.success() && said.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
    } else {
        eprintln!("SKIPPED: no systemd-analyze here; the unit was not verified");
    }

    // The configuration is one that kerf-stage reads: what it misses is the bundle, not a key.
    let config = root.join("etc/kerf/stage.toml");
    let said = kerf_stage()
        .arg("once")
        .arg("--config")
        .arg(config)
        .args(["--input", "x.npz"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("/var/lib/kerf/bundle"), "{said}");
}

#[test]
fn the_same_sources_give_the_same_packages() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&first, &second] {
        pack(Path::new("/bin/true"), folder.path());
    }
    for ending in [".deb", ".tar.gz", ".sbom.cdx.json", "SHA256SUMS"] {
        let read = |folder: &tempfile::TempDir| fs::read(one(folder.path(), ending)).unwrap();
        assert!(read(&first) == read(&second), "{ending} differs");
    }
}

/// A release with stand-ins for what would take an hour to build.
fn release(folder: &Path, key: &Path) -> PathBuf {
    let (files, tools) = (folder.join("release"), folder.join("tools"));
    // Development programs are a hundred times as long as what is released.
    fs::create_dir(&tools).unwrap();
    let real = PathBuf::from(kerf().get_program());
    script(&tools.join("kerf"), &format!("exec {} \"$@\"", real.display()));
    fs::copy("/bin/true", tools.join("kerf-stage")).unwrap();
    let mut xtask = xtask();
    xtask.args([
        "release",
        "--target",
        TARGET,
        "--program",
        &format!("{TARGET}=/bin/true"),
    ]);
    xtask.arg("--tools").arg(&tools);
    succeed(xtask.arg("--key").arg(key).arg("--output").arg(&files));
    files
}

#[test]
fn a_release_is_whole_signed_and_the_same_twice() {
    let (desk, first, second) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let key = |ending: &str| desk.path().join(format!("release.{ending}"));
    succeed(kerf().arg("keys").arg("new").arg(desk.path().join("release")));
    let files = release(first.path(), &key("key"));
    let again = release(second.path(), &key("key"));
    let names = |folder: &Path| {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&files), names(&again));
    for name in names(&files) {
        assert!(
            fs::read(files.join(&name)).unwrap() == fs::read(again.join(&name)).unwrap(),
            "{name} differs"
        );
    }
    let tools = names(&files);
    for ending in [
        ".deb",
        "-linux.tar.gz",
        ".sbom.cdx.json",
        "NOTES.md",
        "SHA256SUMS",
        "SHA256SUMS.sig",
    ] {
        assert!(
            tools.iter().any(|name| name.ends_with(ending)),
            "no {ending} in {tools:?}"
        );
    }
    succeed(
        Command::new("sha256sum")
            .args(["--check", "--quiet", "SHA256SUMS"])
            .current_dir(&files),
    );
    let listed = succeed(Command::new("tar").arg("-tzf").arg(one(&files, "-linux.tar.gz")));
    for path in [
        "/bin/kerf\n",
        "/bin/kerf-stage\n",
        "/man/kerf.1\n",
        "/completions/kerf.bash\n",
        "/LICENSE-MIT\n",
    ] {
        assert!(listed.contains(path), "no {path:?} in {listed}");
    }
    let check = |public: &Path| {
        let mut kerf = kerf();
        kerf.args(["sign", "--file"])
            .arg(files.join("SHA256SUMS"))
            .arg("--check")
            .arg(public);
        kerf
    };
    assert!(succeed(&mut check(&key("pub"))).contains("was signed with"));
    succeed(kerf().arg("keys").arg("new").arg(desk.path().join("other")));
    assert!(fail(&mut check(&desk.path().join("other.pub")), 20).contains("not among the keys"));
    let sums = fs::read_to_string(files.join("SHA256SUMS")).unwrap();
    fs::write(files.join("SHA256SUMS"), sums.replacen('0', "1", 1)).unwrap();
    assert!(fail(&mut check(&key("pub")), 20).contains("is not one of these bytes"));
}

/// A folder with an `ssh` that runs what it is told on this machine, with `board` standing for the board's root.
fn stand_in_ssh(board: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "while [ \"$1\" != -- ]; do shift; done\nshift\nKERF_ROOT={} exec sh -c \"$*\"",
        board.display()
    );
    script(&folder.path().join("ssh"), &text);
    folder
}

fn flash(packages: &Path, ssh: &Path, more: &[&str]) -> std::process::Output {
    let mut command = xtask();
    command.env("PATH", format!("{}:{}", ssh.display(), std::env::var("PATH").unwrap()));
    command
        .args(["flash", TARGET, "--host", "pi@board", "--packages"])
        .arg(packages)
        .args(more);
    command.output().unwrap()
}

#[test]
fn a_release_that_does_not_run_on_the_board_changes_nothing() {
    let (board, packages, programs) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let ssh = stand_in_ssh(board.path());
    let current = board.path().join("opt/kerf/current");
    let says = |word: &str, exit: i32| {
        let program = programs.path().join(word);
        script(&program, &format!("echo {word}\nexit {exit}"));
        pack(&program, packages.path());
    };

    says("first", 0);
    let asked = ["--part", "1", "--broker", "mqtt://desk:1883"];
    let output = flash(packages.path(), ssh.path(), &asked);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(succeed(&mut Command::new(current.join("kerf-stage"))), "first\n");
    let configuration = || fs::read_to_string(board.path().join("etc/kerf/stage.toml")).unwrap();
    let first = configuration();
    assert!(
        first.contains("\npart = 1\n") && first.contains("\nurl = \"mqtt://desk:1883\"\n"),
        "{first}"
    );

    // What is there stays; another part than the one that runs there is no slip to be passed over.
    let output = flash(packages.path(), ssh.path(), &["--part", "0"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("names another part"),
        "{said}"
    );
    assert_eq!(configuration(), first);

    says("second", 30);
    let output = flash(packages.path(), ssh.path(), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("nothing was changed"),
        "{said}"
    );
    assert_eq!(succeed(&mut Command::new(current.join("kerf-stage"))), "first\n");
}
