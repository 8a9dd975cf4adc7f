//! Predictions: made-up networks are valid, a machine that follows a rule is learnt, and calibrate → predict → plan is one road.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use kerf_runtime::backend::LoadOptions;
use kerf_runtime::measure;
use kerf_splitter::graph::Graph;
use kerf_splitter::graph::shapes::Symbols;
use kerf_splitter::onnx::Model;
use kerf_splitter::predict::{Observation, generate, hold_out, observe};
use kerf_splitter::profile::{Job, attribute, profile_model};
use kerf_tests::{fail, kerf, model, python, succeed};
use kerf_wire::Profile;

fn nodes(bytes: Vec<u8>, name: &str) -> Vec<Observation> {
    let model = Model::from_bytes(bytes.into(), name, std::path::Path::new(".")).unwrap();
    let graph = Graph::build(&model, &Symbols::default()).unwrap();
    observe(&graph, &model).into_iter().map(|(_, o)| o).collect()
}

/// What a machine takes that obeys a rule with a step in it (weights that no longer fit a cache) and 3 % of jitter.
fn rule(o: &Observation, index: usize) -> f64 {
    let jitter = 1.0 + 0.03 * ((index * 7919 % 200) as f64 / 100.0 - 1.0);
    let slow = if o.weight_bytes > 100_000.0 { 1.6 } else { 1.0 };
    (0.001 + o.macs * 2e-7 * slow + o.bytes * 4e-8) * jitter
}

#[test]
fn a_machine_that_obeys_a_rule_is_predicted_for_models_that_were_left_out() {
    let mut observations = Vec::new();
    for seed in 0..24 {
        // Judged like real models: a quarter of the made-up ones get names of their own.
        let name = if seed % 4 == 1 {
            format!("model-{seed}")
        } else {
            format!("generated-{seed}")
        };
        observations.extend(nodes(generate::network(seed), &name));
    }
    assert!(
        observations.iter().any(|o| o.kind == "Conv:depthwise") && observations.iter().any(|o| o.kind == "Conv:1x1")
    );
    assert!(
        observations
            .iter()
            .filter(|o| o.kind == "Conv:kxk")
            .all(|o| o.macs > 0.0),
        "MACs are counted"
    );
    for (index, o) in observations.iter_mut().enumerate() {
        o.ms = rule(o, index);
    }
    let (held_out, errors) = hold_out(&observations).unwrap();
    assert_eq!(held_out.len(), 6);
    let mut off: Vec<f64> = held_out
        .iter()
        .map(kerf_splitter::predict::HeldOut::relative_error)
        .collect();
    off.sort_by(f64::total_cmp);
    let nodes: usize = held_out.iter().map(|held| held.node_errors.len()).sum();
    let covered: f64 = held_out
        .iter()
        .map(|h| h.covered * h.node_errors.len() as f64)
        .sum::<f64>()
        / nodes as f64;
    println!(
        "median error {:.3}, worst {:.3}, {covered:.3} of {nodes} nodes in their intervals",
        off[3], off[5]
    );
    assert!(off[3] <= 0.10, "{off:?}");
    assert!((0.85..=0.97).contains(&covered), "{covered}");
    assert!(errors.node.values().all(|[low, high]| low < high), "{errors:?}");
}

#[test]
fn made_up_networks_are_valid_and_the_same_seed_gives_the_same() {
    assert_eq!(generate::network(3), generate::network(3));
    assert_ne!(generate::network(3), generate::network(4));
    let Some(mut python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..24 {
        std::fs::write(dir.path().join(format!("{seed}.onnx")), generate::network(seed)).unwrap();
    }
    let check = "import glob, onnx, sys\nfor f in glob.glob(sys.argv[1] + '/*.onnx'):\n    onnx.checker.check_model(f, full_check=True)\n";
    succeed(python.args(["-c", check]).arg(dir.path()));
}

#[test]
fn the_engine_runs_a_made_up_network_of_every_family() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..12 {
        let file = dir.path().join(format!("{seed}.onnx"));
        std::fs::write(&file, generate::network(seed)).unwrap();
        let job = Job {
            model: &file,
            backend: "tract",
            options: LoadOptions::default(),
            plan: measure::Plan {
                warm_up: 0,
                runs: 3,
                ..measure::Plan::default()
            },
            machine: "desk".into(),
            watts: None,
        };
        let (profile, _) = profile_model(&job, |_| ()).unwrap_or_else(|why| panic!("network {seed}: {why}"));
        assert!(!profile.kernels.is_empty(), "network {seed}");
    }
}

