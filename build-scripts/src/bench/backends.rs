//! Every engine that this machine has, beside Python with the same library, and beside the library's own C API.
//!
//! Owns: the table; which engines are in it is `engines`' to say. Must not know: how an engine is driven. Libraries are those that `cargo xtask setup` fetches.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::start::residual_addition;
use crate::repo::{self, Programs};
use crate::setup;

mod engines;

use engines::{ENGINES, Engine};

/// Starts of each; the fastest counts on both sides, for a busy machine slows both.
const STARTS: usize = 5;
/// Runs of which the median is told.
const RUNS: &str = "300";
/// All that the table asks of `kerf-stage`.
const FEATURES: &str = "onnxruntime,openvino,openvino-myriad,tflite";
/// What `runtime/benches/overhead` is built with: no engine that is a long time in the compiler.
const BARE_FEATURES: &str = "onnxruntime,openvino,tflite";

/// What one program needs.
#[derive(Clone, Copy, Default)]
struct Figures {
    first_answer_ms: f64,
    memory_mb: f64,
    latency_us_p50: f64,
}

/// Prints the table.
pub(super) fn run(programs: &Programs) -> Result<()> {
    let python = setup::python().context("the judges' Python is set up by `cargo xtask setup`")?;
    let release = !programs.kerf_stage.components().any(|part| part.as_os_str() == "debug");
    if !programs.given {
        let mut build = repo::cargo();
        build.args(["build", "--package", "kerf-runtime", "--features", FEATURES]);
        repo::run(build.args(release.then_some("--release")))?;
    }
    let dir = tempfile::tempdir()?;
    // Cargo builds the program anew beside the overhead's bench, with that one's fewer engines.
    let kerf_stage = dir.path().join("kerf-stage");
    std::fs::copy(&programs.kerf_stage, &kerf_stage).with_context(|| programs.kerf_stage.display().to_string())?;
    println!(
        "{:<16} {:<12} {:>19} {:>17} {:>21} {:>16}",
        "backend", "model", "first ms, Python's", "MB, Python's", "p50 µs, Python's", "over its C API"
    );
    for (name, label, at) in [
        ("lenet5", "LeNet", None),
        ("mobilenet_v2_160_dogs", "MobileNetV2", Some(6)),
    ] {
        let model = repo::root().join(format!("tests/fixtures/models/{name}.onnx"));
        let bundle = dir.path().join(name);
        let mut split = repo::command(&programs.kerf);
        split.arg("split").arg(&model);
        if let Some(count) = at {
            split.arg("--at").arg(residual_addition(programs, &model, count)?);
        }
        repo::output(split.arg("-o").arg(&bundle))?;
        let mut convert = repo::command(&programs.kerf);
        let convert = convert.args(["convert", "bundle", "--format", "tflite"]).arg(&bundle);
        let is_converted = repo::output(convert).is_ok();
        for engine in ENGINES {
            if engine.backend == "tflite" && !is_converted {
                println!("tflite           {label:<12} its converter is not here: `kerf convert setup tflite`");
                continue;
            }
            let library = engine.library.map(|place| library(place, &python)).transpose()?;
            if library == Some(None) {
                println!(
                    "{:<16} {label:<12} its library is not here: `cargo xtask setup`",
                    engine.backend
                );
                continue;
            }
            let library = library.flatten();
            let ours = ours(&kerf_stage, engine, library.as_deref(), &bundle)?;
            let peer = engine
                .python
                .map(|peer| peers(&python, peer, &part(engine, &bundle), library.as_deref()))
                .transpose()?;
            let over = match &library {
                Some(library) if engine.bare => overhead(engine, library, &bundle, release)?,
                _ => "–".to_owned(),
            };
            print(engine, label, ours, peer, &over);
        }
    }
    Ok(())
}

fn print(engine: &Engine, label: &str, ours: Figures, peer: Option<Figures>, over: &str) {
    let pair = |figure: fn(&Figures) -> f64, width: usize| {
        let peer = peer
            .as_ref()
            .map_or("–".to_owned(), |peer| format!("{:.*}", width, figure(peer)));
        format!("{:.*}, {peer}", width, figure(&ours))
    };
    println!(
        "{:<16} {label:<12} {:>19} {:>17} {:>21} {over:>16}",
        engine.device.map_or(engine.backend, |device| if device == "CPU" {
            engine.backend
        } else {
            device
        }),
        pair(|f| f.first_answer_ms, 0),
        pair(|f| f.memory_mb, 0),
        pair(|f| f.latency_us_p50, 1),
    );
}

