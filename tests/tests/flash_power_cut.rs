//! Promise: a power cut at any point while a release or a bundle is put on a board leaves the old or the new one, whole, and
//! the next flash goes through.
//!
//! The board's disk is a real ext4 on a loop device, which writes out as late as it can. Before each command of the board's
//! own script the device is copied as it is at that moment: what was not written out is lost, as it would be on the board. A
//! second run writes everything out before each copy: there the program was killed and nothing is lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kerf_tests::succeed;

/// What the script calls that can change the disk, or make it write.
const CALLS: [&str; 8] = ["mkdir", "rm", "tar", "sync", "mv", "ln", "cp", "tee"];
const DISK_BYTES: u64 = 8 * 1024 * 1024;

/// An ext4 in a file, mounted until it is dropped.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Only written out when it is asked to, and no rename is taken for a wish to write: the harshest that ext4 may be.
    fn mount(image: &Path, at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let options = "loop,commit=900,noauto_da_alloc";
        succeed(Command::new("mount").args(["-o", options]).arg(image).arg(at));
        Self { at: at.to_owned() }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

fn is_root_with_loop_devices() -> bool {
    let root = succeed(Command::new("id").arg("-u")).trim() == "0";
    let there =
        root && ["losetup", "mkfs.ext4"].iter().all(|tool| {
            let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
            found.is_ok_and(|output| output.status.success())
        }) && Command::new("losetup").arg("--find").output().unwrap().status.success();
    if !there {
        eprintln!("SKIPPED: needs root, loop devices and e2fsprogs");
    }
    there
}

struct Board {
    desk: tempfile::TempDir,
}

impl Board {
    fn new() -> Self {
        // In memory where that may be: each step waits for its disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let desk = tempfile::tempdir_in(folder).unwrap();
        let board = Self { desk };
        for version in ["old", "new"] {
            // The program says yes to every check: what is tested is the script around it.
            let release = board.path(&format!("release-{version}"));
            fs::create_dir(&release).unwrap();
            Board::script(&release.join("kerf-stage"), &format!("echo {version} >&2"));
            fs::write(release.join("stage.toml"), "[stage]\npart = 0\n").unwrap();
            let bundle = board.path(&format!("bundle-{version}"));
            fs::create_dir(&bundle).unwrap();
            fs::write(bundle.join("manifest.json"), format!("{{\"is\": {version:?}}}")).unwrap();
            // Larger than what fits into an inode: its contents are written out apart from its name.
            fs::write(bundle.join("part-0.onnx"), version.repeat(30_000)).unwrap();
        }
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path().join(name)
    }

    fn script(path: &Path, text: &str) {
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Puts a release and its bundle below `root`, with `path` as the script's PATH.
    fn flash(&self, version: &str, root: &Path, path: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build-scripts/src/flash/board.sh");
        let packed = |folder: &str, below: &str| {
            let tar = self.path("stream.tar");
            let packed = self.path(&format!("{folder}-{version}"));
            let kind = if folder == "release" { "-czf" } else { "-cf" };
            let mut pack = Command::new("/bin/tar");
            pack.arg(kind).arg(&tar).arg("-C").arg(&packed);
            pack.arg(format!("--transform=s,^\\.,{below},")).arg(".");
            succeed(&mut pack);
            tar
        };
        let step = |words: &[&str], stream: &Path| {
            let mut sh = Command::new("/bin/sh");
            sh.arg(&script).args(words).env("KERF_ROOT", root).env("PATH", path);
            succeed(sh.stdin(Stdio::from(File::open(stream).unwrap())));
        };
        step(
            &["release", "kerf-stage-1", "tract"],
            &packed("release", "kerf-stage-1"),
        );
        step(&["config", "0", "-"], &self.path("release-old").join("stage.toml"));
        step(&["bundle"], &packed("bundle", "."));
    }

    /// Which version a link below `root` leads to; panics where it leads to neither, whole.
    fn version(&self, link: &Path, kind: &str) -> &'static str {
        for version in ["old", "new"] {
            let wanted = self.path(&format!("{kind}-{version}"));
            let mut same = fs::read_dir(&wanted).unwrap().map(|entry| {
                let entry = entry.unwrap();
                fs::read(link.join(entry.file_name())).ok() == fs::read(entry.path()).ok()
            });
            if same.all(|same| same) {
                return version;
            }
        }
        let files = Command::new("ls")
            .arg("-lR")
            .arg(link.parent().unwrap())
            .output()
            .unwrap();
        panic!("neither old nor new:\n{}", String::from_utf8_lossy(&files.stdout));
    }

    /// A folder whose commands copy the disk before they do what they are for.
    fn watched_path(&self, image: &Path, disk: &Path, copies: &Path, written_out: bool) -> String {
        let folder = self.path(if written_out { "killed" } else { "cut" });
        fs::create_dir(&folder).unwrap();
        fs::create_dir(copies).unwrap();
        for call in CALLS {
            let (image, disk, copies) = (image.display(), disk.display(), copies.display());
            // Only the board's disk: this machine has others.
            let write_out = format!("/bin/sync -f {disk}");
            let first = if written_out { &write_out } else { ":" };
            let count = format!("n=$(ls {copies} | wc -l)");
            let copy = format!("/bin/cp --sparse=always {image} {copies}/$(printf %03d \"$n\")-{call}");
            let real = match call {
                "sync" => write_out.clone(),
                _ => format!("exec /bin/{call} \"$@\""),
            };
            Self::script(&folder.join(call), &format!("{first}\n{count}\n{copy}\n{real}"));
        }
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display())
    }

    /// What the script calls without copies, and without waiting for this machine's other disks.
    fn plain_path(&self) -> String {
        let folder = self.path("plain");
        fs::create_dir_all(&folder).unwrap();
        Self::script(&folder.join("sync"), "exec /bin/sync -f \"$KERF_ROOT\"");
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display())
    }

    /// Flashes the new over the old; gives a copy of the disk for each command.
    fn copies(&self, written_out: bool) -> Vec<PathBuf> {
        let kind = if written_out { "killed" } else { "cut" };
        let image = self.path(&format!("{kind}.ext4"));
        File::create(&image).unwrap().set_len(DISK_BYTES).unwrap();
        succeed(
            Command::new("mkfs.ext4")
                .args(["-q", "-E", "lazy_itable_init=0"])
                .arg(&image),
        );
        let disk = Disk::mount(&image, &self.path(&format!("{kind}-disk")));
        self.flash("old", &disk.at, &self.plain_path());
        succeed(Command::new("sync").arg("-f").arg(&disk.at));
        let copies = self.path(&format!("{kind}-copies"));
        let watched = self.watched_path(&image, &disk.at, &copies, written_out);
        self.flash("new", &disk.at, &watched);
        fs::copy(&image, copies.join("end")).unwrap();
        let mut copies: Vec<PathBuf> = fs::read_dir(copies).unwrap().map(|e| e.unwrap().path()).collect();
        copies.sort();
        copies
    }
}

