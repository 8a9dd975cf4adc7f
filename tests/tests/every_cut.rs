//! Promise: the parts of every legal cut give what the whole gives. ONNX Runtime and onnx.checker judge.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test says what failed by panicking"
)]

use std::path::{Path, PathBuf};

use kerf_splitter::cut::{Cut, Cutter};
use kerf_splitter::emit::{self, BundleOptions};
use kerf_splitter::graph::Graph;
use kerf_splitter::graph::shapes::Symbols;
use kerf_splitter::onnx::Model;
use kerf_tests::judge::{self as judges, Job};

/// Writes a bundle for each of a fixture's cuts and has them judged.
fn judge(name: &str, choose: impl Fn(&Graph) -> Vec<Cut>) {
    let judged = judge_file(kerf_tests::model(name), choose);
    assert!(judged > 0, "{name} has no cut to judge");
}

/// Writes a bundle for each of the cuts and has them judged; gives how many that were.
fn judge_file(file: PathBuf, choose: impl Fn(&Graph) -> Vec<Cut>) -> usize {
    let inputs = file.with_extension("npz");
    let model = Model::read(&file).expect("a fixture reads");
    let graph = Graph::build(&model, &Symbols::new()).expect("a fixture is a graph");
    let cuts = choose(&graph);
    let dir = tempfile::tempdir().unwrap();
    let write = |(index, cut): (usize, Cut)| -> PathBuf {
        let bundle = dir.path().join(index.to_string());
        emit::bundle(&model, &graph, vec![cut], &BundleOptions::default(), &bundle).expect("a legal cut is written");
        bundle
    };
    let bundles: Vec<PathBuf> = cuts.into_iter().enumerate().map(write).collect();
    let count = bundles.len();
    let job = Job {
        model: file,
        inputs: inputs.exists().then_some(inputs),
        bundles,
    };
    judges::judge(&[job], 1e-4);
    count
}

fn every_single_cut(name: &str) {
    judge(name, |graph| Cutter::new(graph).singles());
}

/// At most `most` cuts, spread evenly over the graph, the first and the last among them.
fn spread(name: &str, most: usize) {
    judge(name, |graph| {
        let cuts = Cutter::new(graph).singles();
        let step = (cuts.len().saturating_sub(1))
            .max(1)
            .div_ceil(most.saturating_sub(1).max(1));
        let last = cuts.len().saturating_sub(1);
        let chosen = |(index, cut): (usize, Cut)| (index % step == 0 || index == last).then_some(cut);
        cuts.into_iter().enumerate().filter_map(chosen).collect()
    });
}

macro_rules! every_single_cut {
    ($($name:ident)*) => { $(#[test] fn $name() { every_single_cut(stringify!($name)); })* };
}

every_single_cut! {
    branchy_lenet branchy_lenet_if lenet5 lenet5_dynq_int8 lenet5_extdata lenet5_op21 lenet5_op7_ir3 lenet5_qdq_int8
    lenet5_qlinearconv_int8 lenet5_qoperator_int8 lenet5_tap lstm_digits lstm_scan_digits repro_softmax_qdq_both
    resnet8_digits resnet8_digits_qdq_int8 tiny_unet_denoise tiny_vit_digits two_digit_sum mobilenet_v2_tiny_digits
}

macro_rules! some_cuts {
    ($($name:ident $every:ident)*) => { $(
        #[test] fn $name() { spread(stringify!($name), 6); }
        #[test]
        #[ignore = "every cut of a large model; run by cargo xtask test --all-cuts"]
        fn $every() { every_single_cut(stringify!($name)); }
    )* };
}

some_cuts! {
    efficientnet_lite0 every_cut_of_efficientnet_lite0
    light_densenet121 every_cut_of_light_densenet121
    light_resnet50 every_cut_of_light_resnet50
    light_squeezenet every_cut_of_light_squeezenet
    mobilenet_v2_160_dogs every_cut_of_mobilenet_v2_160_dogs
    mobilenet_v2_160_dogs_qdq_softmax_int8 every_cut_of_mobilenet_v2_160_dogs_qdq_softmax_int8
    ppocr_cls_mobile_v2 every_cut_of_ppocr_cls_mobile_v2
}

/// The `.onnx` files below a folder, by name.
fn models_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of models") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            models_below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "onnx") {
            found.push(path);
        }
    }
    found.sort();
}

/// For models of your own: each of them, each of its legal cuts, with the `.npz` of inputs (`in_0` …) beside it if there.
#[test]
#[ignore = "needs KERF_MODELS, a folder of ONNX models; run by cargo xtask test --all-cuts"]
fn every_cut_of_every_model_of_a_folder() {
    let Some(folder) = std::env::var_os("KERF_MODELS") else {
        eprintln!("SKIPPED: KERF_MODELS names no folder of models");
        return;
    };
    let mut models = Vec::new();
    models_below(Path::new(&folder), &mut models);
    assert!(!models.is_empty(), "no model is in {}", Path::new(&folder).display());
    let mut total = 0;
    for model in models {
        let name = model.file_name().unwrap_or_default().to_owned();
        let cuts = judge_file(model, |graph| Cutter::new(graph).singles());
        eprintln!("{} cuts of {} are equal", cuts, name.display());
        total += cuts;
    }
    eprintln!("{total} cuts in all");
}
