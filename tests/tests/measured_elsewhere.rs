//! What is measured beside the model on this machine: a link with its object store, another machine over SSH, codecs on data.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::shaped::{Shape, ShapedLink};
use kerf_tests::{fail, fixture, kerf, model, succeed, tool_path};
use kerf_wire::Profile;
use kerf_wire::profile::LinkProfile;

/// Measures a link of this shape with its far end.
fn link(mbit_s: f64, rtt_ms: u64, more: &[String]) -> (LinkProfile, String) {
    let broker = Mosquitto::start("message_size_limit 0");
    let shape = Shape {
        mbit_s,
        rtt: Duration::from_millis(rtt_ms),
    };
    let near = ShapedLink::start(broker.port(), shape);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("link.json");
    let mut measure = kerf();
    measure.args(["profile", "--link", &near.url(), "--far", &broker.url()]);
    let text = succeed(measure.args(more).arg("-o").arg(&file));
    (LinkProfile::parse(&std::fs::read(file).unwrap()).unwrap(), text)
}

#[test]
fn a_slow_link_is_measured_with_a_dozen_sizes_and_few_bytes() {
    let (slow, text) = link(1.0, 30, &[]);
    assert_eq!(slow.points.len(), 12, "{text}");
    // 1 Mbit/s is 125 kB a second: a second and a half of sending, whatever the sizes.
    let sent: f64 = slow.points.iter().map(|p| p.bytes as f64 * f64::from(p.ms.runs)).sum();
    let least: f64 = slow.points.iter().map(|p| p.bytes as f64 * 3.0).sum();
    assert!(
        least < 250_000.0 && sent >= least,
        "{sent} bytes, {least} for three turns: {text}"
    );
    assert!((850.0..1_050.0).contains(&slow.uplink_kbit_s), "{text}");
    assert!((30.0..60.0).contains(&slow.rtt_ms.median), "{text}");
    // The line holds for sizes between those that were sent.
    let at = |bytes: f64| slow.rtt_ms.median + slow.frame_ms + bytes * 8.0 / slow.uplink_kbit_s;
    let expected = 30.0 + 12_000.0 * 8.0 / 1_000.0;
    assert!(
        (at(12_000.0) / expected - 1.0).abs() < 0.2,
        "{} ms for {expected}: {text}",
        at(12_000.0)
    );
}

#[test]
fn a_store_is_measured_from_both_ends_and_left_empty() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    let more = ["--store", &url, "--far-store", &url, "--store-above", "50000"].map(str::to_owned);
    let (measured, text) = link(100.0, 1, &more);
    let store = measured.store.unwrap();
    assert_eq!((store.url.as_str(), store.above_bytes), (url.as_str(), 50_000));
    assert!(
        store.put_ms >= 0.0 && store.put_ns_byte > 0.0 && store.fetch_ns_byte > 0.0,
        "{store:?}"
    );
    assert!(text.contains("to put") && text.contains("to fetch"), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "probes are removed");
    let mut nowhere = kerf();
    let broker = Mosquitto::start("");
    nowhere.args([
        "profile",
        "--link",
        &broker.url(),
        "--store",
        "file:///proc/nowhere",
        "--link-most",
        "1",
    ]);
    fail(&mut nowhere, 42);
}

/// A stand-in `ssh` that runs the other side's command here, and writes down with what it was called.
fn stand_in(folder: &Path) -> std::ffi::OsString {
    let ssh = folder.join("ssh");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >> {0}/calls\nfor last; do :; done\n[ -e {0}/refuse ] && {{ echo 'Permission denied (publickey).' >&2; exit 255; }}\nexec sh -c \"$last\"\n",
        folder.display()
    );
    std::fs::write(&ssh, script).unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::split_paths(&tool_path()).collect::<Vec<PathBuf>>();
    std::env::join_paths(std::iter::once(folder.to_owned()).chain(path)).unwrap()
}

fn there(path: &std::ffi::OsString, host: &str, name: &str) -> Command {
    let mut profile = kerf();
    profile.env("PATH", path).arg("profile").arg(model(name));
    profile.args([
        "--host",
        host,
        "--runs",
        "6",
        "--pause-ms",
        "0",
        "--machine",
        "a board's name",
    ]);
    profile
}

