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
