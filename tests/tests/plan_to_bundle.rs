//! From a model to a bundle by profile and plan: `kerf profile`, `kerf plan`, `kerf split --plan`.

#![allow(
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::process::Command;

use kerf_splitter::plan::Plan;
use kerf_splitter::plan::document::Placement;
use kerf_tests::{fail, kerf, model, succeed};
use kerf_wire::profile::Sample;
use kerf_wire::{Manifest, Profile};

fn profile(name: &str, dir: &Path) -> std::path::PathBuf {
    let file = dir.join(format!("{name}.json"));
    let mut command = kerf();
    command
        .arg("profile")
        .arg(model(name))
        .args(["--runs", "8", "--most", "5", "-o"]);
    succeed(command.arg(&file));
    quiet(&file);
    file
}

/// As a quiet machine measures: how much this one varies today must not decide what a test sees.
fn quiet(file: &Path) {
    let mut profile = Profile::parse(&std::fs::read(file).unwrap()).unwrap();
    let exact = |sample: &mut Sample| *sample = Sample::exact(sample.median);
    exact(&mut profile.run_ms);
    profile.kernels.iter_mut().for_each(|kernel| exact(&mut kernel.ms));
    std::fs::write(file, profile.to_json().unwrap()).unwrap();
}

fn plan(name: &str, profile: &Path, more: &[&str]) -> Command {
    let mut command = kerf();
    command.arg("plan").arg(model(name)).arg("--edge").arg(profile);
    command.args(more);
    command
}

#[test]
fn a_profile_adds_up_to_the_run_and_a_plan_becomes_a_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let profile_file = profile("resnet8_digits", dir.path());
    let profile = Profile::parse(&std::fs::read(&profile_file).unwrap()).unwrap();
    assert!(profile.kernels.len() > 10 && profile.run_ms.median > 0.0);
    // The device is told to keep the first block: the cut lies behind it, whatever this machine measured.
    let plan_file = dir.path().join("plan.json");
    let layers: serde_json::Value = serde_json::from_str(&succeed(
        kerf().arg("layers").arg(model("resnet8_digits")).arg("--json"),
    ))
    .unwrap();
    let values = layers["values"].as_array().unwrap();
    let keep = values.iter().find(|v| v["op"] == "Add").unwrap()["name"]
        .as_str()
        .unwrap();
    let mut command = plan(
        "resnet8_digits",
        &profile_file,
        &[
            "--cloud-speed",
            "1000000",
            "--uplink-kbit-s",
            "10000000",
            "--rtt-ms",
            "0",
            "--keep-on-device",
            keep,
        ],
    );
    let text = succeed(command.arg("-o").arg(&plan_file));
    assert!(text.starts_with("Cut at `"), "{text}");
    let planned = Plan::parse(&std::fs::read(&plan_file).unwrap()).unwrap();
    assert_eq!(planned.placement, Placement::Split);
    let position = |name: &str| values.iter().position(|v| v["name"] == name).unwrap();
    assert!(
        planned.cuts[0]
            .values
            .iter()
            .all(|value| position(value) > position(keep)),
        "{:?}",
        planned.cuts
    );
    let total: f64 = planned.baselines[0].outcome.latency_ms;
    // Prices are whole nanoseconds: each node, of which there is one a value here, is off by half of one at most.
    let rounding_ms = (values.len() + 1) as f64 * 0.5e-6;
    assert!(
        (total - profile.run_ms.median).abs() <= rounding_ms,
        "the nodes add up to the run: {total} against {}",
        profile.run_ms.median
    );

    let bundle = dir.path().join("bundle");
    succeed(
        kerf()
            .arg("split")
            .arg(model("resnet8_digits"))
            .arg("--plan")
            .arg(&plan_file)
            .arg("-o")
            .arg(&bundle),
    );
    let manifest = Manifest::parse(&std::fs::read(bundle.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest.parts.len(), 2);
    assert_eq!(manifest.cuts[0].values, planned.cuts[0].values);
    let carried = manifest.plan.unwrap();
    assert_eq!(carried["verdict"], planned.verdict);
    assert!(
        carried["uplink_kbit_s_ranges"]
            .as_array()
            .is_some_and(|r| !r.is_empty())
    );

    let stderr = fail(
        kerf()
            .arg("split")
            .arg(model("lenet5"))
            .arg("--plan")
            .arg(&plan_file)
            .arg("-o")
            .arg(dir.path().join("other")),
        2,
    );
    assert!(stderr.contains("the plan is for model resnet8_digits"), "{stderr}");
}

