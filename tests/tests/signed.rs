//! Signed bundles: one that is unsigned, changed, swapped, older or signed by another is refused with exit code 20, before any
//! engine sees it. Without keys every bundle is, but where the desk says otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kerf_runtime::bundle::Trust;
use kerf_runtime::exit::{Exit, Failure};
use kerf_tests::{fail, fixture, kerf, model, strict_stage, succeed, with_self_test};

/// A desk with a key pair, and a board that holds its public half.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Self { folder };
        succeed(kerf().arg("keys").arg("new").arg(desk.path("release")));
        fs::create_dir(desk.path("keys")).unwrap();
        fs::copy(desk.path("release.pub"), desk.path("keys/release.pub")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A bundle of LeNet, signed.
    fn bundle(&self, name: &str, at: &str, release: &str) -> PathBuf {
        let out = self.path(name);
        let mut split = kerf();
        split
            .arg("split")
            .arg(model("lenet5"))
            .args(["--at", at, "--release", release, "-o"])
            .arg(&out);
        succeed(&mut split);
        self.sign(&out);
        out
    }

    fn sign(&self, bundle: &Path) {
        succeed(
            kerf()
                .arg("sign")
                .arg(bundle)
                .arg("--key")
                .arg(self.path("release.key")),
        );
    }

    fn trust(&self) -> Trust {
        Trust {
            keys: Some(self.path("keys")),
            floor: Some(self.path("floor")),
            allow_unsigned: false,
        }
    }

    /// The tail of a bundle on a tensor that does not exist: a bundle that is taken ends with another code than 20.
    fn once(&self, bundle: &Path) -> std::process::Command {
        let mut once = strict_stage();
        once.arg("once")
            .arg("--bundle")
            .arg(bundle)
            .args(["--part", "1", "--input", "no-such.npz"]);
        once.arg("--keys")
            .arg(self.path("keys"))
            .arg("--floor")
            .arg(self.path("floor"));
        once
    }

    fn refused(&self, bundle: &Path, why: &str) {
        let said = fail(&mut self.once(bundle), 20);
        assert!(said.contains(why), "{said}");
        assert!(!said.contains("event=loaded"), "an engine was loaded:\n{said}");
    }
}

