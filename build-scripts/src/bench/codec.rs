//! The codecs on real tensors: bits, speed and accuracy at three cuts, JPEG beside them, and Python's zstandard and blosc2 on the
//! same tensors at the same error.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::repo::{self, Programs};

const MODEL: &str = "tests/fixtures/models/efficientnet_lite0.onnx";
const PHOTOS: &str = "tests/fixtures/images/photos";
const IMAGE: [&str; 8] = [
    "--crop",
    "centre:0.875",
    "--resize",
    "bicubic",
    "--mean",
    "127",
    "--scale",
    "128",
];
/// Crops that judge accuracy.
const CROPS: &str = "1002";
/// Of a survey without crops every other photo judges, in the order of their names.
const JUDGES: [&str; 3] = ["chelsea.png", "coffee.png", "rocket.jpg"];
/// EfficientNet-Lite0's three best cuts.
const CUTS: [&str; 3] = [
    "/_blocks.13/Add_output_0",
    "/_blocks.12/Add_output_0",
    "/_blocks.11/_project_conv/Conv_output_0",
];

/// Crops that `kerf codec fit` judges by.
const FITTED_ON: &str = "60";

/// Prints the tables.
pub(super) fn run(programs: &Programs) -> Result<()> {
    println!("{}", repo::output(&mut speed())?);
    let mut judged = survey(programs, &CUTS);
    repo::run(judged.args(["--crops", CROPS]))?;
    let folder = tempfile::tempdir()?;
    for cut in CUTS {
        println!("\n### {cut}\n");
        let bundle = folder.path().join("bundle");
        if bundle.exists() {
            std::fs::remove_dir_all(&bundle)?;
        }
        let mut split = repo::command(&programs.kerf);
        split.args(["split", MODEL, "--at", cut]).args(IMAGE);
        repo::output(split.arg("-o").arg(&bundle))?;
        let heads = heads(programs, &bundle)?;
        peers(programs, cut, &heads)?;
        on_real_tensors(programs, &bundle, &heads)?;
    }
    Ok(())
}

/// The example that measures encoding and decoding alone.
fn speed() -> std::process::Command {
    let mut speed = repo::cargo();
    speed.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "kerf-wire",
        "--example",
        "codec_speed",
        "--",
    ]);
    speed
}

fn survey(programs: &Programs, cuts: &[&str]) -> std::process::Command {
    let mut survey = repo::command(&programs.kerf);
    survey
        .args(["codec", "survey", MODEL, "--data", PHOTOS])
        .args(IMAGE)
        .args(cuts.iter().flat_map(|cut| ["--at", cut]));
    // Where a person names it, ONNX Runtime answers for the thousand crops, in a third of the time.
    if std::env::var_os("ORT_DYLIB_PATH").is_some() {
        survey.args(["--backend", "onnxruntime"]);
    }
    survey
}

/// What crosses the cut for each photo that judges, raw: as `.npz` and as `.frame`.
fn heads(programs: &Programs, bundle: &Path) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for judge in JUDGES {
        let file = bundle.with_file_name(judge);
        for ending in ["npz", "frame"] {
            let mut head = repo::command(&programs.kerf_stage);
            head.args(["-q", "once", "--allow-unsigned", "--part", "0", "--bundle"])
                .arg(bundle);
            head.arg("--input").arg(Path::new(PHOTOS).join(judge));
            repo::output(head.arg("--output").arg(file.with_extension(ending)))?;
        }
        made.push(file);
    }
    Ok(made)
}

fn peers(programs: &Programs, cut: &str, heads: &[PathBuf]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let rows = folder.path().join("rows.csv");
    repo::output(survey(programs, &[cut]).arg("--csv").arg(&rows))?;
    let python = std::env::var_os("KERF_TEST_PYTHON").map_or(repo::root().join(".venv/bin/python3"), PathBuf::from);
    let mut peers = repo::command(python);
    peers.arg("tests/judges/codec_peers.py").arg(&rows);
    peers.args(heads.iter().map(|file| file.with_extension("npz")));
    println!("{}", repo::output(&mut peers)?);
    Ok(())
}

/// Fits the bundle, then measures the fitted codec on tensors that were made before.
fn on_real_tensors(programs: &Programs, bundle: &Path, heads: &[PathBuf]) -> Result<()> {
    let mut fit = repo::command(&programs.kerf);
    fit.args(["codec", "fit"]).arg(bundle).args(["--data", PHOTOS]);
    println!("{}", repo::output(fit.args(["--crops", FITTED_ON]))?);
    let mut speed = speed();
    speed.arg(bundle.join("manifest.json"));
    speed.args(heads.iter().map(|file| file.with_extension("frame")));
    println!("{}", repo::output(&mut speed)?);
    Ok(())
}