#[test]
fn edge_only_and_cloud_only_are_bundles_too() {
    let dir = tempfile::tempdir().unwrap();
    let profile_file = profile("lenet5", dir.path());
    for (link, placement, parts) in [
        (["--uplink-kbit-s", "1", "--rtt-ms", "1000"], Placement::EdgeOnly, 1),
        (
            ["--uplink-kbit-s", "1000000000", "--rtt-ms", "0"],
            Placement::CloudRaw,
            2,
        ),
    ] {
        let plan_file = dir.path().join("plan.json");
        let text = succeed(
            plan("lenet5", &profile_file, &["--cloud-speed", "1000"])
                .args(link)
                .arg("-o")
                .arg(&plan_file),
        );
        assert!(text.starts_with("Do not split: "), "{text}");
        let planned = Plan::parse(&std::fs::read(&plan_file).unwrap()).unwrap();
        assert_eq!(planned.placement, placement, "{text}");
        let bundle = dir.path().join(format!("{placement:?}"));
        succeed(
            kerf()
                .arg("split")
                .arg(model("lenet5"))
                .arg("--plan")
                .arg(&plan_file)
                .arg("-o")
                .arg(&bundle),
        );
        let manifest = Manifest::parse(&std::fs::read(bundle.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest.parts.len(), parts);
        assert_eq!(manifest.parts[0].artifacts.is_empty(), placement == Placement::CloudRaw);
    }
}

#[test]
fn a_plans_codec_is_measured_and_goes_into_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let profile_file = dir.path().join("profile.json");
    let digits = kerf_tests::fixture("images/digits");
    let mut command = kerf();
    command
        .arg("profile")
        .arg(model("resnet8_digits"))
        .arg("--data")
        .arg(digits);
    command.args(["--scale", "255", "--samples", "4", "--runs", "5", "-o"]);
    succeed(command.arg(&profile_file));
    let profile = Profile::parse(&std::fs::read(&profile_file).unwrap()).unwrap();
    let input = profile.input.as_ref().unwrap();
    assert!(input.is_picture && input.file_bytes > 50 && input.read_ms.median > 0.0);
    assert!(profile.answer_bytes.unwrap() > 100);
    let at = "/r/r.1/Relu_1_output_0";
    let (half, byte) = (
        &profile.codecs["f16"].values[at],
        &profile.codecs["int8+rans"].values[at],
    );
    // [1, 32, 8, 8] floats.
    assert_eq!(half.bytes, 32 * 64 * 2);
    assert!(half.relative_error < 1e-3 && byte.relative_error > half.relative_error && byte.bytes < half.bytes);
    let planned = |more: &[&str]| {
        let plan_file = dir.path().join("plan.json");
        let link = [
            "--cloud-speed",
            "10",
            "--uplink-kbit-s",
            "100",
            "--rtt-ms",
            "1",
            "--cut-at",
            at,
        ];
        let mut command = plan("resnet8_digits", &profile_file, &[&link[..], more].concat());
        succeed(command.arg("-o").arg(&plan_file));
        let bundle = dir.path().join("bundle");
        let mut split = kerf();
        split
            .arg("split")
            .arg(model("resnet8_digits"))
            .arg("--plan")
            .arg(&plan_file);
        succeed(split.arg("-o").arg(&bundle));
        let manifest = Manifest::parse(&std::fs::read(bundle.join("manifest.json")).unwrap()).unwrap();
        manifest.cuts[0].codecs.get(at).map(|codec| codec.name.clone())
    };
    // On a slow link the codec with the fewest bytes wins, of those whose error is allowed.
    assert_eq!(planned(&[]).as_deref(), Some("f16+rans"));
    assert_eq!(planned(&["--codec-error", "0.1"]).as_deref(), Some("int8+rans"));
    assert_eq!(planned(&["--codec", "f16"]).as_deref(), Some("f16"));
    assert_eq!(planned(&["--codec", "raw"]), None);
}

