//! From process start to the first answer, and memory, beside Python with onnxruntime on the very same file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::build;
use crate::repo::{self, Programs};
use crate::target;
use crate::toolchain;

/// Each is started this often; the fastest start counts on both sides, for a busy machine slows both.
const STARTS: usize = 9;
/// With tract and MQTT, stripped.
const BINARY_BYTES: u64 = 15_000_000;
/// The program that is measured: what a PC without accelerator is flashed with.
const FLASHED: &str = "pc-amd64";
/// At least this much sooner than Python, LeNet and MobileNetV2's head.
const AIMS: [f64; 2] = [20.0, 3.0];

const PYTHON: &str = "\
import resource, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
given = session.get_inputs()[0]
shape = [d if isinstance(d, int) else 1 for d in given.shape]
session.run(None, {given.name: numpy.zeros(shape, numpy.float32)})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
";

/// One program's fastest start and its memory.
struct Started {
    first_answer_ms: f64,
    memory_bytes: f64,
}

/// Prints the table.
pub(super) fn run(programs: &Programs) -> Result<()> {
    let python = std::env::var_os("KERF_TEST_PYTHON").map_or(repo::root().join(".venv/bin/python3"), PathBuf::from);
    let dir = tempfile::tempdir()?;
    let stage = if programs.given {
        programs.kerf_stage.clone()
    } else {
        build::build(&target::named(FLASHED)?, toolchain::way_here()?)?.0
    };
    let size = std::fs::metadata(&stage)?.len();
    println!(
        "kerf-stage is {:.2} MB of {:.0}",
        size as f64 / 1e6,
        BINARY_BYTES as f64 / 1e6
    );
    println!(
        "{:<28} {:>10} {:>10} {:>7} {:>6} {:>9} {:>9} {:>7}",
        "model", "ours ms", "Python ms", "sooner", "aim", "ours MB", "Python MB", "of it"
    );
    for ((name, at), aim) in [("lenet5", None), ("mobilenet_v2_160_dogs", Some(6))]
        .into_iter()
        .zip(AIMS)
    {
        let model = repo::root().join(format!("tests/fixtures/models/{name}.onnx"));
        let bundle = dir.path().join(name);
        let mut split = repo::command(&programs.kerf);
        split.arg("split").arg(&model);
        if let Some(count) = at {
            split.arg("--at").arg(residual_addition(programs, &model, count)?);
        }
        // Without `--prepare`: tract's NNEF reader costs more at the start than these graphs' ONNX.
        repo::output(split.arg("-o").arg(&bundle))?;
        let ours = fastest(|| {
            let mut stage = repo::command(&stage);
            stage.args(["-q", "bench", "--runs", "0", "--warmup", "0", "--part", "0"]);
            stage.args(["--allow-unsigned", "--bundle"]).arg(&bundle);
            stage
        })?;
        let peer = fastest(|| {
            let mut peer = repo::command(&python);
            peer.args(["-c", PYTHON]).arg(bundle.join("part-0.onnx"));
            peer
        })
        .context("the judges' Python is set up by build-scripts/test, or named in KERF_TEST_PYTHON")?;
        let label = at.map_or(name.to_owned(), |count| format!("{name}, to addition {count}"));
        println!(
            "{label:<28} {:>10.1} {:>10.1} {:>6.1}× {:>5.0}× {:>9.1} {:>9.1} {:>6.0}%",
            ours.first_answer_ms,
            peer.first_answer_ms,
            peer.first_answer_ms / ours.first_answer_ms,
            aim,
            ours.memory_bytes / 1e6,
            peer.memory_bytes / 1e6,
            100.0 * ours.memory_bytes / peer.memory_bytes,
        );
    }
    Ok(())
}

/// The value of the n-th addition that may be cut alone.
pub(super) fn residual_addition(programs: &Programs, model: &Path, count: usize) -> Result<String> {
    let layers = repo::output(repo::command(&programs.kerf).arg("layers").arg(model).arg("--json"))?;
    let layers: Value = serde_json::from_str(&layers)?;
    let values = layers["values"].as_array().context("kerf layers gives values")?;
    let additions = values.iter().filter(|value| value["op"] == "Add");
    let addition = additions.clone().nth(count.saturating_sub(1));
    let name = addition.and_then(|value| value["name"].as_str());
    Ok(name.context("the model has fewer additions")?.to_owned())
}

fn fastest(command: impl Fn() -> Command) -> Result<Started> {
    let mut best = Started {
        first_answer_ms: f64::INFINITY,
        memory_bytes: f64::INFINITY,
    };
    for _ in 0..STARTS {
        let start = Instant::now();
        let said = repo::output(&mut command())?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        let said: Value = serde_json::from_str(said.trim()).context("one line of JSON")?;
        let memory = said
            .as_f64()
            .or(said["memory_bytes_peak"].as_f64())
            .context("its memory")?;
        best.first_answer_ms = best.first_answer_ms.min(took);
        best.memory_bytes = best.memory_bytes.min(memory);
    }
    Ok(best)
}