#[test]
fn a_power_cut_at_every_call_leaves_the_old_or_the_new_whole() {
    if !is_root_with_loop_devices() {
        return;
    }
    let board = Board::new();
    for written_out in [false, true] {
        let copies = board.copies(written_out);
        assert!(copies.len() > 12, "the script was not watched: {copies:?}");
        let mut seen = Vec::new();
        for copy in &copies {
            let disk = Disk::mount(copy, &board.path("after"));
            let found = ["release", "bundle"].map(|kind| {
                let link = match kind {
                    "release" => "opt/kerf/current",
                    _ => "var/lib/kerf/bundle",
                };
                board.version(&disk.at.join(link), kind)
            });
            // The next flash goes through, whatever lies around.
            board.flash("new", &disk.at, &board.plain_path());
            assert_eq!(board.version(&disk.at.join("opt/kerf/current"), "release"), "new");
            assert_eq!(board.version(&disk.at.join("var/lib/kerf/bundle"), "bundle"), "new");
            seen.push(found);
        }
        println!(
            "written out first: {written_out}; {} power cuts, each whole",
            copies.len()
        );
        assert_eq!(seen.first(), Some(&["old", "old"]));
        assert!(
            seen.contains(&["new", "old"]) && seen.contains(&["new", "new"]),
            "{seen:?}"
        );
    }
}
