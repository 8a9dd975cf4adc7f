//! Boards: every `targets/NAME/target.toml` is whole, `cross` gets our cross.toml, and a finished program that breaks its
//! board's promises is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kerf_tests::{fail, kerf, kerf_stage, model, succeed, xtask};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn matrix() -> Vec<serde_json::Value> {
    let json = succeed(xtask().args(["matrix", "--json"]));
    let matrix: serde_json::Value = serde_json::from_str(&json).unwrap();
    matrix["include"].as_array().unwrap().clone()
}

#[test]
fn every_board_of_the_promise_has_its_page() {
    let names: Vec<String> = matrix()
        .iter()
        .map(|t| t["name"].as_str().unwrap().to_owned())
        .collect();
    let promised = [
        "jetson-nano",
        "jetson-tx2",
        "jetson-xavier",
        "jetson-orin",
        "coral-dev-board",
        "coral-usb",
        "raspberry-pi-4",
        "raspberry-pi-4-32bit",
        "raspberry-pi-ncs2",
        "pc-amd64",
        "pc-amd64-openvino",
        "cloud-amd64",
        "cloud-arm64",
    ];
    for name in promised {
        assert!(names.iter().any(|n| n == name), "no target {name}");
        let page = fs::read_to_string(root().join("targets").join(name).join("README.md")).expect(name);
        for heading in ["## Flash", "## Check", "## First profile", "## Known traps"] {
            assert!(page.contains(heading), "{name}/README.md has no {heading:?}");
        }
    }
}

#[test]
fn cross_toml_has_every_triple() {
    let text = fs::read_to_string(root().join("cross.toml")).unwrap();
    let config: toml::Table = toml::from_str(&text).unwrap();
    let passed: Vec<&str> = config["build"]["env"]["passthrough"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|v| v.as_str())
        .collect();
    for target in matrix() {
        let triple = target["build"]["triple"].as_str().unwrap();
        let image = config["target"][triple]["image"].as_str().unwrap();
        assert!(
            image.starts_with("ghcr.io/cross-rs/") && image.contains(triple),
            "{triple}: {image}"
        );
        let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", triple.to_uppercase().replace('-', "_"));
        assert!(passed.contains(&flags.as_str()), "the container would not see {flags}");
    }
}

/// A folder with a `docker` that says yes and a `cross` that writes down how it was called, then makes `product` of itself.
fn stand_ins(product: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, script: &str| {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("docker", "exit 0");
    let record = folder.path().display();
    write(
        "cross",
        &format!(
            "[ \"$1\" = --version ] && exit 0\nprintf '%s\\n' \"$CROSS_CONFIG\" > {record}/config\nprintf '%s\\n' \"$@\" > {record}/arguments\n\
             while [ $# -gt 0 ]; do\n  case \"$1\" in --target-dir) dir=$2;; --target) triple=$2;; --profile) profile=$2;; esac\n  shift\ndone\n\
             mkdir -p \"$dir/$triple/$profile\"\ncp {product} \"$dir/$triple/$profile/kerf-stage\""
        ),
    );
    folder
}

fn build_with(stand_ins: &Path, target: &str) -> std::process::Command {
    let mut command = xtask();
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", stand_ins.display()));
    command.env("CARGO_TARGET_DIR", stand_ins.join("target"));
    command.args(["build", "--target", target]);
    command
}

#[test]
fn cross_is_told_of_our_cross_toml() {
    // Any small program of this machine stands in for the result.
    let folder = stand_ins("/bin/true");
    let said = succeed(&mut build_with(folder.path(), "jetson-orin"));
    assert!(said.contains("jetson-orin: "), "{said}");
    let config = fs::read_to_string(folder.path().join("config")).unwrap();
    assert_eq!(Path::new(config.trim()), root().join("cross.toml"));
    let arguments = fs::read_to_string(folder.path().join("arguments")).unwrap();
    let arguments: Vec<&str> = arguments.lines().collect();
    for pair in [["--target", "aarch64-unknown-linux-gnu"], ["--package", "kerf-runtime"]] {
        assert!(arguments.windows(2).any(|w| w == pair), "no {pair:?} in {arguments:?}");
    }
}

#[test]
fn a_program_that_needs_more_than_its_board_has_is_refused() {
    let folder = stand_ins("/bin/true");
    let said = fail(&mut build_with(folder.path(), "raspberry-pi-4"), 1);
    assert!(said.contains("expected a static program"), "{said}");
    // Debian's own programs ask for a newer glibc than a Jetson Nano has.
    let said = fail(&mut build_with(folder.path(), "jetson-nano"), 1);
    assert!(
        said.contains("its board has glibc 2.27, the program asks for"),
        "{said}"
    );
}

#[test]
fn a_program_over_its_budget_is_refused() {
    let folder = stand_ins("large");
    let large = folder.path().join("large");
    let mut bytes = fs::read("/bin/true").unwrap();
    bytes.resize(20_000_000, 0);
    fs::write(&large, bytes).unwrap();
    let script = folder.path().join("cross");
    let text = fs::read_to_string(&script)
        .unwrap()
        .replace("cp large", &format!("cp {}", large.display()));
    fs::write(&script, text).unwrap();
    let said = fail(&mut build_with(folder.path(), "jetson-orin"), 1);
    assert!(said.contains("20000000 bytes, its budget is 13000000"), "{said}");
}

/// After 100 frames, less the weights and the tensors of the widest step: what one value and the next take together.
#[test]
fn a_stage_keeps_to_the_smallest_boards_memory() {
    let budgets = matrix()
        .into_iter()
        .map(|t| t["budget"]["memory_bytes"].as_u64().unwrap());
    let budget = budgets.min().unwrap();
    // MobileNetV2-160 takes 9.4 MB, over the budget: docs/boards.md.
    let name = "lenet5";
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    succeed(
        kerf()
            .arg("split")
            .arg(model(name))
            .arg("--prepare")
            .arg("-o")
            .arg(&bundle),
    );
    let artifacts = ["part-0.nnef.tar", "part-0.onnx"].map(|file| bundle.join(file));
    let loaded = artifacts.iter().find(|file| file.is_file()).unwrap();
    let weights = fs::metadata(loaded).unwrap().len();
    let layers = succeed(kerf().args(["layers", "--json"]).arg(model(name)));
    let layers: serde_json::Value = serde_json::from_str(&layers).unwrap();
    let values = layers["values"].as_array().unwrap().iter();
    let bytes: Vec<u64> = values.filter_map(|value| value["bytes"].as_u64()).collect();
    let widest = bytes.windows(2).map(|pair| pair[0] + pair[1]).max().unwrap();
    let mut bench = kerf_stage();
    bench
        .args(["-q", "bench", "--runs", "100", "--warmup", "0", "--bundle"])
        .arg(&bundle);
    let said: serde_json::Value = serde_json::from_str(&succeed(&mut bench)).unwrap();
    let private = said["memory_bytes_private"].as_u64().unwrap();
    println!("{name}: {private} bytes of its own, weights {weights}, widest step {widest}, budget {budget}");
    assert!(
        private.saturating_sub(weights + widest) <= budget,
        "{name}: {private} bytes of its own, weights {weights}, widest step {widest}: over {budget}"
    );
}