#[test]
fn another_machine_is_profiled_over_ssh_with_keys_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = stand_in(dir.path());
    let out = dir.path().join("board.json");
    // Its weights lie beside it: they are copied too.
    let mut profile = there(&path, "me@board", "lenet5_extdata");
    let text = succeed(profile.args(["--ssh-option=-p2222", "-o"]).arg(&out));
    assert!(text.contains("a board's name"), "{text}");
    let measured = Profile::parse(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(measured.model.name, "lenet5_extdata");
    assert!(measured.tool.starts_with("kerf-stage") && measured.kernels.len() > 5 && measured.run_ms.runs >= 6);
    let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap();
    assert!(
        calls
            .lines()
            .all(|call| call.contains("BatchMode=yes") && call.contains("-p2222 -- me@board")),
        "{calls}"
    );
    let folder = calls
        .split("'/tmp/kerf-bench.")
        .nth(2)
        .and_then(|rest| rest.split(['\'', '/']).next())
        .unwrap();
    assert!(!folder.contains("XXXX"), "{calls}");
    assert!(
        !Path::new(&format!("/tmp/kerf-bench.{folder}")).exists(),
        "nothing is left there"
    );
    // And the planner takes it.
    let mut plan = kerf();
    plan.arg("plan").arg(model("lenet5_extdata")).arg("--edge").arg(&out);
    plan.args(["--cloud-speed", "10", "--uplink-kbit-s", "100", "--rtt-ms", "100"]);
    assert!(succeed(&mut plan).starts_with("Do not split: run all of it on the device"));
    std::fs::write(dir.path().join("refuse"), "").unwrap();
    let stderr = fail(&mut there(&path, "me@board", "lenet5"), 31);
    assert!(
        stderr.contains("me@board") && stderr.contains("Permission denied (publickey)"),
        "{stderr}"
    );
    fail(&mut there(&path, "-oProxyCommand=x", "lenet5"), 2);
}

#[test]
fn what_a_survey_on_data_found_is_what_a_plan_may_take() {
    let dir = tempfile::tempdir().unwrap();
    let (profile, plan) = (dir.path().join("device.json"), dir.path().join("plan.json"));
    let digits = dir.path().join("digits");
    std::fs::create_dir(&digits).unwrap();
    for index in 0..60 {
        let name = format!("d{index:03}.png");
        std::fs::copy(fixture(&format!("images/digits/{name}")), digits.join(name)).unwrap();
    }
    let mut measure = kerf();
    measure
        .arg("profile")
        .arg(model("lenet5"))
        .args(["--runs", "6", "--pause-ms", "0", "-o"]);
    succeed(measure.arg(&profile));
    let value = "/MaxPool_1_output_0";
    // The cut is told, and the link is so slow that bytes are all that matters.
    let codec = |loss: &str| {
        let mut command = kerf();
        command
            .arg("plan")
            .arg(model("lenet5"))
            .arg("--edge")
            .arg(&profile)
            .args(["--cut-at", value]);
        command.args([
            "--cloud-speed",
            "10",
            "--uplink-kbit-s",
            "10",
            "--rtt-ms",
            "1",
            "--codec-loss",
            loss,
            "-o",
        ]);
        succeed(command.arg(&plan));
        let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
        plan["cuts"][0]["codecs"][value].as_str().unwrap_or("raw").to_owned()
    };
    assert!(
        codec("0.05").starts_with("f16"),
        "int8's error is not taken without data"
    );
    let mut survey = kerf();
    survey
        .args(["codec", "survey"])
        .arg(model("lenet5"))
        .arg("--data")
        .arg(&digits)
        .args(["--scale", "255"]);
    succeed(survey.args(["--at", value, "--profile"]).arg(&profile));
    let surveyed = Profile::parse(&std::fs::read(&profile).unwrap()).unwrap();
    let of = |codec: &str| surveyed.codecs[codec].values[value].clone();
    assert!(of("int8+rans").loss.is_some() && of("dct").table.is_some());
    let coarse = codec("0.05");
    let bytes = |name: &str| if name == "raw" { u64::MAX } else { of(name).bytes };
    assert!(
        of(&coarse).loss.unwrap() <= 0.05 && bytes(&coarse) < of("f16+rans").bytes,
        "{coarse}"
    );
    // Another model's profile is refused.
    let mut other = kerf();
    other
        .args(["codec", "survey"])
        .arg(model("resnet8_digits"))
        .arg("--data")
        .arg(&digits);
    fail(
        other.args(["--scale", "255", "--cuts", "1", "--profile"]).arg(&profile),
        2,
    );
}
