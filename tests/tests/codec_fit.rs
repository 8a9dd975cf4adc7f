//! Promise: `kerf codec fit` makes what crosses a cut many times smaller, and the loss is known and kept.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;

use kerf_tests::{digits, fail, kerf, model, succeed};
use serde_json::Value;

const CUT: &str = "/r/r.2/Relu_1_output_0";

fn split(dir: &Path) {
    let args = ["--colour", "grey", "--scale", "255", "-o"];
    succeed(
        kerf()
            .arg("split")
            .arg(model("resnet8_digits"))
            .args(["--at", CUT])
            .args(args)
            .arg(dir),
    );
}

fn codec(dir: &Path) -> Value {
    let manifest = std::fs::read(dir.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["cuts"][0]["codecs"][CUT].clone()
}

/// The number before a word, e.g. 310 of "310 bytes".
fn number_before(text: &str, word: &str) -> f64 {
    let before = text.split(word).next().unwrap();
    before
        .trim_end_matches(['(', ' '])
        .rsplit([' ', '('])
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_fitted_bundle_names_its_codec_and_keeps_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    split(&dir);
    assert_eq!(codec(&dir), Value::Null);
    std::fs::write(dir.join("manifest.sig"), "of the manifest before").unwrap();
    let digits = digits(folder.path(), usize::MAX);
    let mut fit = kerf();
    fit.args(["codec", "fit"])
        .arg(&dir)
        .arg("--data")
        .arg(&digits)
        .args(["--max-loss", "0.01"]);
    let said = succeed(&mut fit);
    // The digits' features after a ReLU: 32 bits raw.
    let bits = number_before(&said, " bits an element");
    assert!(bits <= 2.0, "{said}");
    let kept = number_before(&said, " % of 100 inputs");
    assert!(kept >= 99.0, "{said}");
    assert_eq!(codec(&dir)["name"], "dct");
    assert!(
        !dir.join("manifest.sig").exists(),
        "a signature of another manifest is still there"
    );
    // Fitting again on the other half starts from the raw tensors, not from what was fitted.
    let again = succeed(
        kerf()
            .args(["codec", "fit"])
            .arg(&dir)
            .arg("--data")
            .arg(&digits)
            .args(["--swap", "--dry-run"]),
    );
    assert!(number_before(&again, " bits an element") <= 3.0, "{again}");
    succeed(kerf().arg("show").arg(&dir));
}

#[test]
fn a_coarser_codec_is_allowed_for_a_link_that_is_behind_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    split(&dir);
    let digits = digits(folder.path(), usize::MAX);
    let fit = |loss: &str| {
        let mut fit = kerf();
        fit.args(["codec", "fit"]).arg(&dir).arg("--data").arg(&digits);
        fit.args(["--max-loss", "0.01", "--coarser-loss", loss]);
        fit
    };
    fail(&mut fit("0.01"), 2);
    let said = succeed(&mut fit("0.1"));
    let (fine, behind) = said.split_once("while the link is behind").unwrap();
    let (fine, coarse) = (
        number_before(fine, " bytes a frame"),
        number_before(behind, " bytes a frame"),
    );
    assert!(coarse < fine && number_before(behind, " %") >= 90.0, "{said}");
    assert!(codec(&dir)["coarser"]["coarseness"].as_i64().unwrap() > 0, "{said}");
    // The stage reads it.
    let border = kerf_tests::relay::border_of(&dir);
    assert!(border.coarser[0].coarseness > border.codecs[0].coarseness);
}

#[test]
fn data_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bundle");
    split(&dir);
    let before = std::fs::read(dir.join("manifest.json")).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let said = fail(
        kerf().args(["codec", "fit"]).arg(&dir).arg("--data").arg(empty.path()),
        2,
    );
    assert!(said.contains("at least two inputs"), "{said}");
    fail(kerf().args(["codec", "fit"]).arg(&dir).args(["--data", "nowhere"]), 2);
    fail(
        kerf()
            .args(["codec", "fit"])
            .arg(&dir)
            .args(["--data", ".", "--max-loss", "2"]),
        2,
    );
    assert_eq!(std::fs::read(dir.join("manifest.json")).unwrap(), before);
}
