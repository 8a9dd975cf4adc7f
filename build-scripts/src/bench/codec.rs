//! The codecs on real tensors: bits, speed and accuracy at three cuts, JPEG beside them, and Python's zstandard and blosc2 on the
//! same tensors at the same error.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

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

/// Prints the tables.
pub(super) fn run(programs: &Programs) -> Result<()> {
    let mut speed = repo::cargo();
    speed.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "kerf-wire",
        "--example",
        "codec_speed",
    ]);
    repo::run(&mut speed)?;
    let folder = tempfile::tempdir()?;
    for cut in CUTS {
        println!("\n### {cut}\n");
        let mut survey = survey(programs, cut);
        println!("{}", repo::output(survey.args(["--crops", CROPS]))?);
        peers(programs, cut, folder.path())?;
    }
    Ok(())
}

fn survey(programs: &Programs, cut: &str) -> std::process::Command {
    let mut survey = repo::command(&programs.kerf);
    survey
        .args(["codec", "survey", MODEL, "--at", cut, "--data", PHOTOS])
        .args(IMAGE);
    survey
}

fn peers(programs: &Programs, cut: &str, folder: &Path) -> Result<()> {
    let (rows, bundle) = (folder.join("rows.csv"), folder.join("bundle"));
    repo::output(survey(programs, cut).arg("--csv").arg(&rows))?;
    let mut split = repo::command(&programs.kerf);
    repo::output(
        split
            .args(["split", MODEL, "--at", cut])
            .args(IMAGE)
            .arg("-o")
            .arg(&bundle),
    )?;
    let python = std::env::var_os("KERF_TEST_PYTHON").map_or(repo::root().join(".venv/bin/python3"), PathBuf::from);
    let mut peers = repo::command(python);
    peers.arg("tests/judges/codec_peers.py").arg(&rows);
    for judge in JUDGES {
        let tensors = folder.join(judge).with_extension("npz");
        let mut head = repo::command(&programs.kerf_stage);
        head.args(["-q", "once", "--allow-unsigned", "--part", "0", "--bundle"])
            .arg(&bundle);
        head.arg("--input")
            .arg(Path::new(PHOTOS).join(judge))
            .arg("--output")
            .arg(&tensors);
        repo::output(&mut head)?;
        peers.arg(tensors);
    }
    let said = repo::output(&mut peers).context("peers need: pip install zstandard blosc2 into the judges' Python")?;
    println!("{said}");
    Ok(())
}