#[test]
fn a_signed_bundle_is_taken_and_its_keys_are_well_kept() {
    let desk = Desk::new();
    let bundle = desk.bundle("bundle", "/MaxPool_1_output_0", "1");
    let said = fail(&mut desk.once(&bundle), 2);
    assert!(said.contains("event=signed") && said.contains("no-such.npz"), "{said}");
    let mode = fs::metadata(desk.path("release.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its owner reads the secret key");
    let shown = succeed(kerf().arg("keys").arg("show").arg(desk.path("release.key")));
    assert_eq!(shown, fs::read_to_string(desk.path("release.pub")).unwrap());
    let again = fail(kerf().arg("keys").arg("new").arg(desk.path("release")), 2);
    assert!(again.contains("never overwritten"), "{again}");
}

#[test]
fn every_flipped_byte_of_the_manifest_is_refused() {
    let desk = Desk::new();
    let bundle = desk.bundle("bundle", "/MaxPool_1_output_0", "1");
    let file = bundle.join("manifest.json");
    let manifest = fs::read(&file).unwrap();
    desk.trust().open(&bundle).unwrap();
    for at in 0..manifest.len() {
        let mut other = manifest.clone();
        other[at] ^= 0x20;
        fs::write(&file, other).unwrap();
        let why = desk.trust().open(&bundle).expect_err("a changed manifest is taken");
        assert_eq!(Failure::from(why).exit, Exit::BundleRefused, "byte {at}");
    }
    fs::write(&file, manifest).unwrap();
    desk.trust().open(&bundle).unwrap();
}

#[test]
fn unsigned_wrongly_signed_and_foreign_bundles_are_refused() {
    let desk = Desk::new();
    let bundle = desk.bundle("bundle", "/MaxPool_1_output_0", "1");
    let signature = fs::read_to_string(bundle.join("manifest.sig")).unwrap();
    fs::remove_file(bundle.join("manifest.sig")).unwrap();
    desk.refused(&bundle, "manifest.sig");
    let foreign = Desk::new();
    foreign.sign(&bundle);
    desk.refused(&bundle, "not among the keys");
    let other = desk.bundle("other", "/MaxPool_output_0", "1");
    fs::write(other.join("manifest.sig"), signature).unwrap();
    desk.refused(&other, "not one of these bytes");
    // The desk may, and it is said.
    let said = fail(desk.once(&other).arg("--allow-unsigned"), 2);
    assert!(said.contains("event=unsigned"), "{said}");
}

#[test]
fn parts_swapped_between_signed_bundles_are_refused() {
    let desk = Desk::new();
    let (first, second) = (
        desk.bundle("first", "/MaxPool_1_output_0", "1"),
        desk.bundle("second", "/MaxPool_output_0", "1"),
    );
    fs::copy(second.join("part-1.onnx"), first.join("part-1.onnx")).unwrap();
    desk.refused(&first, "part-1.onnx");
}

#[test]
fn an_older_release_is_refused_and_the_floor_rises_only_afterwards() {
    let desk = Desk::new();
    let (old, new) = (
        desk.bundle("old", "/MaxPool_1_output_0", "3"),
        desk.bundle("new", "/MaxPool_1_output_0", "4"),
    );
    let trust = desk.trust();
    let opened = trust.open(&new).unwrap();
    assert_eq!(trust.floor().unwrap(), 0, "opening alone does not raise the floor");
    trust.raise(&opened).unwrap();
    assert_eq!(trust.floor().unwrap(), 4);
    desk.refused(&old, "release 3 is older than 4");
    let desk_trust = Trust {
        allow_unsigned: true,
        ..Trust::default()
    };
    trust.raise(&desk_trust.open(&old).unwrap()).unwrap();
    assert_eq!(trust.floor().unwrap(), 4, "the floor never falls");
    fs::write(desk.path("floor"), "").unwrap();
    desk.refused(&new, "no release number");
}

#[test]
fn without_keys_only_the_desk_takes_a_bundle() {
    let desk = Desk::new();
    let bundle = desk.bundle("bundle", "/MaxPool_1_output_0", "1");
    for command in ["once", "run", "bench", "check"] {
        let stage = || {
            let mut stage = strict_stage();
            stage.args([command, "--part", "1", "--bundle"]).arg(&bundle);
            stage
        };
        let said = fail(&mut stage(), 20);
        assert!(
            said.contains("--keys") && said.contains("--allow-unsigned"),
            "{command}: {said}"
        );
        assert!(!said.contains("event=loaded"), "{command} loaded an engine:\n{said}");
        for way in [stage().arg("--allow-unsigned"), stage().env("KERF_ALLOW_UNSIGNED", "1")] {
            let output = way.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.code() != Some(20) && said.contains("event=unsigned"),
                "{command}: {said}"
            );
        }
    }
    let said = fail(
        strict_stage()
            .args(["check", "--bundle"])
            .arg(&bundle)
            .env("KERF_ALLOW_UNSIGNED", "false"),
        20,
    );
    assert!(said.contains("--keys"), "{said}");
}

/// As `flash` puts a bundle on a board, and as the service then starts it.
#[test]
fn the_floor_rises_only_after_the_self_test_has_passed() {
    let desk = Desk::new();
    let bundle = desk.path("whole");
    let mut split = kerf();
    split.arg("split").arg(model("lenet5")).args(["--release", "7", "-o"]);
    succeed(split.arg(&bundle));
    let mut known =
        kerf_runtime::source::npz::Archive::open(fs::File::open(fixture("models/lenet5.npz")).unwrap()).unwrap();
    let (input, right) = (known.read("in_0").unwrap(), known.read("out_0").unwrap());
    let mut wrong = right.clone();
    wrong.as_slice_mut::<f32>()[3] += 0.1;
    let stage = |command: &str| {
        let mut stage = strict_stage();
        stage.args([command, "--part", "0", "--bundle"]).arg(&bundle);
        stage
            .arg("--keys")
            .arg(desk.path("keys"))
            .arg("--floor")
            .arg(desk.path("floor"));
        if command == "run" {
            stage.arg("--input").arg(fixture("models/lenet5.npz"));
        }
        stage
    };
    with_self_test(&bundle, &[("input", &input), ("logits", &wrong)]);
    desk.sign(&bundle);
    for command in ["check", "run"] {
        assert!(fail(&mut stage(command), 32).contains("logits"));
        assert!(!desk.path("floor").exists(), "{command} raised the floor");
    }
    with_self_test(&bundle, &[("input", &input), ("logits", &right)]);
    desk.sign(&bundle);
    assert!(succeed(&mut stage("check")).contains("self-test passed"));
    assert!(!desk.path("floor").exists(), "a mere check raised the floor");
    succeed(&mut stage("run"));
    assert_eq!(fs::read_to_string(desk.path("floor")).unwrap(), "7\n");
}