/// The first file of a folder that begins so; none where it is missing.
fn library((folder, prefix): (&str, &str), python: &Path) -> Result<Option<PathBuf>> {
    let packages = "import sysconfig; print(sysconfig.get_paths()['platlib'])";
    let root = if folder.starts_with('.') {
        repo::root().to_owned()
    } else {
        PathBuf::from(repo::output(repo::command(python).args(["-c", packages]))?.trim())
    };
    let files = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let is_it = |file: &PathBuf| {
        file.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with(prefix))
    };
    Ok(files.map(|file| file.path()).find(is_it))
}

fn ours(stage: &Path, engine: &Engine, library: Option<&Path>, bundle: &Path) -> Result<Figures> {
    let command = |runs: &str, warm_up: &str| {
        let mut bench = repo::command(stage);
        bench.args([
            "-q",
            "bench",
            "--allow-unsigned",
            "--part",
            "0",
            "--threads",
            "1",
            "--bundle",
        ]);
        bench
            .arg(bundle)
            .args(["--runs", runs, "--warmup", warm_up, "--backend", engine.backend]);
        bench.args(
            engine
                .device
                .map(|device| ["--backend-device", device])
                .into_iter()
                .flatten(),
        );
        if let Some(library) = library {
            bench.arg("--library").arg(library);
        }
        bench
    };
    figures(&command, |said| {
        let memory = said["memory_bytes_peak"].as_f64().context("its memory")?;
        Ok((
            memory / 1e6,
            said["latency_ms_p50"].as_f64().context("its median")? * 1e3,
        ))
    })
}

/// The file that the engine loads.
fn part(engine: &Engine, bundle: &Path) -> PathBuf {
    bundle.join(if engine.backend == "tflite" {
        "part-0.tflite"
    } else {
        "part-0.onnx"
    })
}

fn peers(
    python: &Path,
    (package, make): (Option<&str>, &str),
    model: &Path,
    library: Option<&Path>,
) -> Result<Figures> {
    let script = format!(
        "import json, resource, sys, time\nimport numpy\n{make}\nrun()\nmemory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n\
         times = []\nfor _ in range(int(sys.argv[2]) + int(sys.argv[3])):\n    start = time.perf_counter()\n    run()\n    \
         times.append(time.perf_counter() - start)\ntimes = sorted(times[int(sys.argv[3]):])\n\
         print(json.dumps([memory * 1024, times[len(times) // 2] * 1e6]))\n"
    );
    let command = |runs: &str, warm_up: &str| {
        let mut peer = repo::command(python);
        if let Some(package) = package {
            peer.env("PYTHONPATH", repo::root().join(package));
        }
        peer.arg("-c")
            .arg(&script)
            .arg(model)
            .args([runs, warm_up])
            .args(library);
        peer
    };
    figures(&command, |said| {
        Ok((
            said[0].as_f64().context("its memory")? / 1e6,
            said[1].as_f64().context("its median")?,
        ))
    })
}

/// Starts for one answer, then once for many.
fn figures(command: &dyn Fn(&str, &str) -> Command, read: impl Fn(&Value) -> Result<(f64, f64)>) -> Result<Figures> {
    let said = |runs, warm_up| -> Result<(f64, f64)> {
        let line = repo::output(&mut command(runs, warm_up))?;
        read(&serde_json::from_str(line.trim()).context("one line of JSON")?)
    };
    let mut best = Figures {
        first_answer_ms: f64::INFINITY,
        memory_mb: f64::INFINITY,
        ..Figures::default()
    };
    for _ in 0..STARTS {
        let start = Instant::now();
        let (memory_mb, _) = said("1", "0")?;
        best.first_answer_ms = best.first_answer_ms.min(start.elapsed().as_secs_f64() * 1e3);
        best.memory_mb = best.memory_mb.min(memory_mb);
    }
    best.latency_us_p50 = said(RUNS, "20")?.1;
    Ok(best)
}

/// What a run costs over the library's own C API, in one process, in turns.
fn overhead(engine: &Engine, library: &Path, bundle: &Path, release: bool) -> Result<String> {
    let mut bench = repo::cargo();
    bench.args([
        "bench",
        "--quiet",
        "--package",
        "kerf-runtime",
        "--bench",
        "overhead",
        "--no-default-features",
        "--features",
        BARE_FEATURES,
    ]);
    bench
        .args((!release).then_some("--profile=dev"))
        .arg("--")
        .arg(engine.backend);
    let said = repo::output(bench.arg(library).arg(bundle).arg(RUNS))?;
    let said: Value = serde_json::from_str(said.trim()).context("one line of JSON")?;
    let figure = |name: &str| said[name].as_f64().context("a median");
    let (ours, bare) = (figure("ours_us_p50")?, figure("bare_us_p50")?);
    Ok(format!(
        "{:+.1} µs, {:+.1} %",
        ours - bare,
        100.0 * (ours - bare) / bare
    ))
}