#[test]
fn work_inside_of_bodies_counts() {
    let of = |name: &str, kind: &str| {
        let all = nodes(std::fs::read(model(name)).unwrap(), name);
        all.into_iter().find(|o| o.kind == kind).unwrap()
    };
    // 32 steps of two products: a row of 32 and a state of 48, by 192 columns each.
    let scan = of("lstm_scan_digits", "Scan");
    assert!(scan.macs >= 32.0 * 192.0 * (32.0 + 48.0), "{scan:?}");
    assert!((scan.inside - 32.0 * 15.0).abs() < 0.5, "{scan:?}");
    // The longer branch: a convolution of 16 × 10 × 10 by 6 × 5 × 5, and three dense layers.
    let branch = of("branchy_lenet_if", "If");
    let products = 16.0 * 100.0 * 150.0 + 400.0 * 120.0 + 120.0 * 84.0 + 84.0 * 10.0;
    assert!(branch.macs >= products && branch.macs < products * 1.1, "{branch:?}");
    assert!(
        (of("lstm_digits", "LSTM").inside - 32.0).abs() < 0.5,
        "a row of the picture a step"
    );
    assert!(of("lenet5", "Gemm").inside < 0.5);
}

#[test]
fn what_a_branch_takes_belongs_to_it_and_not_to_its_condition() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("profile.json");
    let mut profile = kerf();
    profile.arg("profile").arg(model("branchy_lenet_if"));
    profile.args(["--runs", "6", "--pause-ms", "0", "--no-codecs", "-o"]);
    succeed(profile.arg(&file));
    let profile = Profile::parse(&std::fs::read(&file).unwrap()).unwrap();
    let took = profile.kernels.iter().find(|k| k.op == "IfThenElse").unwrap();
    let read = Model::read(&model("branchy_lenet_if")).unwrap();
    let graph = Graph::build(&read, &Symbols::default()).unwrap();
    let times = attribute(&graph, &profile).ms;
    let of = |op: &str| {
        let id = graph.node_ids().find(|id| graph.node(*id).op == op).unwrap();
        times[id.index()] * profile.kernels_ms() / profile.run_ms.median
    };
    assert!((of("If") / took.ms.median - 1.0).abs() < 1e-6, "{} {took:?}", of("If"));
    assert!(of("Greater") < took.ms.median / 2.0);
}

#[test]
fn calibrate_then_predict_then_plan() {
    let dir = tempfile::tempdir().unwrap();
    let (predictor, profile) = (dir.path().join("desk.json"), dir.path().join("profile.json"));
    let mut calibrate = kerf();
    calibrate
        .arg("calibrate")
        .arg(model("lenet5"))
        .arg(model("resnet8_digits"))
        // What the engine refuses is left out, the others are measured.
        .arg(model("node_loop11"));
    calibrate
        .args([
            "--generated",
            "4",
            "--runs",
            "6",
            "--rounds",
            "2",
            "--pause-ms",
            "0",
            "--most",
            "0.5",
            "--keep",
        ])
        .arg(dir.path().join("kept"))
        .arg("-o")
        .arg(&predictor);
    let text = succeed(&mut calibrate);
    // The same again, of what was kept: nothing is measured, so every figure is the same.
    let again = dir.path().join("again.json");
    let mut fit = kerf();
    fit.arg("calibrate")
        .arg(model("lenet5"))
        .arg(model("resnet8_digits"))
        .arg("--measured");
    succeed(fit.arg(dir.path().join("kept")).arg("-o").arg(&again));
    let observed = |file: &std::path::Path| {
        let bytes = std::fs::read(file).unwrap();
        let mut all = kerf_splitter::predict::Predictor::parse(&bytes).unwrap().observations;
        all.sort_by(|a, b| (&a.model, a.place).partial_cmp(&(&b.model, b.place)).unwrap());
        all
    };
    let (measured, fitted_again) = (observed(&predictor), observed(&again));
    assert_eq!(measured.len(), fitted_again.len());
    for (a, b) in measured.iter().zip(&fitted_again) {
        assert!((a.ms - b.ms).abs() <= 1e-9 * a.ms, "{a:?} {b:?}");
        assert_eq!((&a.model, &a.kind, &a.behind), (&b.model, &b.kind, &b.behind));
    }
    assert!(
        text.contains("resnet8_digits") && text.contains("median error of whole models"),
        "{text}"
    );
    let mut predict = kerf();
    predict
        .arg("predict")
        .arg(model("mobilenet_v2_tiny_digits"))
        .arg("--with")
        .arg(&predictor)
        .arg("-o")
        .arg(&profile);
    assert!(succeed(&mut predict).contains("predicted"));
    let predicted = Profile::parse(&std::fs::read(&profile).unwrap()).unwrap();
    assert!((predicted.kernels_ms() / predicted.run_ms.median - 1.0).abs() < 1e-9);
    let mut plan = kerf();
    plan.arg("plan")
        .arg(model("mobilenet_v2_tiny_digits"))
        .arg("--edge")
        .arg(&profile);
    plan.args(["--cloud-speed", "10", "--uplink-kbit-s", "100", "--rtt-ms", "100"]);
    assert!(succeed(&mut plan).starts_with("Do not split: run all of it on the device"));
    std::fs::write(&predictor, "{}").unwrap();
    let mut damaged = kerf();
    fail(
        damaged
            .arg("predict")
            .arg(model("lenet5"))
            .arg("--with")
            .arg(&predictor),
        2,
    );
}
