//! A camera's pictures are answered as they come: through the system's ffmpeg, whose synthetic source stands in for a lens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kerf_runtime::bundle::Bundle;
use kerf_runtime::source::camera::{Camera, CameraConfig};
use kerf_runtime::source::{Reader, Source};
use kerf_tests::{kerf, kerf_stage, model, succeed};

/// False, said aloud, where there is no ffmpeg: it brings a hundred packages, so only those who film install it.
fn ffmpeg() -> bool {
    let found = Command::new("ffmpeg")
        .arg("-version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !found {
        eprintln!("SKIPPED: no ffmpeg here (Debian: apt install ffmpeg)");
    }
    found
}

fn bundle(folder: &Path) -> PathBuf {
    let images = ["--colour", "grey", "--size", "32x32", "--scale", "255"];
    succeed(
        kerf()
            .arg("split")
            .arg(model("lenet5"))
            .args(images)
            .arg("-o")
            .arg(folder),
    );
    folder.to_owned()
}

fn camera(bundle: &Path, source: &str, frames_per_s: Option<f32>, every: bool) -> Camera {
    let reader = Reader::of_bundle(&Bundle::open(bundle).unwrap(), 0).unwrap();
    let config = CameraConfig {
        source: source.to_owned(),
        frames_per_s,
        every,
    };
    Camera::open(config, reader).unwrap()
}

#[test]
fn every_picture_of_a_film_is_answered_and_is_the_right_one() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundle = bundle(&folder.path().join("bundle"));
    // One colour, known to the last bit: grey of 100 in an RGB picture.
    let source = "lavfi:color=c=0x646464:size=32x32:rate=20:duration=1,format=rgb24";
    let mut film = camera(&bundle, source, None, true);
    let mut pictures = 0;
    while let Some(input) = film.next().unwrap() {
        pictures += 1;
        let (_, tensor) = &input.tensors[0];
        assert_eq!(tensor.shape(), [1, 1, 32, 32]);
        let right = tensor
            .as_slice::<f32>()
            .iter()
            .all(|x| (x - 100.0 / 255.0).abs() < 1e-6);
        assert!(right, "picture {pictures}: {:?}", &tensor.as_slice::<f32>()[..4]);
    }
    assert_eq!((pictures, film.skipped()), (20, 0));
    let said = succeed(
        kerf_stage()
            .args(["run", "--camera", source, "--camera-every", "--bundle"])
            .arg(&bundle),
    );
    assert_eq!(said.lines().count(), 20, "{said}");
}

#[test]
fn only_the_newest_picture_waits_for_a_slow_stage_and_the_rate_is_kept() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundle = bundle(&folder.path().join("bundle"));
    let mut live = camera(&bundle, "lavfi:testsrc=size=64x64:rate=50:duration=2", None, false);
    let mut taken = 0;
    while live.next().unwrap().is_some() {
        taken += 1;
        // Ten a second against fifty.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(
        live.skipped() > 40 && taken < 40,
        "taken {taken}, skipped {}",
        live.skipped()
    );
    assert_eq!(taken + live.skipped(), 100);
    let begun = Instant::now();
    let mut slow = camera(&bundle, "lavfi:testsrc=size=64x64:rate=50:duration=2", Some(5.0), true);
    let taken = std::iter::from_fn(|| slow.next().unwrap()).count();
    assert!(
        (9..=11).contains(&taken),
        "{taken} pictures of two seconds at 5 a second"
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(1500),
        "a live source came too fast"
    );
}

#[test]
fn a_camera_that_is_not_there_is_told_without_its_password_and_tried_again() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bundle = bundle(&folder.path().join("bundle"));
    let port = kerf_tests::mosquitto::free_port();
    let mut stage = kerf_stage();
    stage.env("KERF_CAMERA", format!("rtsp://me:canary@127.0.0.1:{port}/stream"));
    let mut stage = kerf_tests::process::Running::start(stage.args(["run", "--bundle"]).arg(&bundle));
    stage.wait_for("event=camera_lost");
    stage.wait_for("event=camera_lost");
    let said = stage.stop();
    assert!(!said.contains("canary"), "{said}");
}
