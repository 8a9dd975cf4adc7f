//! Promise: what `kerf codec survey` prints of a cut is what an independent script computes, and on photos' features the codec
//! with tables is smaller than Python's zstandard and blosc2 at equal error.

#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::{Path, PathBuf};

use kerf_tests::{EFFICIENTNET_IMAGE, PHOTOS, fixture, kerf, kerf_stage, model, python, succeed};
use tempfile::TempDir;

/// A survey of one cut, and what crosses it raw for each input that judges.
struct Surveyed {
    folder: TempDir,
    rows: PathBuf,
    said: PathBuf,
    tensors: Vec<PathBuf>,
}

/// Surveys a model on pictures, in the order of their names: every other one judges.
fn survey(model: &Path, cut: &str, image: &[&str], pictures: &[PathBuf]) -> Surveyed {
    let folder = tempfile::tempdir().unwrap();
    let [all, judging, heads, bundle] = ["all", "judging", "heads", "bundle"].map(|name| folder.path().join(name));
    let [rows, said] = ["rows.csv", "said.txt"].map(|name| folder.path().join(name));
    std::fs::create_dir(&all).unwrap();
    std::fs::create_dir(&judging).unwrap();
    for (index, picture) in pictures.iter().enumerate() {
        let name = picture.file_name().unwrap();
        std::fs::copy(picture, all.join(name)).unwrap();
        if index % 2 == 1 {
            std::fs::copy(picture, judging.join(name)).unwrap();
        }
    }
    let mut survey = kerf();
    survey.args(["codec", "survey"]).arg(model).args(["--at", cut]);
    survey.args(image).arg("--data").arg(&all).arg("--csv").arg(&rows);
    std::fs::write(&said, succeed(&mut survey)).unwrap();
    let mut split = kerf();
    split.arg("split").arg(model).args(["--at", cut]).args(image);
    succeed(split.arg("-o").arg(&bundle));
    let mut head = kerf_stage();
    head.args(["once", "--part", "0", "--bundle"]).arg(&bundle);
    succeed(head.arg("--input").arg(&judging).arg("--output").arg(&heads));
    let tensors = std::fs::read_dir(&heads).unwrap();
    let tensors: Vec<PathBuf> = tensors.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(tensors.len(), pictures.len() / 2);
    Surveyed {
        folder,
        rows,
        said,
        tensors,
    }
}

fn judge(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("judges").join(name)
}

#[test]
fn a_surveys_figures_are_those_of_an_independent_script() {
    let Some(mut script) = python() else { return };
    let cut = "/r/r.1/Relu_1_output_0";
    let resnet8 = model("resnet8_digits");
    let digits: Vec<PathBuf> = (0..80)
        .map(|i| fixture("images/digits").join(format!("d{i:03}.png")))
        .collect();
    let surveyed = survey(&resnet8, cut, &["--colour", "grey", "--scale", "255"], &digits);
    script
        .arg(judge("codec_survey.py"))
        .arg(&surveyed.rows)
        .arg(&surveyed.said);
    println!("{}", succeed(script.arg(&resnet8).arg(cut).args(&surveyed.tensors)));
    surveyed.folder.close().unwrap();
}

#[test]
fn photos_features_are_smaller_than_pythons_packers_make_them_at_equal_error() {
    let Some(mut peers) = python() else { return };
    let photos = PHOTOS.map(|name| fixture("images/photos").join(name));
    let surveyed = survey(
        &model("efficientnet_lite0"),
        "/_blocks.13/Add_output_0",
        &EFFICIENTNET_IMAGE,
        &photos,
    );
    peers.arg(judge("codec_peers.py")).arg(&surveyed.rows);
    println!("{}", succeed(peers.args(&surveyed.tensors)));
    surveyed.folder.close().unwrap();
}
