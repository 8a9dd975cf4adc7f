//! Real stages as processes: a cut LeNet-5, its inputs, and the commands that run its parts.

use std::path::{Path, PathBuf};
use std::process::Command;

use kerf_wire::{DType, TensorRef};

use crate::random::Random;
use crate::{kerf, kerf_stage, model, succeed};

/// LeNet-5, cut at its first legal value behind the input, in this folder.
///
/// # Panics
/// When it cannot be cut.
pub fn lenet_bundle(folder: &Path) -> PathBuf {
    let lenet = model("lenet5");
    let layers = succeed(kerf().arg("layers").arg(&lenet).arg("--json"));
    let layers: serde_json::Value = serde_json::from_str(&layers).expect("JSON");
    let legal = |v: &&serde_json::Value| v["legal"] == true;
    let value = layers["values"].as_array().and_then(|values| values.iter().find(legal));
    let at = value.and_then(|value| value["name"].as_str()).expect("a legal cut");
    succeed(kerf().arg("split").arg(&lenet).args(["--at", at, "-o"]).arg(folder));
    folder.to_owned()
}

/// A picture of noise by its seed, as LeNet-5 takes it: [1, 1, 32, 32] floats between 0 and 1, as an `.npy` file.
///
/// # Panics
/// Never, unless memory ends.
pub fn picture(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let pixels: Vec<u8> = (0..32 * 32)
        .flat_map(|_| (f32::from(random.byte()) / 255.0).to_le_bytes())
        .collect();
    let shape = [1, 1, 32, 32];
    let tensor = TensorRef::new(DType::F32, &shape, &pixels).expect("a tensor");
    let mut npy = Vec::new();
    kerf_runtime::source::npy::write(&tensor, &mut npy).expect("an array");
    npy
}

/// `kerf-stage run` of one part: the head as device `cam`, others as `cloud`; all frames inline.
pub fn stage(bundle: &Path, broker: &str, part: &str) -> Command {
    let mut command = kerf_stage();
    command
        .args(["run", "--part", part, "--broker", broker])
        .arg("--bundle")
        .arg(bundle);
    let device = if part == "0" { "cam" } else { "cloud" };
    command.args(["--inline-bytes", "1000000", "--device", device]);
    command
}