#[test]
fn a_measured_link_is_what_the_plan_counts_with() {
    let dir = tempfile::tempdir().unwrap();
    let broker = kerf_tests::mosquitto::Mosquitto::start("");
    let shape = kerf_tests::shaped::Shape {
        mbit_s: 8.0,
        rtt: std::time::Duration::from_millis(20),
    };
    let link = kerf_tests::shaped::ShapedLink::start(broker.port(), shape);
    let (file, profile_file) = (dir.path().join("link.json"), profile("lenet5", dir.path()));
    for far in [None, Some(broker.url())] {
        let mut measure = kerf();
        measure
            .args(["profile", "--link", &link.url(), "--link-most", "10", "-o"])
            .arg(&file);
        let text = succeed(measure.args(far.iter().flat_map(|far| ["--far", far])));
        assert!(text.contains("kbit/s"), "{text}");
        let measured = kerf_wire::profile::LinkProfile::parse(&std::fs::read(&file).unwrap()).unwrap();
        // A busy machine is late, now and then by more than a small message takes.
        assert!((2_000.0..12_000.0).contains(&measured.uplink_kbit_s), "{text}");
        assert!((500.0..12_000.0).contains(&measured.downlink_kbit_s), "{text}");
        assert!((20.0..100.0).contains(&measured.rtt_ms.median), "{text}");
    }
    let mut command = plan("lenet5", &profile_file, &["--cloud-speed", "10", "--json", "--link"]);
    let planned: serde_json::Value = serde_json::from_str(&succeed(command.arg(&file))).unwrap();
    let rtt = planned["assumptions"]["rtt_ms"][0].as_f64().unwrap();
    assert!((20.0..100.0).contains(&rtt), "{rtt}");
    let mut both = plan(
        "lenet5",
        &profile_file,
        &["--cloud-speed", "10", "--rtt-ms", "1", "--link"],
    );
    fail(both.arg(&file), 2);
    let mut nobody = kerf();
    nobody.args(["profile", "--link", "mqtt://127.0.0.1:9"]);
    fail(&mut nobody, 40);
}

#[test]
fn what_cannot_be_planned_ends_with_its_code_and_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let profile_file = profile("lenet5", dir.path());
    let link = ["--cloud-speed", "10", "--uplink-kbit-s", "1000", "--rtt-ms", "1"];
    let too_much = [&link[..], &["--latency-ms", "0.000001"]].concat();
    let stderr = fail(&mut plan("lenet5", &profile_file, &too_much), 11);
    assert!(
        stderr.contains("no cut fits") && stderr.trim().lines().count() == 1,
        "{stderr}"
    );
    let wrong_name = [&link[..], &["--keep-on-device", "/Relu_99_output_0"]].concat();
    let stderr = fail(&mut plan("lenet5", &profile_file, &wrong_name), 2);
    assert!(stderr.contains("did you mean"), "{stderr}");
    let two_links = [&link[..], &["--rtt-ms", "5"]].concat();
    fail(&mut plan("lenet5", &profile_file, &two_links), 2);
    let nonsense = dir.path().join("nonsense.json");
    std::fs::write(&nonsense, "{\"format\": 7}").unwrap();
    let stderr = fail(&mut plan("lenet5", &nonsense, &link), 2);
    assert!(stderr.contains("format 7"), "{stderr}");
}
